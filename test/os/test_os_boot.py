"""The images boot, on every firmware and board, from every kind of disk, and the node answers."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import unittest
import urllib.request

from os_bootstate import write_state
from os_bus import Bus, Key
from os_case import NODE, SOURCE, Images, OsTest, quick
from os_console import PATIENCE, Console
from os_disk import Disk
from os_machine import Drive, one_at_a_time


class Boot(OsTest):
    @quick
    def test_the_disk_image_boots_and_its_node_answers_the_admin_alone(self):
        disk = self.disk(menu=True)
        machine = self.machine(disk, self.medium())
        environment = self.up(machine)
        self.assertEqual((environment["mode"], environment["slot"], environment["pending"]), ("disk", "a", "0"))
        self.assertEqual(environment["verity"], "on")
        with self.bus(machine) as bus:
            self.assertIn("hostname", str(bus.json(NODE)))
        # What was kept from the start is let go when the node answers.
        machine.console.ok("until ! doas sh -c 'ls -l /proc/[0-9]*/exe' 2>/dev/null | grep -q 'busybox (deleted)'; do sleep 1; done", 120)
        for stranger in (None, Key.new().seed):
            with self.assertRaises(ConnectionError):
                Bus(machine.ports["bus"], stranger)

    @quick
    def test_the_iso_boots_live_as_a_cd_under_uefi(self):
        machine = self.machine(self.iso(), self.medium(), board="q35", firmware="ovmf")
        self.assertEqual(self.up(machine)["mode"], "live")
        with self.bus(machine) as bus:
            bus.json(NODE)
            self.assertIn("io.nats.micro.v1.ping_response", str(bus.json("$SRV.PING")))

    def test_the_iso_keeps_its_data_where_a_place_was_made_for_them(self):
        place = self.empty_disk("place", 1 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "MACULA-LIVE", place.path], check=True)
        ids = []
        for start in ("first", "second"):
            machine = self.machine(self.iso(), place, self.medium(start), name=start)
            environment = self.up(machine)
            self.assertEqual((environment["mode"], environment["persistent"], environment["data"]), ("live", "1", "/dev/vda"))
            machine.console.ok("until grep -q 'data are kept on /dev/vda' /run/motd; do sleep 1; done", 60)
            ids.append(machine.console.ok("cat /etc/machine-id"))
            if start == "first":
                machine.console.ok("doas sh -c 'echo kept >/var/lib/data/file && sync'")
            self.assertEqual(machine.console.ok("cat /var/lib/data/file").strip(), "kept")
            with self.bus(machine) as bus:
                bus.json(NODE)
            machine.console.line("doas poweroff")
            self.assertEqual(machine.wait_end(), "off")
        self.assertEqual(ids[0], ids[1])
        subprocess.run(["e2fsck", "-fn", place.path], check=True, stdout=subprocess.DEVNULL)

    def test_a_stick_with_the_iso_keeps_its_data_behind_the_image_also_as_the_second_disk(self):
        stick, sector = self.folder / "stick.img", 512
        shutil.copyfile(Images.of("iso"), stick)
        os.truncate(stick, 1 << 30)
        for word, option in ((None, ["--relocate", "gpt-bak-std"]), (", +\n", ["--append"])):
            subprocess.run(["sfdisk", "-q", *option, stick], input=word, text=True, check=True, capture_output=True)
        place = json.loads(subprocess.run(["sfdisk", "-J", stick], check=True, capture_output=True).stdout)["partitiontable"]["partitions"][3]
        subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "MACULA-LIVE", "-E", f"offset={place['start'] * sector}", stick,
                        f"{place['size'] * sector // 1024}k"], check=True)
        machine = self.machine(Drive(stick, "usb"), Drive(self.empty_disk().path, "ide"), board="q35")
        environment = self.up(machine)
        self.assertEqual((environment["mode"], environment["persistent"], environment["data_problem"]), ("live", "1", ""))
        self.assertEqual((environment["medium"], environment["data"]), ("/dev/sdb1", "/dev/sdb4"))

    def test_the_iso_boots_everywhere(self):
        for bus in ("cd", "usb"):
            for firmware in ("seabios", "ovmf"):
                for board in ("pc", "q35"):
                    with self.subTest(bus=bus, firmware=firmware, board=board):
                        machine = self.machine(self.iso(bus), name=f"{bus}-{firmware}-{board}", board=board, firmware=firmware)
                        self.assertEqual(self.up(machine)["mode"], "live")
                        machine.stop()

    def test_the_disk_image_boots_from_every_kind_of_disk(self):
        for bus, firmware, board in (("ide", "seabios", "pc"), ("nvme", "seabios", "q35"), ("usb", "seabios", "q35"),
                                     ("raid", "seabios", "q35"), ("virtio", "ovmf", "pc"), ("ide", "ovmf", "q35"), ("nvme", "ovmf", "q35"), ("usb", "ovmf", "q35")):
            with self.subTest(bus=bus, firmware=firmware, board=board):
                drive = Drive(self.disk().path, bus)
                machine = self.machine(drive, name=f"{bus}-{firmware}-{board}", board=board, firmware=firmware)
                self.assertEqual(self.up(machine)["slot"], "a")
                machine.stop()

    def test_the_qcow2_image_boots(self):
        overlay = Disk.overlay(Images.of("qcow2"), self.folder / "disk.qcow2", "qcow2")
        self.assertEqual(self.up(self.machine(Drive(overlay.path, format="qcow2")))["mode"], "disk")

    def test_it_takes_a_configuration_once_lets_its_keys_log_in_and_ends_in_order(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "ssh"], check=True)
        ours = (self.folder / "ssh.pub").read_text().strip()
        disk = self.disk()
        machine = self.machine(disk, self.medium(more=f"ssh_authorized_keys:\n  - {ours}\nhostname: given\n"), name="first")
        self.up(machine)
        with self.bus(machine) as bus:
            self.assertEqual(bus.json(NODE)["hostname"], "given")
        self.assertEqual(self.ssh(machine.ports["ssh"], self.folder / "ssh", "id", "-un"), "macula")
        # What was started without OpenRC it can stop and start again, as healthd, confd and a person ask it to.
        for service in ("dropbear", "network", "macula"):
            machine.console.ok(f"doas rc-service {service} restart", 120)
        self.assertEqual(self.ssh(machine.ports["ssh"], self.folder / "ssh", "id", "-un"), "macula")
        with self.bus(machine) as bus:
            self.assertEqual(bus.json(NODE)["hostname"], "given")
        machine.console.ok("doas sh -c ': >/var/log/messages'")
        machine.console.line("doas poweroff || poweroff")
        self.assertEqual(machine.wait_end(), "off")
        self.assertNotIn("ERROR:", machine.console.text)
        self.assertEqual(disk.data_check(), "")
        other = Key.new()
        machine = self.machine(disk, self.medium("later", other, "hostname: later\n"), name="second")
        machine.start()
        with self.bus(machine, seconds=240) as bus:
            self.assertEqual(bus.json(NODE)["hostname"], "given")
        with self.assertRaises(ConnectionError):
            Bus(machine.ports["bus"], other.seed)
        # The node was not killed with everything else: it ended its units and its bus while the others still ran.
        log = self.ssh(machine.ports["ssh"], self.folder / "ssh", "doas", "cat", "/var/log/messages")
        self.assertRegex(log, r"(?s)stopping /usr/bin/maculaos.*Server Exiting.*stopping /usr/sbin/dropbear")

    def test_commands_of_the_initramfs_run_from_the_next_start_on_and_none_stops_it(self):
        disk, sees = self.disk(), "/var/lib/data/seen"
        more = ("init_cmd:\n"
                f"  - 'cat /proc/sys/kernel/random/boot_id >>{sees}; test -e /dev/null && test -d /sys/class/net && test -e /run/initramfs/log'\n"
                "  - 'echo why it failed >&2; exit 7'\n"
                "  - {command: 'tail -f /dev/null', timeout: 1s}\n"
                f"  - 'echo last >>{sees}'\n")
        machine = self.machine(disk, self.medium(more=more), name="first")
        self.up(machine)
        with self.bus(machine) as bus:
            bus.json(NODE)
        machine.console.ok(f"until doas test -e /var/lib/maculaos/init_cmd; do sleep 1; done; ! test -e {sees}", 120)
        machine.power_cut()
        machine = self.machine(disk, name="second")
        self.up(machine)
        boot, last = machine.console.ok(f"cat {sees}").splitlines()
        self.assertEqual((boot, last), (machine.console.ok("cat /proc/sys/kernel/random/boot_id"), "last"))
        log = machine.console.ok("cat /run/initramfs/log")
        for said in ("init_cmd[0]: done", "why it failed", "init_cmd[1] failed with exit code 7", "init_cmd[2] was killed after its timeout of 1 s",
                     "init_cmd[3]: done"):
            self.assertIn(said, log)

    def ssh(self, port, key, *words):
        """What a command says over the network; waits for the server, which may still be starting."""
        command = ["ssh", "-i", key, "-p", str(port), "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "-o", "UserKnownHostsFile=/dev/null",
                   "-o", "StrictHostKeyChecking=no", "-o", "ConnectionAttempts=60", "macula@127.0.0.1", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    @staticmethod
    def page(url, console, seconds=120):
        """What a browser gets; waits for the server, which may still be starting."""
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            try:
                with urllib.request.urlopen(url, timeout=30) as answer:
                    return answer.read().decode()
            except OSError as problem:
                if time.monotonic() > deadline:
                    raise console.failed(f"{url} does not answer: {problem}") from None
                console.expect_quiet(1)

    def test_make_qemu_says_how_to_reach_the_node_and_ends_when_told(self):
        (self.folder / "macula-os-0-amd64.img").symlink_to(Images.of("img").resolve())
        ours, its = socket.socketpair()
        environment = {**os.environ, "IMAGE_DIR": str(self.folder), "IMAGE_VERSION": "0", "ARCH": "amd64"}
        with one_at_a_time(), subprocess.Popen([SOURCE / "images" / "qemu"], stdin=its, stdout=its, stderr=its, env=environment) as qemu:
            its.close()
            console = Console(ours, self.folder / "serial.log")
            try:
                ssh = console.expect(r"ssh -i (\S+) -p (\d+) ")
                bus = console.expect(r"nats --nkey (\S+) -s nats://127.0.0.1:(\d+) req macula.rpc.io.macula.node")
                web = console.expect(r"web +(http://127.0.0.1:\d+/)")
                console.expect(r"login: ?$", 300)
                with self.connected(int(bus[2]), pathlib.Path(bus[1]).read_text(), console) as node:
                    self.assertIn("hostname", str(node.json(NODE)))
                self.assertEqual(self.ssh(int(ssh[2]), ssh[1], "id", "-un"), "macula")
                self.assertIn("<html", self.page(web[1], console))
                console.send("\x01x")
                self.assertEqual(qemu.wait(60 * PATIENCE), 0)
            finally:
                qemu.kill()
                console.close()

    def test_it_boots_without_a_network(self):
        self.assertEqual(self.up(self.machine(self.disk(), network=False))["mode"], "disk")

    def test_a_console_that_the_installer_was_told_has_a_login(self):
        disk, heard = self.disk(), self.folder / "second.log"
        disk.esp_write("/grub/local.cfg", b'set timeout=0\nset args="console=ttyS1,115200"\n')  # as macula-install writes it
        machine = self.machine(disk, options=["-chardev", f"file,id=second,path={heard}", "-device", "isa-serial,chardev=second,index=1"])
        self.up(machine)
        machine.console.ok("until pgrep -f '[g]etty.*ttyS1'; do sleep 0.5; done", 60)
        deadline = time.monotonic() + 60 * PATIENCE
        while not re.search(r"\w login: ?\Z", heard.read_text(errors="replace")):
            self.assertLess(time.monotonic(), deadline, heard.read_text(errors="replace"))
            machine.console.expect_quiet(0.5)

    def test_a_second_disk_with_the_same_names_is_left_alone(self):
        ours, other = self.disk("ours"), self.disk("other")
        other.renumber()
        before = other.path.read_bytes()[other["data"].start:]
        environment = self.up(self.machine(ours, other))
        self.assertTrue(environment["data"].startswith(environment["disk"]), environment)
        self.assertEqual(other.path.read_bytes()[other["data"].start:], before)

    def larger(self, disk, size):
        """The same disk with more behind it."""
        with disk.path.open("r+b") as file:
            file.truncate(size)
        return Disk(disk.path)

    def test_without_the_serial_port_of_the_command_line_all_is_said_where_somebody_can_read_it(self):
        disk = self.disk()
        # The last console of the command line, which the kernel takes for /dev/console, is a port that is not there.
        disk.esp_write("/grub/local.cfg", b'set timeout=0\nset espid="$espid console=ttyS1"\n')
        write_state(disk, next="recovery")
        machine = self.machine(disk, port=1, name="recovery")
        console = machine.start().console
        console.expect("Recovery> $", 120)
        console.line("8")
        console.expect("[#$] $", 60)
        console.take_shell()
        self.assertEqual(console.ok("tr ' ' '\\n' </proc/cmdline | grep ^console= | tail -n 1").strip(), "console=ttyS0,115200")
        self.assertEqual(console.ok("grep -l 'recovery-men[u]' /proc/[0-9]*/cmdline 2>/dev/null | wc -l").strip(), "2")  # the screen's and this one's
        console.line("exit")
        console.expect("Recovery> $", 60)
        console.line("9")
        console.expect("MaculaOS: recovery has ended: restarting", 60)
        self.assertEqual(machine.wait_end(60), "reset")
        disk.esp_write("/grub/local.cfg", b'set timeout=0\nset args="console=ttyS1"\n')
        machine = self.machine(disk, port=1, name="system")
        self.up(machine)
        machine.console.ok("! pgrep -f 'getty.*ttyS0'")
        machine.console.ok("pgrep -f 'getty.*tty1'")

    def test_data_grows_into_a_bigger_disk_at_the_first_boot(self):
        disk = self.disk(size=4 << 30)
        machine = self.machine(disk)
        self.up(machine)
        machine.console.line("sync")
        machine.console.ok("sync")
        machine.power_cut()
        self.assertGreater(disk["data"].start + disk["data"].size, (4 << 30) - (2 << 20))
        self.assertGreater(disk.data_size(), disk["data"].size * 95 // 100)
        self.assertEqual(disk.data_check(), "")
        before = disk.data_size()
        disk = self.larger(disk, (4 << 30) + (160 << 20))  # less than the tables of a file system take
        machine = self.machine(disk, name="larger")
        self.up(machine)
        machine.console.ok("sync")
        machine.power_cut()
        self.assertGreater(disk.data_size(), before + (120 << 20))
        self.assertEqual(disk.data_check(), "")
        self.assertNotEqual(disk["esp"].uuid, self.disk("image")["esp"].uuid)  # two such disks can be told apart now


if __name__ == "__main__":
    unittest.main()
