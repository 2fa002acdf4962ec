#!/usr/bin/python3
"""How long a first start waits for a medium that a person has labelled: macula-initrd with a /sys and a /dev of its own.

    test_labelled.py MACULA-INITRD"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

START = """
mount --bind "$1/sys" /sys && mount --bind "$1/dev" /dev || exit 77
exec "$2" configuration MACULA-CONF "$1/config.yaml"
"""
TOOLS = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
NONE, UNUSABLE = 1, 3  # what is no block device is found, and cannot be mounted


class Labelled(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "dev").mkdir()
        for name in ("class/block", "bus/usb/devices"):
            (self.folder / "sys" / name).mkdir(parents=True)

    def put(self, name, text):
        path = self.folder / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def hub(self, name, age_ms):
        self.put(f"bus/usb/devices/{name}/bDeviceClass", "09")
        self.put(f"bus/usb/devices/{name}/power/connected_duration", age_ms)

    def stick(self):
        subprocess.run(["mkfs.vfat", "-C", "-n", "MACULA-CONF", self.folder / "dev" / "sda", "64"], check=True, stdout=subprocess.DEVNULL,
                       env=TOOLS)
        self.put("class/block/sda/size", 128)

    def begin(self):
        return subprocess.Popen(["unshare", "-rm", "sh", "-c", START, "sh", self.folder, INITRD], stderr=subprocess.DEVNULL)

    def took(self, code):
        """Seconds until it has ended with that exit code."""
        began = time.monotonic()
        self.assertEqual(self.begin().wait(30), code)
        return time.monotonic() - began

    def test_what_is_there_is_waited_for_by_nobody(self):
        self.hub("usb1", 10)
        self.stick()
        self.assertLess(self.took(UNUSABLE), 2)

    def test_without_usb_nobody_waits(self):
        self.assertLess(self.took(NONE), 2)

    def test_hubs_that_had_their_time_are_not_waited_for(self):
        for name, age in (("usb1", 2600), ("1-1", 120000)):
            self.hub(name, age)
        self.put("bus/usb/devices/1-2/bDeviceClass", "03")
        self.put("bus/usb/devices/1-2/power/connected_duration", 1)
        self.assertLess(self.took(NONE), 2)

    def test_a_hub_gets_the_rest_of_its_time(self):
        self.hub("usb1", 60000)
        self.hub("1-1", 500)  # which stays so young here: the bound ends it
        self.assertTrue(2.9 < self.took(NONE) < 10)

    def test_a_stick_that_comes_meanwhile_is_taken(self):
        self.hub("usb1", 500)
        running = self.begin()
        time.sleep(1)
        self.assertIsNone(running.poll())
        self.stick()
        self.assertEqual(running.wait(30), UNUSABLE)


if __name__ == "__main__":
    INITRD = sys.argv.pop(1)
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "dev", "/dev"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("skipped: nobody may have a /dev of his own here")
        sys.exit(77)
    if not shutil.which("mkfs.vfat", path=TOOLS["PATH"]):
        print("skipped: mkfs.vfat is not installed (scripts/install-dependencies test)")
        sys.exit(77)
    unittest.main()
