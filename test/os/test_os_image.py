"""The images themselves: made twice, on another day's terms, they are the same bytes."""
import hashlib
import os
import subprocess
import unittest

from os_case import SOURCE, Images, OsTest
from os_machine import cache_directory

STAGES = {"slot": "40-slot/slot", "disk": "50-disk/disk.img", "medium": "60-iso/medium.iso", "initramfs": "30-initramfs/initrd"}


def digests(folder):
    def of(path):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return {name: of(folder / "stages" / place) for name, place in STAGES.items()}


class Image(OsTest):
    def test_a_second_build_elsewhere_gives_the_same_bytes(self):
        Images.build("50-disk", "60-iso")
        first = Images.FOLDER
        cache = self.folder / "cache"  # empty, but for what is downloaded
        cache.mkdir()
        for name in ("apt", "debs"):
            (cache / name).symlink_to(cache_directory() / name)
        subprocess.run(["sh", "-c", "umask 077 && exec images/build 50-disk 60-iso"], check=True, cwd=SOURCE,
                       env={**os.environ, "IMAGE_COMPRESSION": "gzip", "IMAGE_DIR": str(self.folder / "images"), "MACULA_CACHE": str(cache),
                            "DEBS": str((first / "stages" / "00-packages").resolve()), "TZ": "Pacific/Kiritimati", "LANG": "C.UTF-8",
                            "HOME": str(self.folder)})
        self.assertEqual(digests(self.folder / "images"), digests(first))

    def tearDown(self):
        super().tearDown()
        subprocess.run(["rm", "-rf", self.folder / "cache"], check=False)


if __name__ == "__main__":
    unittest.main()
