"""A small medium, a file in place of a disk, and macula-install between them.

The slot of this medium is no system but random bytes with a hash tree; everything else is as images/50-disk and 60-iso make
it. What is on the disk afterwards is read with the tools of test/os, which know nothing of the installer."""
import gzip
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(SOURCE / "test" / "os"))

import os_bootstate  # noqa: E402
from os_disk import Disk, tool  # noqa: E402

BIN = pathlib.Path(os.environ.get("MACULA_BIN_DIR", SOURCE / "build" / "bin"))
PROGRAM = BIN / "macula-install"
BLOCK, SECTOR, MIB = 4096, 512, 1 << 20
LEAST = 1347 << 20  # what the smallest disk needs: table, ESP 64, two slots of 512, data 256 MiB
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "MACULA_CMDLINE": "",
               **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}


def why_not():
    """Why the installer cannot be tried here; empty when it can."""
    path = ENVIRONMENT["PATH"]
    missing = [name for name in ("mkfs.vfat", "mcopy", "sfdisk", "mkfs.ext4", "debugfs", "lsblk") if not shutil.which(name, path=path)]
    if os.geteuid():
        return "only root may install"
    return f"missing: {', '.join(missing)} (scripts/install-dependencies os)" if missing else ""


def main():
    if why_not():
        print(f"skipped: {why_not()}")
        sys.exit(77)
    unittest.main()


def hash_tree(data):
    """The dm-verity tree of data and its root hash; top level first, as veritysetup writes it."""
    levels, level = [], data
    while True:
        digests = b"".join(hashlib.sha256(level[at:at + BLOCK]).digest() for at in range(0, len(level), BLOCK))
        if len(level) == BLOCK:
            return b"".join(reversed(levels)), digests.hex()
        level = digests + bytes(-len(digests) % BLOCK)
        levels.append(level)


