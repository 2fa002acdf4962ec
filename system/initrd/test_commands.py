#!/usr/bin/python3
"""How the initramfs runs init_cmd: lib/commands.sh and macula-initrd's `run`, without another root.

    test_commands.py MACULA-INITRD"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
START = r"""
log=$2/log
note() { echo "note: $*"; }
tell() { echo "tell: $*"; }
mount() { echo "mount $*"; }
umount() { echo "umount $*"; }
. "$2/commands.sh"
commands_file=$2/init_cmd commands_script=$2/script
commands_run
echo "the start goes on"
"""


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        text = (HERE / "lib" / "commands.sh").read_text()
        text = text.replace("/bin/macula-initrd", INITRD).replace("/bin/chroot /sysroot ", "")
        (self.folder / "commands.sh").write_text(text)

    def framed(self, *commands):
        (self.folder / "init_cmd").write_bytes(b"".join(b"%d %d\n%s\n" % (seconds, len(text.encode()), text.encode()) for seconds, text in commands))

    def run_all(self):
        done = subprocess.run(["sh", "-u", "-c", START, "sh", HERE, self.folder], capture_output=True, text=True, check=True,
                              stdin=subprocess.DEVNULL, cwd=self.folder, env={"PATH": os.environ["PATH"]})
        self.assertEqual(done.stderr, "")
        said = done.stdout.splitlines()
        self.assertEqual(said[-1], "the start goes on")
        self.assertFalse((self.folder / "script").exists())
        return said

    def test_any_text_arrives_as_it_was_written(self):
        text = "printf '%s|' \"a  b\" '2 3\n\n4 5' ü >>out\n# \\ $HOME\n"
        self.framed((9, text), (9, "cat >>out; echo second >>out"))
        said = self.run_all()
        self.assertEqual((self.folder / "out").read_text(), "a  b|2 3\n\n4 5|ü|second\n")
        self.assertIn("note: init_cmd[1]: done", said)

    def test_one_that_fails_is_told_and_the_next_one_runs(self):
        self.framed((9, "echo why >&2; exit 7"), (9, "kill -9 $$"), (9, "echo x >ran"))
        said = self.run_all()
        self.assertIn("tell: init_cmd[0] failed with exit code 7; what it said: /run/initramfs/log", said)
        self.assertTrue(any(line.startswith("tell: init_cmd[1] failed with exit code 137") for line in said), said)
        self.assertTrue((self.folder / "ran").exists())
        self.assertIn("why", (self.folder / "log").read_text())

    def test_one_that_does_not_end_is_killed_with_what_it_started(self):
        fifo = self.folder / "held"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        os.set_blocking(reader, True)
        self.framed((1, "exec 9>held; echo begun >&9; tail -f /dev/null & wait"), (9, "echo x >ran"))
        said = self.run_all()
        self.assertTrue(any("init_cmd[0] was killed after its timeout of 1 s" in line for line in said), said)
        self.assertTrue((self.folder / "ran").exists())
        self.assertEqual((os.read(reader, 100), os.read(reader, 100)), (b"begun\n", b""))  # nobody holds it any more

    def test_a_damaged_file_is_told(self):
        self.framed((9, "echo x >ran"))
        with (self.folder / "init_cmd").open("ab") as file:
            file.write(b"nonsense here\n")
        self.assertTrue(any("is damaged" in line for line in self.run_all()))
        self.assertTrue((self.folder / "ran").exists())

    def test_without_commands_nothing_is_mounted(self):
        self.assertEqual(self.run_all(), ["the start goes on"])


if __name__ == "__main__":
    INITRD = sys.argv.pop(1)
    unittest.main()
