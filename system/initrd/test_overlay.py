#!/usr/bin/python3
"""Directories of the data partition: the first start copies what the slot has there, all of it or nothing (lib/overlay.sh)."""
import pathlib
import subprocess
import tempfile
import unittest

LIBRARY = pathlib.Path(__file__).resolve().parent / "lib" / "overlay.sh"
# The kernel is not asked here: what would be mounted is said, and a bind needs its source as the real one does.
BIND = """
mount() { echo "mount $*"; [ "$1" != --bind ] || [ -d "$2" ]; }
problem() { echo "problem: $*"; }
sync() { echo sync; }
[ -z "$3" ] || cp() { mkdir "$top/data/state.new"; echo "cp: no space left" >&2; return 1; }
top=$2 log=$2/log
. "$1"
bind state /state
"""


class Bind(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        (self.top / "data").mkdir()
        (self.top / "state").mkdir()
        (self.top / "state/of-the-slot").write_text("first")
        self.library = self.top / "overlay.sh"
        self.library.write_text(LIBRARY.read_text().replace("/sysroot", str(self.top)))

    def bind(self, full=False):
        done = subprocess.run(["sh", "-c", BIND, "sh", self.library, self.top, "full" if full else ""], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.replace(str(self.top), "").splitlines()

    def kept(self):
        return sorted(str(path.relative_to(self.top / "data")) for path in (self.top / "data").rglob("*") if path.is_file())

    def test_the_first_start_copies_what_the_slot_has_and_later_ones_leave_it(self):
        self.assertEqual(self.bind(), ["sync", "mount --bind /data/state /state"])
        self.assertEqual(self.kept(), ["state/of-the-slot"])
        (self.top / "data/state/of-the-slot").write_text("changed")
        self.assertEqual(self.bind(), ["mount --bind /data/state /state"])
        self.assertEqual((self.top / "data/state/of-the-slot").read_text(), "changed")

    def test_a_copy_that_was_not_finished_is_none_and_the_next_start_makes_it(self):
        said = self.bind(full=True)
        self.assertIn("problem: /state could not be put onto the data partition: it is in memory", said)
        self.assertIn("mount -t tmpfs -o mode=755 state /state", said)
        self.assertFalse((self.top / "data/state").exists())
        self.assertIn("no space left", (self.top / "log").read_text())
        self.assertEqual(self.bind()[-1], "mount --bind /data/state /state")
        self.assertEqual(self.kept(), ["state/of-the-slot"])


if __name__ == "__main__":
    unittest.main()
