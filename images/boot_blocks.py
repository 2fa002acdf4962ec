#!/usr/bin/env python3
"""boot_blocks.py state FILE... | tries FILE | settings FILE | mbr DISK CORE SECTOR

state: writes a boot state block; fields as name=value arguments after the file.
tries: writes a block that says that nothing was tried.
settings: writes a script of comments, to be written over.
mbr: puts GRUB's boot sector and core image into a disk image, as grub-bios-setup does, without a device.
"""
import struct
import sys
import zlib

HEADER = b"# GRUB Environment Block\n"
SIZE = 1024


def block(text):
    whole = HEADER + text.encode()
    return whole + b"#" * (SIZE - len(whole))


def state(seq, active, pending, next_mode, reset, verity_a, verity_b):
    body = (f"seq={seq:010d}\nactive={active}\npending={pending}\nnext={next_mode}\nreset={reset}\n"
            f"verity_a={verity_a}\nverity_b={verity_b}\n")
    crc = zlib.crc32(HEADER + body.encode())
    return block(f"{body}crc={crc:08x}\nend={seq:010d}\n")


def tries(numbers=(0, 0, 0), next_done=0):
    fields = "".join(f"t{index}={number:010d}\n" for index, number in enumerate(numbers, 1))
    return block(f"{fields}next={next_done:010d}\n")


def verity(root_hash="0" * 64, blocks=0):
    return f"{root_hash}:{blocks:010d}"


def write_mbr(disk, core_path, sector):
    with open("/usr/lib/grub/i386-pc/boot.img", "rb") as image, open(core_path, "rb") as core_image:
        boot, core = bytearray(image.read()), bytearray(core_image.read())
    core += bytes(-len(core) % 512)
    boot[0x5C:0x64] = struct.pack("<Q", sector)
    boot[0x66:0x68] = b"\x90\x90"  # start from the disk that the firmware names, as grub-bios-setup does
    core[0x1F4:0x1FC] = struct.pack("<Q", sector + 1)  # the list of the remaining sectors: one run
    core[0x1FC:0x1FE] = struct.pack("<H", len(core) // 512 - 1)
    with open(disk, "r+b") as out:
        out.write(boot[:440])
        out.seek(sector * 512)
        out.write(core)


def main():
    command, path = sys.argv[1:3]
    if command == "state":
        seq, root_hash, blocks = sys.argv[3:6]
        data = state(int(seq), "a", "-", "normal--", "none", verity(root_hash, int(blocks)), verity())
    elif command == "tries":
        data = tries()
    elif command == "settings":
        data = b"# Settings of this machine.\n"
        data += b"#" * (SIZE - len(data) - 1) + b"\n"
    else:
        write_mbr(path, sys.argv[3], int(sys.argv[4]))
        return
    with open(path, "wb") as out:
        out.write(data)


if __name__ == "__main__":
    main()
