"""What the installer writes, and what it refuses, with nothing but files."""
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

import install_rig
from install_rig import LEAST, MIB, InstallTest, Medium
from os_disk import Disk, tool

SECRET = "correct horse 7"
CONFIG = f"""# mine
hostname: edge-7
ssh_authorized_keys: [github:octocat]
maculaos:
  password: {SECRET}
  wifi:
    - {{name: depot, passphrase: battery-staple}}
"""


class Installation(InstallTest):
    def config(self, text=CONFIG):
        path = self.folder / "node.yaml"
        path.write_text(text)
        return path

    def test_a_disk_holds_everything_a_machine_starts_from(self):
        self.assert_whole(self.install())

    def test_the_smallest_disk_is_enough_and_less_is_refused_with_the_size_that_is_needed(self):
        self.assert_whole(self.install(size=f"{LEAST}"))
        self.image.unlink()
        said = self.refused(5, "too small", "--image", self.image, "--size", f"{LEAST - MIB}", "--yes")
        self.assertIn("1.3 GiB needed", said)
        self.assertEqual(Disk(self.image).read(0, MIB), bytes(MIB))

    def test_every_disk_has_identities_of_its_own(self):
        first = {part.uuid for part in self.install().partitions().values()}
        self.image.rename(self.folder / "first.img")
        second = {part.uuid for part in self.install().partitions().values()}
        self.assertEqual((len(first), len(second), first & second), (5, 5, set()))

    def test_a_second_installation_begins_anew_whatever_was_there(self):
        disk = self.install("--set", "hostname=old")
        slot_b = disk["rootfs-B"]
        disk.write(slot_b.start + slot_b.size - 4096, b'{"version":"1"}')
        disk.data_write("/maculaos/secret", b"old")
        disk = self.install("--set", "hostname=new")
        self.assert_whole(disk)
        self.assertNotIn("secret", disk.data_names("/maculaos"))
        self.assertIn(b"hostname: new", disk.data_read("/maculaos/config.d/10-install.yaml"))

    def test_the_configuration_is_the_file_as_it_was_with_its_secrets_replaced(self):
        disk = self.install("--config", self.config())
        text = disk.data_read("/maculaos/config.yaml").decode()
        self.assertRegex(text, r'^# mine\nhostname: edge-7\n[^\0]*  password: "?\$6\$')
        self.assertIn("passphrase: \"sealed:v1:", text)
        self.assertEqual(disk.data_names("/maculaos"), [".configured", "config.yaml", "identity", "install"])

    def test_a_user_who_cannot_log_in_is_no_way_to_log_in(self):
        for entry, configured in (("{name: bob}", False), ("{name: bob, ssh_authorized_keys: [github:bob]}", True),
                                  (f"{{name: bob, password: {SECRET}}}", True)):
            with self.subTest(entry):
                disk = self.install("--config", self.config(f"maculaos:\n  users:\n    - {entry}\n"))
                self.assertEqual(".configured" in disk.data_names("/maculaos"), configured)

    def test_a_node_that_sets_itself_up_is_not_configured_yet_and_its_console_is_shut(self):
        unattended = "maculaos:\n  first_boot: {unattended: true, pairing_code: KMH-472}\n"
        disk = self.install("--config", self.config(f"ssh_authorized_keys: [github:octocat]\n{unattended}"))
        self.assertEqual(disk.data_names("/maculaos"), [".password", "config.yaml", "identity", "install"])
        self.assertNotEqual(disk.data_read("/maculaos/.password"), b"")  # else the first start takes it away: boot-env
        self.assertNotIn(b"KMH-472", disk.data_read("/maculaos/config.yaml"))
        disk = self.install("--config", self.config(unattended))
        self.assertEqual(disk.data_names("/maculaos"), ["config.yaml", "identity", "install"])

    def test_no_secret_is_anywhere_on_the_disk_or_in_what_is_said(self):
        done = self.run_install("--image", self.image, "--size", "2G", "--yes", "--config", self.config(), "--progress", "plain",
                                command_line=f'maculaos.token="token-{SECRET}"')
        self.assertEqual(done.returncode, 0, done.stderr)
        for secret in (SECRET, "battery-staple"):
            self.assertNotIn(secret, done.stdout + done.stderr)
            self.assertEqual(subprocess.run(["grep", "-c", secret, self.image], capture_output=True, check=False).stdout.strip(), b"0")

    def test_files_with_secrets_are_roots_alone(self):
        disk = self.install("--config", self.config(), "--set", "maculaos.timezone=Europe/Berlin")
        with disk.extracted("data") as file:
            for name, mode in (("config.yaml", "0600"), ("config.d/10-install.yaml", "0600"), ("identity", "0700"),
                               ("identity/seal.key", "0600")):
                about = tool("debugfs", "-R", f"stat /maculaos/{name}", file).decode()
                self.assertRegex(about, rf"Mode:\s+{mode}\b", name)
                self.assertRegex(about, r"User:\s+0\s+Group:\s+0\b", name)

    def test_answers_come_from_the_kernel_command_line_and_options(self):
        disk = self.install("--set", "maculaos.keyboard=de-latin1", "--set", "maculaos.mesh.roles.gateway=true",
                            command_line="quiet maculaos.hostname=edge-9 maculaos.install.tty=ttyS1 maculaos.install.debug")
        text = disk.data_read("/maculaos/config.d/10-install.yaml").decode()
        for line in ("hostname: edge-9", "keyboard: de-latin1", "gateway: true"):
            self.assertIn(line, text)
        self.assertNotIn("ttyS1", text)
        self.assertIn(b'set args="console=ttyS1,115200 loglevel=7 macula.trace=1"\n', disk.esp_read("/grub/local.cfg"))
        self.assertNotIn(".configured", disk.data_names("/maculaos"))

    def test_the_log_stays_on_the_new_disk(self):
        disk = self.install()
        name, = disk.data_names("/maculaos/install")
        log = disk.data_read(f"/maculaos/install/{name}").decode()
        self.assertIn(self.medium.about["root_hash"], log)
        self.assertIn("Writing MaculaOS 9.8.7 to slot a", log)
        self.assertIn("the boot loader is on the disk as it was written", log)
        self.assertTrue(log.endswith("the partition table and the boot sector follow as the last step\n"))

    def test_the_result_can_be_read_by_a_program(self):
        done = self.run_install("--image", self.image, "--size", "2G", "--yes", "-o", "json")
        result = json.loads(done.stdout)
        self.assertEqual((result["disk"]["path"], result["version"], result["root_hash"]),
                         (str(self.image), "9.8.7", self.medium.about["root_hash"]))

    def test_large_slots_get_room_for_growth(self):
        medium = Medium(self.folder / "large", 100_000)
        disk = self.install(size="3G", medium=medium)
        self.assert_whole(disk, medium)
        self.assertEqual(disk["rootfs-A"].size, 640 * MIB)

    def test_a_dry_run_writes_nothing(self):
        self.image.write_bytes(b"")
        os.truncate(self.image, 2 << 30)
        done = self.run_install("--image", self.image, "--dry-run", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Would install MaculaOS 9.8.7", done.stdout)
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_nothing_is_left_in_the_folders_it_works_in(self):
        with tempfile.TemporaryDirectory() as folder:
            self.install(environment={"TMPDIR": folder})
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])
            missing = pathlib.Path(folder) / "missing"
            done = self.run_install("--image", self.image, "--size", "2G", "--yes", environment={"TMPDIR": str(missing)})
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"{missing}: there is no room to work in", done.stderr)


