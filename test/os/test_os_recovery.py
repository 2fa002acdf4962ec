"""The recovery: entered by choice and by need, everything that it offers, over the console and over SSH."""
import subprocess
import tempfile
import unittest

from os_bootstate import state_on, write_state
from os_case import OsTest
from os_disk import tool

MENU, DOWN = r"Recovery> $", "\x0e"
PASSWORD = "correct horse"


class Recovery(OsTest):
    def node(self, config, key=False):
        """A node that was up once with this configuration; returns (disk, file of a private SSH key)."""
        disk = self.disk()
        private = self.folder / "id"
        if key:
            private.unlink(missing_ok=True)
            tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private)
            config += f"ssh_authorized_keys: [\"{private.with_suffix('.pub').read_text().strip()}\"]\n"
        with disk.extracted("data", back=True) as file, tempfile.NamedTemporaryFile("w") as text:
            text.write(config)
            text.flush()
            tool("debugfs", "-w", "-R", "mkdir maculaos", file)
            tool("debugfs", "-w", "-R", f"write {text.name} maculaos/config.yaml", file)
        machine = self.machine(disk, name="before")
        self.up(machine)
        # The configuration is in force once there is a generation.
        machine.console.ok("until maculaos node info -o json 2>/dev/null | grep -q '\"generation\"'; do sleep 1; done; sync", 120)
        machine.power_cut()
        return disk, private

    def recovery(self, disk, name="recovery", **more):
        """The machine at the recovery's menu."""
        machine = self.machine(disk, name=name, **more)
        machine.start().console.expect(MENU, 240)
        return machine

    def asked_for(self, disk, name="recovery"):
        write_state(disk, next="recovery")
        return self.recovery(disk, name)

    def choose(self, machine, words, expected, seconds=120):
        """Types lines, one for each question; waits for the answer."""
        for word, question in words:
            machine.console.line(word)
            if question:
                machine.console.expect(question, seconds)
        return machine.console.expect(expected, seconds)

    @staticmethod
    def shell(machine):
        machine.console.line("8")
        machine.console.expect(r"[#$] $", 30)
        machine.console.take_shell()
        return machine.console

    def test_asked_for_it_shows_the_node_and_lets_administrators_in(self):
        disk, key = self.node("hostname: before\n", key=True)
        machine = self.asked_for(disk)
        said = machine.console.text
        self.assertIn("slot a    version", said)
        self.assertIn("can be mounted", said)
        console = self.shell(machine)
        console.ok("until ls /run/recovery/address.*; do sleep 1; done", 60)
        ssh = ["ssh", "-i", str(key), "-p", str(machine.ports["ssh"]), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "root@127.0.0.1"]
        done = subprocess.run([*ssh, "macula-recovery status"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("ssh root@", done.stdout)
        done = subprocess.run([*ssh, "macula-recovery reset"], capture_output=True, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("--yes", done.stderr)
        other = self.folder / "other"
        tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
        ssh[2] = str(other)
        done = subprocess.run([*ssh, "true"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 255)

    def test_a_configuration_comes_back_and_a_password_is_set(self):
        disk, _ = self.node("hostname: before\n")
        machine = self.asked_for(disk)
        console = self.shell(machine)
        said = console.ok("macula-recovery check", 240)
        self.assertIn("was not taken down in order", said)
        self.assertIn("is in order", said)
        self.assertIn("*1", console.ok("macula-recovery generations"))
        console.ok(f"echo '{PASSWORD}' | macula-recovery password")
        self.assertIn("*2", console.ok("macula-recovery generations"))
        self.assertNotEqual(console.run("grep -r horse /run/initramfs/log")[0], 0)
        console.ok("macula-recovery restore 1")
        console.ok("macula-recovery restore 2")
        self.assertEqual(console.run("macula-recovery restore 99")[0], 5)
        console.line("exit")
        machine.console.expect(MENU)
        machine.console.line("9")
        self.assertEqual(machine.wait_end(60), "reset")
        machine.start().console.log_in_with(PASSWORD)

    def test_damaged_data_are_checked_repaired_or_made_anew(self):
        disk, _ = self.node("hostname: before\n")
        part = disk["data"]
        disk.write(part.start + 1024 + 56, b"\0\0")  # the superblock's magic number
        machine = self.asked_for(disk)
        self.assertIn("CANNOT BE MOUNTED", machine.console.text)
        self.choose(machine, [("1", None)], "is damaged")
        machine.console.expect(MENU)
        self.choose(machine, [("2", None)], "is repaired")
        machine.console.expect(MENU)
        self.choose(machine, [("1", None)], "is in order")
        machine.console.expect(MENU)
        machine.console.line("9")
        self.assertEqual(machine.wait_end(60), "reset")
        machine.start().console.expect(r"login: ?$", 240)

    def test_format_makes_an_empty_file_system_of_what_is_beyond_repair(self):
        disk, _ = self.node("hostname: before\n")
        disk.wipe("data")
        console = self.shell(self.asked_for(disk))
        self.assertEqual(console.run("macula-recovery repair")[0], 1)
        code, said = console.run("macula-recovery format </dev/null")
        self.assertEqual(code, 2, said)
        self.assertIn("--yes", said)
        self.assertEqual(console.run("macula-recovery mount")[0], 1)
        self.assertIn("a fresh node", console.ok("macula-recovery format --yes"))
        self.assertIn("is in order", console.ok("macula-recovery check"))
        console.line("macula-recovery restart")
        machine = self.machines[-1]
        self.assertEqual(machine.wait_end(60), "reset")
        self.assertEqual(disk.read(disk["data"].start + 1024 + 120, 14), b"MACULAOS_STATE")
        environment = self.up(machine)
        self.assertEqual((environment["persistent"], environment["data_problem"]), ("1", ""))
        self.assertNotIn("before", machine.console.ok("hostname"))

    def test_the_previous_version_starts_next(self):
        disk = self.disk()
        disk.copy_slot("a", "b")
        machine = self.asked_for(disk)
        self.choose(machine, [("3", None)], "in slot b starts next")
        machine.console.expect(MENU)
        machine.console.line("9")
        self.assertEqual(machine.wait_end(60), "reset")
        self.assertEqual(state_on(disk).pending, "b")
        self.assertEqual(self.up(machine)["slot"], "b")

    def test_the_recoverys_factory_reset_leaves_a_fresh_node(self):
        disk, _ = self.node("hostname: before\n")
        machine = self.asked_for(disk)
        self.choose(machine, [("6", r"Keep user data"), ("no", r"Type yes"), ("no", None)], "nothing was done")
        machine.console.expect(MENU)
        self.choose(machine, [("6", r"Keep user data"), ("no", r"Type yes"), ("yes", None)], "done")
        self.assertEqual(machine.wait_end(120), "reset")
        self.assertNotIn("config.yaml", disk.data_names("/maculaos"))
        self.assertEqual(state_on(disk).reset, "none")
        self.up(machine)
        self.assertNotIn("before", machine.console.ok("hostname"))

    def test_when_the_slot_cannot_be_used_it_comes_by_itself_and_says_why(self):
        disk = self.disk()
        disk.esp_write("/grub/local.cfg", b"set timeout=0\nset args=macula.watchdog=20\n")
        digest = state_on(disk).verity_a.split(":")[0]
        write_state(disk, verity_a=f"{digest}:0009999999")  # more blocks than the partition has
        machine = self.recovery(disk, watchdog=True)
        self.assertRegex(machine.console.text, r"reason +slot a cannot be verified")
        self.assertIn("armed with 20 s", self.shell(machine).ok("sleep 45; cat /run/initramfs/log", 240))

    def test_the_mediums_recovery_takes_what_is_plugged_in_while_it_runs(self):
        disk = self.disk()
        with disk.extracted("data", back=True) as file, tempfile.NamedTemporaryFile("w") as keys:
            keys.write("ssh-ed25519 AAAA somebody\n")
            keys.flush()
            for request in ("mkdir root", "mkdir root/.ssh", f"write {keys.name} root/.ssh/authorized_keys"):
                tool("debugfs", "-w", "-R", request, file)
        machine = self.machine(self.iso(), options=["-device", "qemu-xhci,id=usb", "-blockdev",
                                                    f"driver=raw,node-name=later,file.driver=file,file.filename={disk.path}"])
        machine.start().console.expect("Recovery", 120)
        machine.console.send(DOWN * 2 + "\r")
        machine.console.expect(MENU, 240)
        self.assertIn("none holds a node", machine.console.text)
        console = self.shell(machine)
        machine.qmp.call("device_add", driver="usb-kbd", bus="usb.0")
        console.ok("until ls -d /sys/bus/usb/drivers/usbhid/*:*; do sleep 1; done", 60)
        code, said = console.run("macula-recovery check")
        self.assertEqual(code, 1)
        self.assertIn("plug it in", said)
        machine.qmp.call("device_add", driver="usb-storage", bus="usb.0", drive="later")
        console.ok("until grep -qs PARTNAME=data /sys/class/block/*/uevent; do sleep 1; done", 60)
        self.assertIn("is in order", console.ok("macula-recovery check", 240))
        said = console.ok("until macula-recovery status | grep 'ssh root@'; do sleep 1; done; macula-recovery status", 60)
        self.assertIn("disk      /dev/sda", said)
        self.assertIn("can be mounted", said)

    def test_data_that_cannot_be_mended_are_made_anew_by_a_reset_of_everything(self):
        disk = self.disk()
        disk.wipe("data")
        write_state(disk, reset="all")
        machine = self.machine(disk)
        machine.start()
        machine.console.expect("a new file system is made", 240)
        self.assertEqual(machine.wait_end(120), "reset")
        self.assertEqual(self.up(machine)["persistent"], "1")


if __name__ == "__main__":
    unittest.main()
