"""A stand-in for the whole system, so that a start costs little: the image's own kernel, initramfs, suite and init, without what the
suite does not need to upgrade itself. The boot menu does not wait. Its releases are made here, too: each with some bytes that no
other has."""
import os
import pathlib
import re
import shutil
import sys

from os_bootstate import write_state
from os_case import SOURCE
from os_disk import TRAILER, tool

sys.path.insert(0, str(SOURCE / "test" / "release"))
from release_maker import BIN, seal, sequence_of  # noqa: E402

ADDRESS = "10.0.3.15"
KEPT_UNITS = ("confd.yaml", "healthd.yaml", "upgrader.yaml")
UNNEEDED = ("usr/share/zoneinfo", "usr/share/locale", "usr/share/i18n", "usr/share/doc", "usr/share/perl5", "usr/lib/systemd",
            "usr/lib/x86_64-linux-gnu/systemd", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/udev", "usr/lib/firmware",
            "usr/bin/openssl", "usr/bin/bash", "usr/sbin/ldconfig")
INITTAB = """::sysinit:/usr/libexec/macula/stand-in
::once:/usr/libexec/macula/confirm
ttyS0::respawn:/bin/sh
::ctrlaltdel:/sbin/reboot
::shutdown:/usr/libexec/macula/stop
"""
STAND_IN = f"""#!/bin/sh
for link in /sys/class/net/e*; do ip link set "${{link##*/}}" up && ip addr add {ADDRESS}/24 dev "${{link##*/}}"; done
/usr/libexec/macula/start
cp -p /usr/lib/rc/cache/* /run/openrc
ln -sf /etc/init.d/macula /run/openrc/started/macula
. /run/initramfs/boot.env
echo "stand-in: slot=$slot pending=$pending failed=$failed version=$version problem=$data_problem lost=$state_lost$tries_lost" >/dev/console
"""


class Minimal:
    """`releases`: what was ever signed: root hash → (version, bytes, SHA-256)."""

    def __init__(self, disk, folder, signer):
        self.disk, self.folder, self.signer = disk, pathlib.Path(folder), signer
        self.root, self.releases = self.folder / "root", {}
        tool("unsquashfs", "-n", "-q", "-o", disk["rootfs-A"].start, "-d", self.root, disk.path)
        self.arch = disk.slot_json("a")["arch"]
        self._strip()

    def _strip(self):
        (self.root / "boot/crc32").unlink(missing_ok=True)  # the boot loader would read both files twice
        for name in UNNEEDED:
            path = self.root / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        for path in (self.root / "usr/lib/modules").rglob("*.ko*"):
            path.unlink()  # what a virtual machine needs the initramfs has loaded
        for path in (self.root / "usr/lib/macula/units").iterdir():
            if path.name not in KEPT_UNITS:
                path.unlink()
        (self.root / "etc/inittab").write_text(INITTAB)
        keys = self.root / "usr/share/maculaos/keys"  # where IMAGE_KEYS puts them
        keys.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.signer.public, keys / "release.asc")
        (self.root / "usr/libexec/macula/stand-in").touch(0o755)

    def release(self, name, version, more=lambda root: None):
        """A signed release in a directory of that name; one that is there already makes room."""
        directory = self.folder / f"{name}.new"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        os_release = self.root / "usr/lib/os-release"
        os_release.write_text(re.sub(r"(?m)^((?:IMAGE_VERSION|VERSION_ID|VERSION)=).*$", rf'\g<1>"{version}"', os_release.read_text()))
        (self.root / "usr/share/unlike-others").write_bytes(os.urandom(4 << 20))
        (self.root / "usr/libexec/macula/stand-in").write_text(STAND_IN)
        more(self.root)
        image, slot = self.folder / "image", directory / f"macula-os-{version}-{self.arch}.slot"
        image.unlink(missing_ok=True)
        tool("mksquashfs", self.root, image, "-quiet", "-no-progress", "-comp", "gzip", "-Xcompression-level", "1")
        tool(BIN / "macula-release", "slot", image, slot, version, self.arch)
        said = slot.with_name(slot.name + ".json").read_text()
        facts = {key: value.strip('"') for key, value in re.findall(r'"(\w+)": ?("[^"]*"|\d+)', said)}
        self.releases[facts["root_hash"]] = (version, int(facts["size"]), facts["sha256"])
        seal(directory, self.signer, sequence=sequence_of(version))
        shutil.rmtree(self.folder / name, ignore_errors=True)
        directory.rename(self.folder / name)
        return self.folder / name, facts, said

    def install(self, version, more=lambda root: None):
        """Puts that version into slot A of the disk, as if it had come with it."""
        directory, facts, said = self.release(f"v{version}", version, more)
        part = self.disk["rootfs-A"]
        self.disk.write(part.start, next(directory.glob("*.slot")).read_bytes())
        self.disk.write(part.start + part.size - TRAILER, said.encode().ljust(TRAILER, b"\0"))
        write_state(self.disk, verity_a=f"{facts['root_hash']}:{int(facts['data_blocks']):010}")
        self.disk.esp_write("/grub/local.cfg", b"set timeout=0\n")
        return directory