class Refusals(InstallTest):
    def image_of(self, size):
        self.image.write_bytes(b"")
        os.truncate(self.image, size)
        return self.image

    def test_without_a_terminal_it_wants_yes(self):
        self.refused(5, "say --yes", "--image", self.image_of(2 << 30))
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_a_file_is_taken_for_a_disk_only_when_it_is_said_so(self):
        self.refused(5, "say --image", self.image_of(2 << 30), "--yes")

    def test_a_disk_that_is_not_there_is_named_with_those_that_are(self):
        self.refused(1, "there is no disk /dev/nonesuch; there are:", "/dev/nonesuch", "--yes")

    def test_a_configuration_names_a_disk_by_path_name_or_serial_number_as_an_option_does(self):
        for name in ("/dev/nonesuch", "nonesuch0", "S1234X", "WD-WX 12"):
            with self.subTest(name):
                self.refused(1, f"there is no disk {name}; there are:", command_line=f'maculaos.install.silent "maculaos.install.device={name}"')
        self.refused(5, "a disk: a path such as /dev/sda, its name, or its serial number", "--yes", command_line="maculaos.install.device=/etc")

    def test_what_is_no_disk_is_refused(self):
        self.refused(5, "is no disk", "/dev/null", "--yes")
        self.refused(5, "is no regular file", "--image", "/dev/null", "--yes")

    def test_a_disk_in_use_is_refused(self):
        mounted = json.loads(tool("lsblk", "-J", "-o", "PATH,TYPE,MOUNTPOINTS"))["blockdevices"]
        disks = [d["path"] for d in mounted if d["type"] == "disk" and any(d["mountpoints"])]
        if not disks:
            self.skipTest("no disk of this machine is mounted as a whole")
        self.refused(5, "cannot be installed to: ", disks[0], "--yes")

    def test_an_image_that_another_installer_writes_is_refused(self):
        import fcntl
        with open(self.image_of(2 << 30), "rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.refused(5, "in use by another installer", "--image", self.image, "--yes")

    def test_a_configuration_that_a_node_would_refuse_is_refused_with_the_place(self):
        config = self.folder / "bad.yaml"
        config.write_text("hostname: edge-7\nmaculaos:\n  timezoen: UTC\n")
        said = self.refused(5, "timezoen", "--image", self.image_of(2 << 30), "--yes", "--config", config)
        self.assertIn(":3:", said)
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_a_network_that_netd_would_refuse_is_refused_with_the_place(self):
        config = self.folder / "bad.yaml"
        for interface, why, line in (("addresses: [192.168.7.2/24]\n        gateway: 10.0.0.1", "in one network with 10.0.0.1", 6),
                                     ("addresses: [192.168.7.0/24]", "the network itself", 5)):
            with self.subTest(interface):
                config.write_text(f"maculaos:\n  network:\n    interfaces:\n      eth7:\n        {interface}\n")
                self.assertIn(f":{line}:", self.refused(5, why, "--image", self.image_of(2 << 30), "--yes", "--config", config))
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_a_gateway_on_the_link_of_an_address_that_is_alone_is_taken(self):
        for address, gateway in (("10.1.2.3/32", "172.31.1.1"), ("192.168.7.2/24", "192.168.7.1"), ("2001:db8::2/64", "fe80::1")):
            with self.subTest(address):
                done = self.run_install("--image", self.image_of(2 << 30), "--yes", "--dry-run", "--set",
                                        f'maculaos.network.interfaces.eth7={{"addresses": ["{address}"], "gateway": "{gateway}", "dns": ["fe80::1"]}}')
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_typing_mistake_on_the_kernel_command_line_stops_it(self):
        self.refused(5, "hostnam", "--image", self.image_of(2 << 30), "--yes", command_line="maculaos.hostnam=x")
        self.refused(5, "not localhost", "--image", self.image_of(2 << 30), "--yes", command_line="maculaos.hostname=localhost")
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_what_cannot_be_followed_is_refused_not_passed_over(self):
        for option in ("no_format", "config_url=https://example.com/a.yaml", "iso_url=https://example.com/a.iso",
                       "netboot.source=local", "self_hosted.url=https://example.com/a"):
            self.refused(5, f"maculaos.install.{option.split('=')[0].split('.')[0]}: ", "--image", self.image_of(2 << 30), "--yes", command_line=f"maculaos.install.{option}")

    def test_a_damaged_medium_never_becomes_a_disk_that_starts(self):
        medium = Medium(self.folder / "bad")
        slot = medium.folder / "slot.img"
        data = bytearray(slot.read_bytes())
        data[123456] ^= 1
        slot.write_bytes(data)
        self.refused(5, "the medium is damaged", "--image", self.image, "--size", "2G", "--yes", medium=medium)
        self.assertFalse(self.is_bootable(Disk(self.image)))

    def test_a_root_hash_that_is_not_the_slots_never_becomes_a_disk_that_starts(self):
        medium = Medium(self.folder / "bad")
        medium.write_about(root_hash="5" * 64)
        self.refused(5, "the medium is damaged", "--image", self.image, "--size", "2G", "--yes", medium=medium)
        self.assertFalse(self.is_bootable(Disk(self.image)))

    def test_a_medium_that_lacks_a_file_or_has_half_of_it_is_refused_before_anything_is_written(self):
        for name, how in (("slot.json", ""), ("slot.img", "half"), ("esp.img.gz", "half"), ("boot.img", ""), ("slot.json", "{}")):
            with self.subTest(name, how=how), tempfile.TemporaryDirectory() as folder:
                medium = Medium(pathlib.Path(folder) / "bad")
                file = medium.folder / name
                if how == "half":
                    os.truncate(file, file.stat().st_size // 2)
                elif how:
                    file.write_text(how)
                else:
                    file.unlink()
                done = self.run_install("--image", self.image_of(2 << 30), "--yes", medium=medium)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(name, done.stderr)
                self.assertEqual(self.image.stat().st_blocks, 0)

    def test_usage_errors_are_exit_code_2(self):
        for words in (["--size", "4G"], ["--size", "big", "--image", "x"], ["a", "b"], ["--image", "x", "y"],
                      ["--reboot", "--power-off"], ["--nonesuch"], ["--progress", "no"], ["-o", "xml"]):
            self.assertEqual(self.run_install(*words).returncode, 2, words)

    def test_only_root_may_install(self):
        done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", install_rig.PROGRAM, "--list"], capture_output=True,
                              text=True, check=False, env=install_rig.ENVIRONMENT)
        if done.returncode == 127 or "setpriv" in done.stderr or not os.access(install_rig.PROGRAM, os.X_OK):
            self.skipTest("setpriv cannot be used here")
        self.assertEqual(done.returncode, 6, done.stderr)

    def test_the_list_can_be_read_by_a_program(self):
        disks = json.loads(self.run_install("--list", "-o", "json").stdout)
        self.assertTrue(all(stat.S_ISBLK(os.stat(disk["path"]).st_mode) for disk in disks), disks)
        self.assertTrue(all(re.match("/dev/", disk["path"]) for disk in disks))


class Devices(InstallTest):
    """A real block device: a loop device over the image; skipped where there are none."""

    def loop(self, *options):
        self.image.write_bytes(b"")
        os.truncate(self.image, 2 << 30)
        done = subprocess.run(["losetup", "--find", "--show", *options, self.image], capture_output=True, text=True, check=False)
        if done.returncode:
            self.skipTest(f"no loop devices here: {done.stderr}")
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=True)
        return device

    def test_a_device_is_installed_to_claimed_and_given_back(self):
        device = self.loop()
        self.assertEqual(self.run_install(device, "--yes").returncode, 0)
        self.assert_whole(Disk(self.image))
        with open(device, "rb") as file:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
            self.assertEqual(file.read(4)[:1], Disk(self.image).read(0, 1))
        again = self.run_install(device.removeprefix("/dev/"), "--yes")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assert_whole(Disk(self.image))

    def test_a_device_that_another_program_holds_is_refused_whatever_was_listed(self):
        device = self.loop()
        held = os.open(device, os.O_RDONLY | os.O_EXCL)
        self.addCleanup(os.close, held)
        self.refused(5, "held by another program", device, "--yes")
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_a_write_protected_device_is_refused(self):
        self.refused(5, "it is write-protected", self.loop("--read-only"), "--yes")

    def test_a_device_with_large_sectors_is_refused(self):
        self.refused(5, "its sectors have 4096 bytes", self.loop("--sector-size", "4096"), "--yes")

    def test_a_mounted_device_is_refused(self):
        device = self.loop()
        tool("mkfs.ext4", "-q", device)
        place = self.folder / "mounted"
        place.mkdir()
        if subprocess.run(["mount", device, place], capture_output=True, check=False).returncode:
            self.skipTest("mounting is not permitted here")
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        self.refused(5, f"it is in use: mounted at {place}", device, "--yes")


