#!/usr/bin/env python3
"""The key maps of the image: how they are made (key_maps of images/lib-root.sh) and loaded (overlay/usr/sbin/loadkeys)."""
import os
import pathlib
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
LOADKEYS = PROJECT / "overlay/usr/sbin/loadkeys"
# kbd's program says which maps it was given, the last of them by its text; one of them it does not understand.
MAKE = """set -eu
images=$1
. "$2/lib-root.sh"
fail() { echo "FAILED: $1" >&2; exit 1; }
chroot() { case $7 in */fa.kmap.gz) echo half; return 1 ;; esac; echo "$2 $3 $4 $5 $6"; cat "$1$7"; }
key_maps root
"""


class KeyMaps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="macula-keys-")
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.maps = self.top / "root/usr/share/maculaos/keymaps"

    def make(self, names, sources):
        for path in sources:
            file = self.top / "root/usr/share/keymaps/i386" / f"{path}.kmap.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)
        (self.top / "key-maps.list").write_text("# NAME MAP\n" + names)
        return subprocess.run(["sh", "-c", MAKE, "sh", self.top, PROJECT / "images"], cwd=self.top, capture_output=True, text=True, check=False)

    def test_each_map_lies_over_the_kernels_own_and_the_names_of_the_list_come_first(self):
        done = self.make("de de-latin1\nch sg\n", ("qwertz/de", "qwertz/de-latin1", "qwertz/sg", "qwerty/fa"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(path.name for path in self.maps.iterdir()), ["ch.bmap", "de-latin1.bmap", "de.bmap", "sg.bmap"])
        expected = "/usr/bin/loadkeys -q -b -u /usr/share/keymaps/i386/qwerty/defkeymap.kmap.gz\nqwertz/"
        self.assertEqual((self.maps / "de.bmap").read_text(), expected + "de-latin1")
        self.assertEqual((self.maps / "ch.bmap").read_text(), expected + "sg")

    def test_a_name_of_the_list_without_its_map_stops_the_build(self):
        done = self.make("ch sg\n", ("qwertz/de",))
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: there is no key map sg for the layout ch", done.stderr)

    def load(self, *words):
        """loadkeys with maps of its own, and a loadkmap that keeps what it gets."""
        programs = self.top / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "loadkmap").write_text(f"#!/bin/sh\nexec cat >>{self.top}/loaded\n")
        (programs / "loadkmap").chmod(0o755)
        self.maps.mkdir(parents=True, exist_ok=True)
        for name in ("de", "us"):
            (self.maps / f"{name}.bmap").write_text(f"<{name}>")
        return subprocess.run([LOADKEYS, *words], capture_output=True, text=True, check=False, env={
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "KEYMAPS": str(self.maps), "KEPT": str(self.top / "kept")})

    def test_a_layout_is_loaded_and_kept_for_the_next_start(self):
        for words, name in ((("--", "de"), "de"), (("us",), "us")):
            self.assertEqual(self.load(*words).returncode, 0)
            self.assertEqual((self.top / "kept").read_text(), name + "\n")
        self.assertEqual((self.top / "loaded").read_text(), "<de><us>")

    def test_a_layout_that_cannot_be_kept_is_loaded_all_the_same(self):
        (self.top / "kept.new").mkdir()
        self.assertEqual(self.load("de").returncode, 0)
        self.assertEqual((self.top / "loaded").read_text(), "<de>")

    def test_what_is_no_layout_changes_nothing_and_says_so(self):
        for words, code, why in ((("--", "zz"), 1, "there is no key map zz"), ((), 2, "usage"), (("-d",), 2, "usage"), (("../de",), 2, "usage")):
            done = self.load(*words)
            self.assertEqual(done.returncode, code, words)
            self.assertIn(why, done.stderr)
        self.assertFalse((self.top / "loaded").exists())
        self.assertFalse((self.top / "kept").exists())


if __name__ == "__main__":
    unittest.main()
