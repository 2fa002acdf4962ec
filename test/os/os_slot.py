"""Slots that misbehave: the content of one is taken apart, changed, and put together again with its own hash tree, so that only what was
changed is wrong with it. Needs root, as files keep their owners."""
import json
import pathlib
import re
import tempfile

from os_disk import TRAILER, tool

BLOCK = 4096


def rebuild(disk, slot, edit):
    """Calls `edit` with the slot's root directory, writes the result back; returns its verity token, "hash:blocks"."""
    part = disk[f"rootfs-{slot.upper()}"]
    said = disk.slot_json(slot)
    with tempfile.TemporaryDirectory(prefix="macula-slot-", dir=disk.path.parent) as folder:
        root, image = pathlib.Path(folder) / "root", pathlib.Path(folder) / "image"
        tool("unsquashfs", "-n", "-q", "-o", part.start, "-d", root, disk.path)
        edit(root)
        tool("mksquashfs", root, image, "-quiet", "-no-progress", "-comp", "gzip", "-Xcompression-level", "1")
        size = -(-image.stat().st_size // BLOCK) * BLOCK
        with image.open("r+b") as file:
            file.truncate(size)
        text = tool("veritysetup", "format", "--no-superblock", "--salt=-", "--hash=sha256", f"--data-blocks={size // BLOCK}",
                    f"--hash-offset={size}", image, image).decode()
        root_hash = re.search(r"Root hash:\s+([0-9a-f]{64})", text)[1]
        whole = image.read_bytes()
    if len(whole) > part.size - TRAILER:
        raise AssertionError(f"the changed slot has {len(whole)} bytes, its partition {part.size}")
    disk.write(part.start, whole)
    said.update(size=len(whole), data_blocks=size // BLOCK, root_hash=root_hash)
    disk.write(part.start + part.size - TRAILER, json.dumps(said).encode().ljust(TRAILER, b"\0"))
    return f"{root_hash}:{size // BLOCK:010}"


def with_init(script):
    """An edit: the first program of the slot is this shell script."""
    def edit(root):
        init = root / "sbin" / "init"
        init.unlink(missing_ok=True)
        init.write_text("#!/bin/sh\n" + script)
        init.chmod(0o755)
    return edit
