#!/usr/bin/python3
"""What a node takes along of a data partition that cannot be written: lib/rescue.sh with a directory for the partition."""
import os
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
START = r"""
folder=$2 log=$2/log data=/dev/data
note() { echo "note: $*"; }
problem() { echo "problem: $*"; }
uptime_now() { read -r now _ <"$folder/uptime"; }
umount() { :; }
. "$1/rescue.sh"
rescue=$2/partition rescue_to=$2/memory/maculaos
data_rescue
"""


class Rescue(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        (self.folder / "partition" / "lost+found").mkdir(parents=True)
        (self.folder / "mountable").touch()
        (self.folder / "uptime").write_text("12.34 20.00\n")
        # Only what runs while the watchdog is fed reads the partition.
        self.program("macula-initrd", f'[ "$1" = run ] && [ "$2" -gt 0 ] && shift 2 && FED=1 PATH={self.folder}/fed:$PATH exec "$@"')
        self.program("mount", f'case $FED$* in 1*ro,noload*) [ -e {self.folder}/mountable ] ;; esac')
        for tool in ("ls", "du", "cp", "stat"):
            self.program(tool, f'case $FED:$* in :*{self.folder}/partition*) echo "{tool}: nobody feeds the watchdog" >&2; exit 1 ;; esac\n'
                               f'PATH={os.environ["PATH"]} exec {tool} "$@"')
        self.kept = self.folder / "memory" / "maculaos"

    def program(self, name, text, folder="bin"):
        path = self.folder / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def put(self, name, size=10):
        path = self.folder / "partition" / "maculaos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(b"x" * min(size, 64) + bytes(max(0, size - 64)))

    def fails(self, tool, word):
        """Like a block that cannot be read: the tool fails where that word is among its own."""
        self.program(tool, f'case "$*" in *"{word}"*) echo "{tool}: Input/output error" >&2; exit 1 ;; esac\n'
                           f'PATH={os.environ["PATH"]} exec {tool} "$@"', "fed")

    def rescue(self):
        done = subprocess.run(["sh", "-u", "-c", START, "sh", HERE / "lib", self.folder], capture_output=True, text=True, check=True,
                              env={"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"})
        self.assertEqual(done.stderr, "")
        return done.stdout

    def used(self):
        for name in (".configured", "identity/node.nk", "config.yaml", "config.d/a.yaml", "generations/confd.db", "health/kept.json"):
            self.put(name)

    def names(self):
        return sorted(str(path.relative_to(self.kept)) for path in self.kept.rglob("*") if path.is_file())

    def test_a_large_store_keeps_nothing_of_the_node_back(self):
        self.used()
        self.put("nats/jetstream/block", 80 << 20)
        self.put("generations/large", 20 << 20)
        said = self.rescue()
        self.assertEqual(self.names(), [".configured", "config.d/a.yaml", "config.yaml", "generations/confd.db", "generations/large",
                                        "health/kept.json", "identity/node.nk"])
        self.assertIn("note: nats was left", said)
        self.assertIn("problem: identity and configuration were read", said)

    def test_what_was_not_set_up_is_not_shut(self):
        self.put("identity/node.nk")
        self.assertIn("problem: identity", self.rescue())
        self.assertEqual(self.names(), ["identity/node.nk"])

    def test_a_partition_that_no_node_has_used_gives_nothing(self):
        self.assertEqual(self.rescue(), "")
        self.assertFalse(self.kept.exists())

    def shut(self, said, why):
        self.assertIn(why, said)
        self.assertNotIn("were read from it", said)
        self.assertLessEqual({".configured", ".password"}, set(self.names()))

    def test_one_that_cannot_be_read_leaves_console_and_page_shut(self):
        (self.folder / "mountable").unlink()
        self.shut(self.rescue(), "could not be read from it, so")

    def test_a_root_that_cannot_be_listed_does_so_too(self):
        self.fails("ls", f"{self.folder}/partition")
        self.shut(self.rescue(), "could not be read from it, so")

    def test_an_identity_that_cannot_be_read_is_named_and_the_rest_comes(self):
        self.put("identity/node.nk")
        self.put("config.yaml")
        self.fails("cp", "maculaos/identity")
        self.shut(self.rescue(), "(missing: identity)")
        self.assertIn("config.yaml", self.names())

    def test_when_its_time_is_over_what_is_left_counts_as_unreadable(self):
        self.used()
        self.program("ls", f'case "$*" in */maculaos) echo "700.00 9" >{self.folder}/uptime ;; esac\n'
                           f'PATH={os.environ["PATH"]} exec ls "$@"', "fed")
        self.shut(self.rescue(), "(missing: .configured identity config.yaml config.d generations)")
        self.assertEqual(self.names(), [".configured", ".password"])


if __name__ == "__main__":
    unittest.main()
