#!/usr/bin/python3
"""What the reset does with a file system beyond repair: the script of the initramfs with the real programs, a directory in the place of each partition."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
BIN = pathlib.Path(os.environ.get("MACULA_BIN_DIR", PROJECT / "build" / "bin"))
sys.path.insert(0, str(PROJECT / "images"))
import boot_blocks  # noqa: E402

HASHES = boot_blocks.verity("a" * 64, 1000), boot_blocks.verity("0" * 64, 0)
# Nothing is mended; a new file system is an empty directory.
TOOLS = {"e2fsck": "exit 4", "mke2fs": 'for data; do :; done; rm -r "$data" && mkdir "$data"'}


class Script(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.data, self.grub = self.folder / "data", self.folder / "esp" / "grub"
        (self.data / "userdata").mkdir(parents=True)
        (self.data / "userdata" / "photo").write_text("mine")
        self.grub.mkdir(parents=True)
        text = (HERE / "reset").read_text().replace("/usr/libexec/macula", str(BIN)).replace("/usr/sbin/", f"{self.folder}/")
        (self.folder / "reset").write_text(text.replace("/run/e2fsck.log", f"{self.folder}/e2fsck.log"))
        for name, lines in TOOLS.items():
            (self.folder / name).write_text(f"#!/bin/sh\n{lines}\n")
            (self.folder / name).chmod(0o755)

    def reset(self, wish, intent="none"):
        """Exit code and text of a reset that the recovery asks for, with this intent in the boot state."""
        for number in (1, 2):
            (self.grub / f"state-{number}").write_bytes(
                boot_blocks.state(number, "a", "-", "normal--", f"{intent:-<4}", *HASHES))
        (self.grub / "tries").write_bytes(boot_blocks.tries())
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "esp": str(self.grub.parent), "data": str(self.data), "reset": wish}
        done = subprocess.run(["sh", self.folder / "reset"], env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def intent(self):
        return subprocess.run([BIN / "macula-recover", "--esp", self.grub.parent, "reset"], capture_output=True, text=True, check=True).stdout.strip()

    def test_data_that_are_to_be_kept_are_never_formatted(self):
        for wish, intent in (("keep", "none"), ("keep", "keep"), ("", "keep")):
            code, said = self.reset(wish, intent)
            self.assertEqual((code, self.intent()), (1, intent), said)
            self.assertIn("erase everything", said)
            self.assertTrue((self.data / "userdata" / "photo").exists())

    def test_everything_is_erased_for_who_asks_for_it(self):
        for wish, intent in (("all", "none"), ("all", "keep"), ("all", "all"), ("", "all"), ("keep", "all")):
            (self.data / "userdata").mkdir(exist_ok=True)
            code, said = self.reset(wish, intent)
            self.assertEqual((code, self.intent()), (0, "none"), said)
            self.assertIn("a new file system is made", said)
            self.assertFalse((self.data / "userdata").exists())


if __name__ == "__main__":
    unittest.main()
