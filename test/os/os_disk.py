"""Disk images, looked into and damaged without mounting anything: GPT, the ESP by mtools, ext4 by debugfs, squashfs by unsquashfs."""
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import uuid
import zlib

SECTOR = 512
TRAILER = 4096  # the end of a slot partition says what the slot holds
TOOLS = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C"}
HARMLESS = re.compile(r"^$|^Pass \d|^Free (blocks|inodes) count wrong \(|^(Fix|Clear)\? no$|: \d+/\d+ files"
                      r"|^Feature orphan_present is set but orphan file is clean|WARNING: Filesystem still has errors")


def tool(*words, stdin=None, check=True):
    """Runs a program; its output as bytes. AssertionError with what it said when it fails."""
    done = subprocess.run([str(w) for w in words], input=stdin, capture_output=True, env=TOOLS, check=False, timeout=600)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}: "
                             f"{done.stderr.decode(errors='replace')}{done.stdout.decode(errors='replace')}")
    return done.stdout


@dataclasses.dataclass(frozen=True)
class Partition:
    number: int
    name: str
    start: int  # bytes
    size: int   # bytes
    uuid: str


class Disk:
    """A raw image. `copy_of` makes one that a test may ruin; holes stay holes, so that costs little."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    @classmethod
    def copy_of(cls, image, path, size=None):
        """A copy that may be bigger, as when an image is written to a bigger disk."""
        image = pathlib.Path(image)
        if image.suffix in (".qcow2", ".vmdk"):
            tool("qemu-img", "convert", "-O", "raw", image, path)
        else:
            tool("cp", "--sparse=always", "--reflink=auto", image, path)
        if size:
            os.truncate(path, max(size, path.stat().st_size))
        return cls(path)

    @classmethod
    def empty(cls, path, size):
        with pathlib.Path(path).open("wb") as file:
            file.truncate(size)
        return cls(path)

    @classmethod
    def overlay(cls, base, path, base_format):
        """A qcow2 file that takes the writes over an image that stays as it is."""
        tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", pathlib.Path(base).resolve(), "-F", base_format, path)
        return cls(path)

    def snapshot(self):
        """Keeps the disk as it is now; returns a function that brings that back."""
        kept = self.path.with_suffix(".kept")
        tool("cp", "--sparse=always", "--reflink=auto", self.path, kept)
        return lambda: tool("cp", "--sparse=always", "--reflink=auto", kept, self.path)

    # ---- bytes ----
    def read(self, offset, length):
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def write(self, offset, data):
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, offset):
        """Changes one byte."""
        self.write(offset, bytes([self.read(offset, 1)[0] ^ 0xFF]))

    def wipe(self, name):
        """Garbage all over a partition, so also over copies that a file system keeps of what matters."""
        part, step = self[name], 16 << 20
        for offset in range(0, part.size, step):
            self.write(part.start + offset, b"\xa5" * min(step, part.size - offset))

    # ---- partitions ----
    def partitions(self):
        """By name. The table must be whole: header and entries with their checksums."""
        header = self.read(SECTOR, 92)
        if header[:8] != b"EFI PART":
            raise AssertionError(f"{self.path}: no GPT")
        size, crc = struct.unpack_from("<II", header, 12)
        if zlib.crc32(header[:16] + bytes(4) + header[20:size]) != crc:
            raise AssertionError(f"{self.path}: the GPT's header has a wrong checksum")
        first, count, each, entries_crc = struct.unpack_from("<QIII", header, 72)
        entries = self.read(first * SECTOR, count * each)
        if zlib.crc32(entries) != entries_crc:
            raise AssertionError(f"{self.path}: the GPT's entries have a wrong checksum")
        found = {}
        for number in range(count):
            entry = entries[number * each:(number + 1) * each]
            if entry[:16] == bytes(16):
                continue
            start, last = struct.unpack_from("<QQ", entry, 32)
            name = entry[56:128].decode("utf-16-le").rstrip("\0")
            found[name] = Partition(number + 1, name, start * SECTOR, (last + 1 - start) * SECTOR,
                                    str(uuid.UUID(bytes_le=entry[16:32])))
        return found

    def renumber(self):
        """Unique numbers of its own, as the first start gives a disk that an image was written to."""
        def anew(header, entry):
            header[56:72] = uuid.uuid4().bytes_le
            entry[16:32] = uuid.uuid4().bytes_le
        self._change_table(anew)

    def rename(self, name, new):
        """Another name for a partition."""
        def named(_, entry):
            if entry[56:128].decode("utf-16-le").rstrip("\0") == name:
                entry[56:128] = new.encode("utf-16-le").ljust(72, b"\0")
        self._change_table(named)

    def _change_table(self, change):
        """Calls change(header, entry) for each partition, and writes the first table with its new checksums."""
        header = bytearray(self.read(SECTOR, 92))
        first, count, each = struct.unpack_from("<QII", header, 72)
        entries = bytearray(self.read(first * SECTOR, count * each))
        for at in range(0, len(entries), each):
            if entries[at:at + 16] != bytes(16):
                entry = entries[at:at + each]
                change(header, entry)
                entries[at:at + each] = entry
        struct.pack_into("<I", header, 88, zlib.crc32(entries))
        struct.pack_into("<I", header, 16, 0)
        struct.pack_into("<I", header, 16, zlib.crc32(header))
        self.write(first * SECTOR, bytes(entries))
        self.write(SECTOR, bytes(header))

    def __getitem__(self, name):
        found = self.partitions()
        if name not in found:
            raise AssertionError(f"{self.path}: no partition {name}; there are {', '.join(found)}")
        return found[name]

    @contextlib.contextmanager
    def extracted(self, name, back=False):
        """A partition as a file of its own; written back when asked."""
        part = self[name]
        with tempfile.TemporaryDirectory(prefix="macula-part-", dir=self.path.parent) as folder:
            file = pathlib.Path(folder) / name
            tool("dd", f"if={self.path}", f"of={file}", "bs=1M", f"skip={part.start}", f"count={part.size}",
                 "iflag=skip_bytes,count_bytes", "conv=sparse", "status=none")
            os.truncate(file, part.size)
            yield file
            if back:
                tool("dd", f"if={file}", f"of={self.path}", "bs=1M", f"seek={part.start}", "oflag=seek_bytes", "conv=notrunc",
                     "status=none")

    # ---- the ESP ----
    def _esp(self):
        return f"{self.path}@@{self['esp'].start}"

    def esp_read(self, name):
        return tool("mtype", "-i", self._esp(), f"::{name}")

    def esp_write(self, name, data):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            tool("mcopy", "-D", "o", "-i", self._esp(), file.name, f"::{name}")

    def esp_overwrite(self, name, data):
        """Writes over the start of a file where it lies, as the system and GRUB do."""
        where = re.search(rb"<(\d+)(-\d+)?>$", tool("mshowfat", "-i", self._esp(), f"::{name}").strip())
        if not where:
            raise AssertionError(f"{self.path}: {name} on the ESP does not lie in one piece")
        start = self["esp"].start
        bytes_each, each, reserved, tables = struct.unpack_from("<HBHB", self.read(start, 64), 11)
        size, = struct.unpack_from("<I", self.read(start, 64), 36)
        self.write(start + (reserved + tables * size + (int(where[1]) - 2) * each) * bytes_each, data)

    def esp_delete(self, name):
        tool("mdel", "-i", self._esp(), f"::{name}")

    def esp_names(self, folder="/"):
        return tool("mdir", "-b", "-i", self._esp(), f"::{folder}").decode().split()

    def esp_fill(self):
        """Not one cluster is left."""
        with tempfile.NamedTemporaryFile() as file:
            for size in (16 << 20, 1 << 20, 64 << 10, 4096, 512):
                file.truncate(size)
                for number in range(200):
                    done = subprocess.run(["mcopy", "-i", self._esp(), file.name, f"::fill{size}.{number}"], env=TOOLS,
                                          capture_output=True, stdin=subprocess.DEVNULL, check=False)
                    if done.returncode:
                        break

    # ---- data: ext4 ----
    def data_read(self, name):
        with self.extracted("data") as file:
            # An unclean file system is read as its journal leaves it.
            tool("e2fsck", "-E", "journal_only", "-y", file, check=False)
            with tempfile.NamedTemporaryFile() as out:
                said = tool("debugfs", "-R", f"dump {name} {out.name}", file, check=False)
                content = pathlib.Path(out.name).read_bytes()
                if not content and b"" == said:
                    stat = tool("debugfs", "-R", f"stat {name}", file, check=False)
                    if b"Inode:" not in stat:
                        raise AssertionError(f"{self.path}: no {name} on the data partition")
                return content

    def data_names(self, folder):
        with self.extracted("data") as file:
            tool("e2fsck", "-E", "journal_only", "-y", file, check=False)
            listing = tool("debugfs", "-R", f"ls -p {folder}", file, check=False).decode(errors="replace")
        return sorted(name for line in listing.splitlines() if line.startswith("/")
                      and (name := line.split("/")[5]) not in (".", ".."))

    def data_write(self, name, content):
        """A file put where the system is off; folders on the way must exist."""
        with self.extracted("data", back=True) as file, tempfile.NamedTemporaryFile() as source:
            tool("e2fsck", "-E", "journal_only", "-y", file, check=False)
            source.write(content)
            source.flush()
            tool("debugfs", "-w", "-R", f"rm {name}", file, check=False)
            tool("debugfs", "-w", "-R", f"write {source.name} {name}", file)

    def data_check(self):
        """The problems that a full check finds once the journal is replayed; empty when there are none. The sums in the
        superblock are written when a file system is unmounted, and made anew when it is mounted."""
        with self.extracted("data") as file:
            tool("e2fsck", "-E", "journal_only", "-y", file, check=False)
            done = subprocess.run(["e2fsck", "-fn", str(file)], env=TOOLS, capture_output=True, check=False)
            problems = [line for line in done.stdout.decode(errors="replace").splitlines() if not HARMLESS.search(line)]
            return "\n".join(problems) if done.returncode else ""

    def data_size(self):
        """The file system's own size in bytes, from its superblock."""
        block = self.read(self["data"].start + 1024, 1024)
        blocks, = struct.unpack_from("<I", block, 4)
        return blocks << (10 + struct.unpack_from("<I", block, 24)[0])

    # ---- slots ----
    def slot_json(self, slot):
        """What the trailer of slot "a" or "b" says; None when it has none."""
        part = self[f"rootfs-{slot.upper()}"]
        text = self.read(part.start + part.size - TRAILER, TRAILER).rstrip(b"\0")
        return json.loads(text) if text else None

    def slot_file(self, slot, name):
        """A file out of a slot's squashfs."""
        return tool("unsquashfs", "-o", self[f"rootfs-{slot.upper()}"].start, "-cat", self.path, name.lstrip("/"))

    def copy_slot(self, source, target):
        """The whole partition, trailer included."""
        one, other = self[f"rootfs-{source.upper()}"], self[f"rootfs-{target.upper()}"]
        tool("dd", f"if={self.path}", f"of={self.path}", "bs=1M", f"skip={one.start}", f"seek={other.start}",
             f"count={min(one.size, other.size)}", "iflag=skip_bytes,count_bytes", "oflag=seek_bytes", "conv=notrunc,sparse",
             "status=none")

    def find_in_slot(self, slot, needle):
        """Where bytes lie in a slot (offset in the partition); None when they are compressed away."""
        part = self[f"rootfs-{slot.upper()}"]
        step = 16 << 20
        for offset in range(0, part.size, step):
            place = self.read(part.start + offset, step + len(needle)).find(needle)
            if place >= 0:
                return offset + place
        return None

    def remove(self):
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def free_space(folder):
    return shutil.disk_usage(folder).free