class Failures(InstallTest):
    def in_mounts(self, prepare, *words):
        """Runs the installer where `prepare` (shell) was done in a mount namespace of its own; skipped where that is not permitted."""
        script = f"{prepare} || exit 99; \"$@\"; code=$?; head -c 512 disk.img >{self.folder}/first; exit $code"
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", install_rig.PROGRAM, *words], capture_output=True, text=True,
                              env=install_rig.ENVIRONMENT, check=False, timeout=120, cwd=self.folder)
        if done.returncode == 99 or "unshare" in done.stderr:
            self.skipTest(f"mounting is not permitted here: {done.stderr}")
        return done

    def test_a_disk_that_takes_no_more_is_named_and_does_not_start(self):
        medium = Medium(self.folder / "long", 20_000)
        done = self.in_mounts("mkdir full && mount -t tmpfs -o size=20M tmpfs full && cd full && truncate -s 2G disk.img",
                              "--medium", medium.folder, "--image", "disk.img", "--yes")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("disk.img: there is no room for what is to be written", done.stderr)
        self.assertEqual((self.folder / "first").read_bytes(), bytes(512))

    def test_a_disk_that_gives_back_something_else_never_starts(self):
        medium = Medium(self.folder / "long", 20_000)
        self.image.write_bytes(b"")
        os.truncate(self.image, 2 << 30)
        wrong = medium.slot[100] ^ 255
        liar = subprocess.Popen([sys.executable, "-c", "import os\nfile = os.open(%r, os.O_WRONLY)\nprint(flush=True)\n"
                                 "while True: os.pwrite(file, bytes([%d]), %d)" % (str(self.image), wrong, 66 * MIB + 100)],
                                stdout=subprocess.PIPE)
        try:
            liar.stdout.readline()
            self.refused(1, "does not give back what was written", "--image", self.image, "--yes", medium=medium)
        finally:
            liar.kill()
            liar.communicate()
        self.assertFalse(self.is_bootable(Disk(self.image)))

    def test_without_a_program_that_it_needs_it_says_which_and_writes_nothing(self):
        done = self.in_mounts("mkdir empty && mount --bind empty /usr/sbin", "--medium", self.medium.folder, "--image", "disk.img",
                              "--size", "2G", "--yes")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("sfdisk cannot be started", done.stderr)
        self.assertEqual(Disk(self.image).read(0, MIB), bytes(MIB))


if __name__ == "__main__":
    install_rig.main()
