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
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDdPH1x1pWf4eB3nvO2kUqQ6z1T0x7mX2m4m1vJ0w3aV me@here"


class Terminal:
    """A person at a terminal: waits for a question, answers it."""

    def __init__(self, *words, command_line=""):
        self.master, slave = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen([PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: self._control(), env={**ENVIRONMENT, "MACULA_CMDLINE": command_line})
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

    def test_every_answer_reaches_the_disk(self):
        terminal = self.begin()
        terminal.answer(r"Host name \[[^]]*\]: ", "edge-7")
        terminal.answer(r"Password \(Enter: none\): ", PASSWORD)
        terminal.answer(r"The same again: ", PASSWORD)
        terminal.answer(r"Key \(Enter: none\): ", KEY)
        terminal.answer(r"Another key \(Enter: no\): ", "github:octocat")
        terminal.answer(r"Another key \(Enter: no\): ", "")
        terminal.answer(r"Network \[1\]: ", "2")
        terminal.answer(r"Interface: ", "eth0")
        terminal.answer(r"prefix length[^:]*: ", "192.168.7.2/24")
        terminal.answer(r"Gateway \(Enter: none\): ", "192.168.7.1")
        terminal.answer(r"DNS servers \(Enter: none\): ", "192.168.7.1, 9.9.9.9")
        terminal.answer(r"Roles \([^)]*\): ", "2")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "Europe/Berlin")
        terminal.answer(r"Keyboard[^[]*\[us\]: ", "de-latin1")
        warning = terminal.answer(r"Type disk.img to erase it and install, or quit: ", "disk.img")
        self.assertIn("EVERYTHING on this disk will be lost", warning)
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
        terminal.answer(r"Host name \[[^]]*\]: ", "Not A Name")
        self.assertIn("host name", terminal.answer(r"Host name \[[^]]*\]: ", "edge-7"))
        terminal.answer(r"Password \(Enter: none\): ", "one")
        terminal.answer(r"The same again: ", "two")
        self.assertIn("two different passwords", terminal.answer(r"Password \(Enter: none\): ", ""))
        terminal.answer(r"Key \(Enter: none\): ", "ssh-rsa nonsense")
        self.assertIn("That does not work", terminal.answer(r"Key \(Enter: none\): ", ""))
        terminal.answer(r"Network \[1\]: ", "3")
        terminal.answer(r"Network \[1\]: ", "2")
        terminal.answer(r"Interface: ", "eth0")
        terminal.answer(r"prefix length[^:]*: ", "300.1.1.1/24")
        terminal.answer(r"Gateway \(Enter: none\): ", "")
        terminal.answer(r"DNS servers \(Enter: none\): ", "")
        self.assertIn("That does not work", terminal.answer(r"Network \[1\]: ", ""))
        terminal.answer(r"Roles \([^)]*\): ", "7")
        terminal.answer(r"Roles \([^)]*\): ", "")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "Moon/Base One")
        terminal.answer(r"Time zone[^[]*\[UTC\]: ", "")
        terminal.answer(r"Keyboard[^[]*\[us\]: ", "")
        terminal.answer(r"Type disk.img to erase it and install, or quit: ", "yes")
        terminal.answer(r"Type disk.img to erase it and install, or quit: ", "quit")
        code, said = terminal.end()
        self.assertEqual(code, 1)
        self.assertIn("nothing was changed", said)
        self.assertEqual(self.image.stat().st_blocks, 0)

    def test_back_leads_to_the_question_before(self):
        terminal = self.begin("--set", "hostname=first")
        terminal.answer(r"Host name \[first\]: ", "second")
        terminal.answer(r"Password \(Enter: none\): ", "")
        terminal.answer(r"Key \(Enter: none\): ", "back")
        terminal.answer(r"Password \(Enter: none\): ", "")
        terminal.answer(r"Key \(Enter: none\): ", "")
        terminal.answer(r"Network \[1\]: ", "2")
        terminal.answer(r"Interface: ", "back")
        terminal.answer(r"Network \[1\]: ", "back")
        terminal.answer(r"Key \(Enter: none\): ", "quit")
        self.assertEqual(terminal.end()[0], 1)

    def test_ctrl_c_leaves_everything_as_it_was(self):
        for question in (r"Host name \[[^]]*\]: ", r"Password \(Enter: none\): "):
            with self.subTest(question):
                terminal = self.begin()
                if "Password" in question:
                    terminal.answer(r"Host name \[[^]]*\]: ", "")
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
        terminal.expect(r"Host name \[[^]]*\]: ")
        os.write(terminal.master, b"\x04")
        self.assertEqual(terminal.end()[0], 1)
        self.assertEqual(self.image.stat().st_blocks, 0)


if __name__ == "__main__":
    install_rig.main()
