"""The images themselves: made twice, on another day's terms, they are the same bytes; every format holds the same disk; what is
signed can be checked by who has the key."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
import xml.etree.ElementTree as xml

from os_case import SOURCE, Images, OsTest
from os_machine import cache_directory

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


def checked(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


class Image(OsTest):
    def built(self, name, **environment):
        """All formats, made once more into a folder of their own."""
        folder = self.folder / name
        checked("sh", "-c", "umask 077 && exec images/build", cwd=SOURCE, env={
            **os.environ, "IMAGE_COMPRESSION": "gzip", "IMAGE_DIR": str(folder),
            "DEBS": str((Images.FOLDER / "stages" / "00-packages").resolve()), **environment})
        return folder

    def test_a_second_build_elsewhere_gives_the_same_bytes(self):
        Images.build()
        cache = self.folder / "cache"  # empty, but for what is downloaded
        cache.mkdir()
        for name in ("apt", "debs"):
            (cache / name).symlink_to(cache_directory() / name)
        second = self.built("images", MACULA_CACHE=str(cache), TZ="Pacific/Kiritimati", LANG="C.UTF-8", HOME=str(self.folder))
        sums = (second / "SHA256SUMS.txt").read_text()
        self.assertEqual(sums, (Images.FOLDER / "SHA256SUMS.txt").read_text())
        for format_ in ("img", "iso", "qcow2", "ova", "slot", "tar", "cdx.json"):
            self.assertIn(f".{format_}\n", sums)

    def test_every_format_holds_the_same_disk_and_its_signature_counts(self):
        home = tempfile.mkdtemp(prefix="macula-gpg-")  # the agent's socket has to have a short path
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        self.addCleanup(subprocess.run, ["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        gpg = ("gpg", "--homedir", home, "--batch", "-q")
        checked(*gpg, "--passphrase", "", "--quick-generate-key", "Images <images@example.com>", "ed25519", "sign", "never")
        (self.folder / "key.asc").write_text(checked(*gpg, "--armor", "--export-secret-keys"))
        (self.folder / "key.gpg").write_bytes(subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout)
        Images.build()
        folder = self.built("images", IMAGE_SIGNING_KEY=str(self.folder / "key.asc"))
        checked("gpgv", "--keyring", self.folder / "key.gpg", folder / "SHA256SUMS.txt.asc", folder / "SHA256SUMS.txt")
        checked("sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS.txt", cwd=folder)
        disk = Images.of("img") if "MACULA_OS_IMAGES" in os.environ else next(folder.glob("*.img"))
        checked("qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, next(folder.glob("*.qcow2")))
        checked("qemu-img", "compare", "-f", "raw", "-F", "vmdk", disk, self.appliance(next(folder.glob("*.ova")), disk))
        self.bill_of_materials(folder)

    def appliance(self, ova, disk):
        """The disk in it, after what describes it was compared with what is there."""
        with tarfile.open(ova) as archive:
            archive.extractall(self.folder / "ova")  # of our own making
        found = {path.suffix: path for path in (self.folder / "ova").iterdir()}
        self.assertEqual(sorted(found), [".mf", ".ovf", ".vmdk"])
        for line in found[".mf"].read_text().splitlines():
            name, digest = line.removeprefix("SHA256(").split(")= ")
            self.assertEqual(hashlib.sha256((self.folder / "ova" / name).read_bytes()).hexdigest(), digest, name)
        said = xml.parse(found[".ovf"])
        file, drive = said.find(f".//{OVF}File"), said.find(f".//{OVF}Disk")
        self.assertEqual((file.get(f"{OVF}href"), int(file.get(f"{OVF}size"))), (found[".vmdk"].name, found[".vmdk"].stat().st_size))
        self.assertEqual(int(drive.get(f"{OVF}capacity")), disk.stat().st_size)
        return found[".vmdk"]

    def bill_of_materials(self, folder):
        """Names each package whose licence the root has."""
        named = {one["name"] for one in json.loads(next(folder.glob("*.cdx.json")).read_text())["components"]}
        with tarfile.open(next(folder.glob("*.tar"))) as root:
            documented = {name.split("/")[4] for name in root.getnames() if re.fullmatch(r"\./usr/share/doc/[^/]+/copyright", name)}
        for name in ("nats-server", "maculaos-node"):
            self.assertIn(name, named)
            self.assertIn(name, documented)
        self.assertEqual(documented - named, set())

    def tearDown(self):
        super().tearDown()
        subprocess.run(["rm", "-rf", self.folder / "cache"], check=False)


if __name__ == "__main__":
    unittest.main()