class Medium:
    """What a medium has in /live."""

    def __init__(self, folder, blocks=600):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        generator = random.Random(blocks)
        some = generator.randbytes(min(blocks, 977) * BLOCK)
        data = (some * (blocks * BLOCK // len(some) + 1))[:blocks * BLOCK]
        tree, root_hash = hash_tree(data)
        self.slot = data + tree
        (self.folder / "slot.img").write_bytes(self.slot)
        self.about = {"version": "9.8.7", "arch": "amd64", "size": len(self.slot), "data_blocks": blocks, "root_hash": root_hash,
                      "sha256": hashlib.sha256(self.slot).hexdigest()}
        self.write_about()
        self.core = random.Random(1).randbytes(70000)
        (self.folder / "bios-core.img").write_bytes(self.core)
        (self.folder / "boot.img").write_bytes(random.Random(2).randbytes(SECTOR))
        self._make_esp()

    def write_about(self, **more):
        (self.folder / "slot.json").write_text(json.dumps({**self.about, **more}))

    def _make_esp(self):
        image, files = self.folder / "esp.img", self.folder / "esp"
        files.mkdir()
        image.write_bytes(b"")
        os.truncate(image, 64 * MIB)
        tool("mkfs.vfat", "-F", "32", "-s", "1", "-n", "MACULA_ESP", image)
        tool("mmd", "-i", image, "::/grub")
        for name, content in (("state-1", b"x" * 1024), ("state-2", b"x" * 1024), ("tries", b"x" * 1024),
                              ("local.cfg", b"#" * 1023 + b"\n"), ("grub.cfg", b"menu\n" * 1000)):
            (files / name).write_bytes(content)
            tool("mcopy", "-i", image, files / name, f"::/grub/{name}")
        (self.folder / "esp.img.gz").write_bytes(gzip.compress(image.read_bytes(), 1))
        image.unlink()
        shutil.rmtree(files)


class InstallTest(unittest.TestCase):
    """`self.folder` goes with the test; `self.medium` is made once."""

    medium_folder = None

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="macula-install-")
        cls.medium = Medium(pathlib.Path(cls.shared.name) / "live")

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def setUp(self):
        own = tempfile.TemporaryDirectory(prefix="macula-install-")
        self.addCleanup(own.cleanup)
        self.folder = pathlib.Path(own.name)
        self.image = self.folder / "disk.img"

    def run_install(self, *words, medium=None, command_line="", fault=None, environment=None, **more):
        """The finished process; without a terminal."""
        environment = {**ENVIRONMENT, "MACULA_CMDLINE": command_line, **({"MACULA_FAULT": fault} if fault else {}),
                       **(environment or {})}
        return subprocess.run([PROGRAM, "--medium", (medium or self.medium).folder, "--progress", "none", *words], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120, **more)

    def install(self, *words, size="2G", **more):
        """Installs into the image; the disk."""
        done = self.run_install("--image", self.image, "--size", size, "--yes", *words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return Disk(self.image)

    def refused(self, code, text, *words, **more):
        """It ends with that code and says that; what it said."""
        done = self.run_install(*words, **more)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, done.stderr)
        return done.stderr

    # ---- what is on a disk ----
    def is_bootable(self, disk):
        """Whether any firmware would start something from it: boot code, or a protective boot sector before a table."""
        first = disk.read(0, SECTOR)
        return first[:440] != bytes(440) or first[510:] == b"\x55\xaa"

    def assert_whole(self, disk, medium=None):
        """A complete installation, read part by part."""
        medium = medium or self.medium
        parts = disk.partitions()
        self.assertEqual(list(parts), ["bios", "esp", "rootfs-A", "rootfs-B", "data"])
        self._assert_second_table(disk)
        slot = parts["rootfs-A"]
        self.assertTrue(disk.read(slot.start, len(medium.slot)) == medium.slot, "slot a differs from the medium's")
        self.assertEqual(disk.slot_json("a"), json.loads((medium.folder / "slot.json").read_text()))
        self.assertIsNone(disk.slot_json("b"))
        self.assertEqual(disk.read(parts["rootfs-B"].start, MIB), bytes(MIB))
        self._assert_boot_state(disk, medium)
        self._assert_bios(disk, medium, parts["bios"].start)
        self.assertEqual(disk.data_check(), "")
        self.assertEqual(disk.read(parts["data"].start + 1024 + 0x78, 14), b"MACULAOS_STATE")

    def _assert_boot_state(self, disk, medium):
        verity = f"{medium.about['root_hash']}:{medium.about['data_blocks']:010}"
        states = os_bootstate.states_on(disk)
        self.assertEqual([(s.seq, s.active, s.pending, s.next, s.reset, s.verity_a, s.verity_b) for s in states],
                         [(n, "a", "-", "normal", "none", verity, os_bootstate.EMPTY) for n in (1, 2)])
        self.assertEqual(os_bootstate.tries_of(disk.esp_read("/grub/tries")), [0, 0, 0, 0])
        self.assertEqual(disk.esp_read("/grub/grub.cfg"), b"menu\n" * 1000)

    def _assert_bios(self, disk, medium, start):
        boot = disk.read(0, SECTOR)
        sector, = struct.unpack_from("<Q", boot, 0x5C)
        self.assertEqual((sector * SECTOR, boot[0x66:0x68]), (start, b"\x90\x90"))
        core = disk.read(start, len(medium.core))
        first, count = struct.unpack_from("<QH", core, 0x1F4)
        self.assertEqual((first, count), (sector + 1, -(-len(medium.core) // SECTOR) - 1))
        self.assertEqual(core[SECTOR:], medium.core[SECTOR:])

    def _assert_second_table(self, disk):
        size = disk.path.stat().st_size
        self.assertEqual(disk.read(size - SECTOR, 8), b"EFI PART")
        self.assertEqual(disk.read(size - 33 * SECTOR, 32 * SECTOR), disk.read(2 * SECTOR, 32 * SECTOR))
