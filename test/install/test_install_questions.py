"""The questions, on a real terminal (a pseudo-terminal): good and bad answers, back, leaving."""
import os
import pty
import re
import select
import signal
import subprocess
import time

import install_rig
from install_rig import ENVIRONMENT, PROGRAM, InstallTest
from os_disk import Disk

PASSWORD = "correct horse 7"
KEYBOARD = r"Keyboard[^[]*\[us\]: "
CONFIRM = r"Type disk.img to erase it and install, or quit: "
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDdPH1x1pWf4eB3nvO2kUqQ6z1T0x7mX2m4m1vJ0w3aV me@here"


class Terminal:
    """A person at a terminal: waits for a question, answers it."""

    def __init__(self, *words, command_line="", environment=None):
        self.master, slave = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen([PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: self._control(), env={**ENVIRONMENT, "MACULA_CMDLINE": command_line, **(environment or {})})
        os.close(slave)

    @staticmethod
    def _control():
        import fcntl
        import termios
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def read(self, seconds=60):
        if not select.select([self.master], [], [], seconds)[0]:
            raise AssertionError(f"nothing more was said after:\n{self.said}")
        try:
            data = os.read(self.master, 4096).decode(errors="replace")
        except OSError:
            data = ""
        if not data:
            raise EOFError(self.said)
        self.said += data

    def expect(self, pattern, seconds=60):
        """What was said up to the end of the pattern; that is forgotten."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.said)):
            self.read(max(0.1, deadline - time.monotonic()))
        text, self.said = self.said[:match.end()], self.said[match.end():]
        return text

    def answer(self, question, text):
        before = self.expect(question)
        os.write(self.master, text.encode() + b"\n")
        return before

    def end(self):
        """The exit code, and everything else that was said."""
        try:
            while True:
                self.read()
        except EOFError:
            pass
        code = self.process.wait(60)
        os.close(self.master)
        return code, self.said


class Questions(InstallTest):
    def begin(self, *words, **more):
        terminal = Terminal("--medium", self.medium.folder, "--image", self.image, "--size", "2G", *words, **more)
        self.addCleanup(lambda: terminal.process.poll() is None and terminal.process.kill())
        return terminal

    def enter_all(self, terminal, layouts=("",)):
        """Enter at every question up to the confirmation, but for the keyboard's answers; what was said before that."""
        said = "".join(terminal.answer(KEYBOARD, layout) for layout in layouts)
        for question in (r"Host name \[[^]]*\]: ", r"Password \([^)]*\): ", r"Key \([^)]*\): ", r"Network \[1\]: ",
                         r"Roles \([^)]*\): ", r"Time zone[^[]*\[UTC\]: "):
            said += terminal.answer(question, "")
        return said + terminal.expect(CONFIRM)

    def confirmed(self, terminal):
        """The disk that comes of it."""
        os.write(terminal.master, b"disk.img\n")
        code, said = terminal.end()
        self.assertEqual(code, 0, said)
        return Disk(self.image)

    def answer_interface(self, terminal, name):
        """The name of one that may not be there: then twice."""
        terminal.answer(r"Interface: ", name)
        if name not in os.listdir("/sys/class/net"):
            self.assertIn(f"no interface {name} in this machine", terminal.answer(r"Interface: ", name))

    def test_every_answer_reaches_the_disk(self):
        terminal = self.begin()
        terminal.answer(KEYBOARD, "de-latin1")
        terminal.answer(r"Host name \[[^]]*\]: ", "edge-7")
        terminal.answer(r"Password \(Enter: none\): ", PASSWORD)
        terminal.answer(r"The same again: ", PASSWORD)
        terminal.answer(r"Key \(Enter: none\): ", KEY)
        terminal.answer(r"Another key \(Enter: no\): ", "github:octocat")
        terminal.answer(r"Another key \(Enter: no\): ", "")
        terminal.answer(r"Network \[1\]: ", "2")
        self.answer_interface(terminal, "eth0")
        terminal.answer(r"prefix length[^:]*: ", "192.168.7.2/24")
        terminal.answer(r"Gateway \(Enter: none\): ", "192.168.7.1")
        terminal.answer(r"DNS servers \(Enter: none\): ", "192.168.7.1, 9.9.9.9")
        terminal.answer(r"Roles \([^)]*\): ", "2")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "Europe/Berlin")
        warning = terminal.answer(r"Type disk.img to erase it and install, or quit: ", "disk.img")
        self.assertIn("EVERYTHING on this disk will be lost", warning)
        for line in (r"host name +edge-7", r"password +of the user macula", r"SSH keys +ssh-ed25519 me@here\r\n +github:octocat",
                     r"network +eth0: 192\.168\.7\.2/24, gateway 192\.168\.7\.1, DNS 192\.168\.7\.1, 9\.9\.9\.9", r"others, if wired: by DHCP",
                     r"roles +peer, relay", r"time zone +Europe/Berlin", r"keyboard +de-latin1"):
            self.assertRegex(warning, line)
        code, said = terminal.end()
        self.assertEqual(code, 0, said)
        disk = Disk(self.image)
        self.assert_whole(disk)
        text = disk.data_read("/maculaos/config.d/10-install.yaml").decode()
        for line in ("hostname: edge-7", KEY, "github:octocat", "192.168.7.2/24", "gateway: 192.168.7.1", "9.9.9.9",
                     "gateway: true", "timezone: Europe/Berlin", "keyboard: de-latin1", "$6$"):
            self.assertIn(line, text)
        self.assertNotIn(PASSWORD, text + warning + said)

    def test_a_wrong_answer_is_asked_for_again_with_the_reason(self):
        terminal = self.begin()
        terminal.answer(KEYBOARD, "zz-nonsense")
        self.assertIn("none of the common layouts (be br ", terminal.answer(KEYBOARD, ""))
        terminal.answer(r"Host name \[[^]]*\]: ", "Not A Name")
        self.assertIn("host name", terminal.answer(r"Host name \[[^]]*\]: ", "edge-7"))
        terminal.answer(r"Password \(Enter: none\): ", "one")
        terminal.answer(r"The same again: ", "two")
        self.assertIn("two different passwords", terminal.answer(r"Password \(Enter: none\): ", ""))
        terminal.answer(r"Key \(Enter: none\): ", "ssh-rsa nonsense")
        self.assertIn("That does not work", terminal.answer(r"Key \(Enter: none\): ", ""))
        terminal.answer(r"Network \[1\]: ", "3")
        terminal.answer(r"Network \[1\]: ", "2")
        self.answer_interface(terminal, "eth0")
        for wrong, why in (("300.1.1.1/24", "an address with its prefix length"), ("192.168.7.0/24", "is the network itself"),
                           ("192.168.7.255/24", "is the broadcast address")):
            terminal.answer(r"prefix length[^:]*: ", wrong)
            self.assertIn(why, terminal.expect(r"That does not work: .*\n"))
        terminal.answer(r"prefix length[^:]*: ", "192.168.7.2/24")
        terminal.answer(r"Gateway \(Enter: none\): ", "10.0.0.1")
        self.assertIn("in one network with 10.0.0.1", terminal.answer(r"Gateway \(Enter: none\): ", "192.168.7.1"))
        terminal.answer(r"DNS servers \(Enter: none\): ", "9.9.9.9, 224.0.0.1")
        self.assertIn("a name server's expected", terminal.answer(r"DNS servers \(Enter: none\): ", "9.9.9.9, fe80::1"))
        terminal.answer(r"Roles \([^)]*\): ", "7")
        terminal.answer(r"Roles \([^)]*\): ", "")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "Moon/Base One")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "")
        self.assertRegex(terminal.answer(r"Type disk.img to erase it and install, or quit: ", "yes"), r"keyboard +us\r")
        terminal.answer(r"Type disk.img to erase it and install, or quit: ", "quit")
        code, said = terminal.end()
        self.assertEqual(code, 1)
        self.assertIn("nothing was changed", said)
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_back_leads_to_the_question_before_and_takes_its_answer_back(self):
        terminal = self.begin("--set", "hostname=first")
        terminal.answer(KEYBOARD, "")
        terminal.answer(r"Host name \[first\]: ", "back")
        terminal.answer(KEYBOARD, "de")
        terminal.answer(r"Host name \[first\]: ", "second")
        terminal.answer(r"Password \(Enter: none\): ", "back")
        terminal.answer(r"Host name \[second\]: ", "")
        terminal.answer(r"Password \(Enter: none\): ", PASSWORD)
        terminal.answer(r"The same again: ", "back")
        terminal.answer(r"Password \(Enter: none\): ", PASSWORD)
        terminal.answer(r"The same again: ", PASSWORD)
        terminal.answer(r"Key \(Enter: none\): ", "back")
        terminal.answer(r"Password \(Enter: none\): ", "")
        terminal.answer(r"Key \(Enter: none\): ", KEY)
        terminal.answer(r"Another key \(Enter: no\): ", "")
        terminal.answer(r"Network \[1\]: ", "back")
        terminal.answer(r"Key \(Enter: none\): ", "")
        terminal.answer(r"Network \[1\]: ", "2")
        for name in ("eth7", "eth8"):
            self.answer_interface(terminal, name)
            terminal.answer(r"prefix length[^:]*: ", "back" if name == "eth7" else "192.168.7.2/24")
        terminal.answer(r"Gateway \(Enter: none\): ", "192.168.7.1")
        terminal.answer(r"DNS servers \(Enter: none\): ", "")
        terminal.answer(r"Roles \([^)]*\): ", "back")
        terminal.answer(r"Network \[1\]: ", "1")
        terminal.answer(r"Roles \([^)]*\): ", "1")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "back")
        terminal.answer(r"Roles \([^)]*\): ", "")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "")
        terminal.answer(CONFIRM, "back")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "")
        said = terminal.expect(CONFIRM)
        for line in (r"host name +second\r", r"password +none", r"SSH keys +none", r"network +wired interfaces: by DHCP", r"roles +peer\r"):
            self.assertRegex(said, line)
        disk = self.confirmed(terminal)
        text = disk.data_read("/maculaos/config.d/10-install.yaml").decode()
        self.assertEqual([line for line in text.splitlines() if line[0] != "#"], ["hostname: second", "maculaos:", "  keyboard: de"])
        self.assertNotIn(".configured", disk.data_names("/maculaos"))

    def test_a_corrected_interface_is_the_only_one(self):
        terminal = self.begin()
        for question in (KEYBOARD, r"Host name \[[^]]*\]: ", r"Password \(Enter: none\): ", r"Key \(Enter: none\): "):
            terminal.answer(question, "")
        for name in ("eth7", "eth8"):
            terminal.answer(r"Network \[1\]: ", "2")
            self.answer_interface(terminal, name)
            terminal.answer(r"prefix length[^:]*: ", "192.168.7.2/24")
            terminal.answer(r"Gateway \(Enter: none\): ", "")
            terminal.answer(r"DNS servers \(Enter: none\): ", "")
            terminal.answer(r"Roles \([^)]*\): ", "back" if name == "eth7" else "")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "")
        terminal.expect(CONFIRM)
        text = self.confirmed(terminal).data_read("/maculaos/config.d/10-install.yaml").decode()
        self.assertIn("eth8", text)
        self.assertNotIn("eth7", text)

    def test_enter_keeps_what_the_configuration_has_and_an_answer_replaces_it(self):
        config = self.folder / "node.yaml"
        config.write_text("ssh_authorized_keys: [github:octocat]\nmaculaos:\n  mesh: {roles: {gateway: true}}\n  network:\n    interfaces:\n"
                          "      eth7: {dhcp: true, gateway6: 'fe80::1', dns: [9.9.9.9]}\n")
        terminal = self.begin("--config", config, "--set", f"maculaos.password={PASSWORD}")
        said = self.enter_all(terminal)
        self.assertEqual(len(re.findall(r"Enter: as it is configured", said)), 3)
        for line in (r"  1  as it is configured", r"password +of the user", r"SSH keys +github:octocat", r"eth7: by DHCP, gateway fe80::1, DNS 9\.9\.9\.9",
                     r"roles +peer, relay"):
            self.assertRegex(said, line)
        self.assertNotIn(PASSWORD, said)
        os.write(terminal.master, b"back\n")
        for question, answer in ((r"Time zone[^[]*\[UTC\]: ", "back"), (r"Roles \([^)]*\): ", "back"),
                                 (r"Network \[1\]: ", "2")):
            terminal.answer(question, answer)
        self.answer_interface(terminal, "eth7")
        for question, answer in ((r"prefix length[^:]*: ", "10.1.2.3/32"), (r"Gateway \(Enter: none\): ", "172.31.1.1"),
                                 (r"DNS servers \(Enter: none\): ", ""), (r"Roles \([^)]*\): ", ""), (r"Time zone[^[]*\[UTC\]: ", "")):
            terminal.answer(question, answer)
        self.assertRegex(terminal.expect(CONFIRM), r"eth7: 10\.1\.2\.3/32, gateway 172\.31\.1\.1\r")
        disk = self.confirmed(terminal)
        text = disk.data_read("/maculaos/config.d/10-install.yaml").decode()
        self.assertIn("$6$", text)
        self.assertIn("172.31.1.1", text)
        self.assertIn(".configured", disk.data_names("/maculaos"))

    def test_what_is_unusual_is_taken_at_the_second_time(self):
        terminal = self.begin()
        said = self.enter_all(terminal, layouts=("dvorak", "neo", "neo"))
        self.assertIn("Neither a password nor a key", said)
        self.assertIn("none of the common layouts (be br ", said)
        self.assertRegex(said, r"keyboard +neo\r")
        self.assertIn("keyboard: neo", self.confirmed(terminal).data_read("/maculaos/config.d/10-install.yaml").decode())

    def with_maps(self):
        """The maps of a medium, and a loadkeys that notes what it is asked for."""
        maps, programs = self.folder / "keymaps", self.folder / "programs"
        maps.mkdir()
        programs.mkdir()
        for name in ("de", "dvorak", "neo2", "us"):
            (maps / f"{name}.bmap").touch()
        (programs / "loadkeys").write_text(f'#!/bin/sh\necho "$*" >>{self.folder}/loaded\n')
        (programs / "loadkeys").chmod(0o755)
        return {"MACULA_KEYMAPS": str(maps), "PATH": f"{programs}:{ENVIRONMENT['PATH']}"}

    def test_only_a_layout_that_the_medium_has_is_taken_and_it_holds_before_the_password(self):
        terminal = self.begin(environment=self.with_maps())
        terminal.answer(KEYBOARD, "neo")
        terminal.answer(KEYBOARD, "neo")
        self.assertRegex(terminal.answer(KEYBOARD, "../de"), r"no layout neo, but these:\r\n  de dvorak neo2 us\r\n")
        self.assertIn("a keyboard layout", terminal.answer(KEYBOARD, "dvorak"))
        terminal.answer(r"Host name \[[^]]*\]: ", "back")
        self.assertEqual((self.folder / "loaded").read_text(), "-- dvorak\n")
        terminal.answer(r"Keyboard[^[]*\[dvorak\]: ", "")
        terminal.answer(r"Host name \[[^]]*\]: ", "quit")
        self.assertEqual(terminal.end()[0], 1)
        self.assertEqual((self.folder / "loaded").read_text(), "-- dvorak\n-- dvorak\n")

    def test_ctrl_c_leaves_everything_as_it_was(self):
        for question in (KEYBOARD, r"Host name \[[^]]*\]: "):
            with self.subTest(question):
                terminal = self.begin()
                if question != KEYBOARD:
                    terminal.answer(KEYBOARD, "")
                terminal.expect(question)
                os.write(terminal.master, b"\x03")
                code, said = terminal.end()
                self.assertEqual(code, 1)
                self.assertIn("nothing was changed", said)
                self.assertEqual(self.image.stat().st_blocks, 0)

    def test_ctrl_c_while_writing_leaves_a_disk_that_starts_nothing(self):
        terminal = Terminal("--medium", self.medium.folder, "--image", self.image, "--size", "2G", "--yes", "--progress", "plain")
        terminal.expect("Erasing")
        terminal.process.send_signal(signal.SIGINT)
        code, said = terminal.end()
        if code == 0:
            self.skipTest("it was done before the signal came")
        self.assertEqual(code, 1)
        self.assertIn("run the installer again", said)
        self.assertFalse(self.is_bootable(Disk(self.image)))

    def test_a_closed_terminal_leaves_everything_as_it_was(self):
        terminal = self.begin()
        terminal.expect(KEYBOARD)
        os.write(terminal.master, b"\x04")
        self.assertEqual(terminal.end()[0], 1)
        self.assertEqual(self.image.stat().st_blocks, 0)


if __name__ == "__main__":
    install_rig.main()
