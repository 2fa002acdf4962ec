#!/usr/bin/python3
"""How long a first start waits for a medium that a person has labelled: macula-initrd with a /sys and a /dev of its own.

    test_labelled.py MACULA-INITRD"""
import os
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
UNSHARE = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]
WAITS_S, TRIES = 2.4, 5  # no wait is shorter; the machine may be slow, but not so often


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
        return subprocess.Popen([*UNSHARE, "sh", "-c", START, "sh", self.folder, INITRD], stderr=subprocess.DEVNULL)

    def took(self, code):
        """Seconds until it has ended with that exit code."""
        began = time.monotonic()
        self.assertEqual(self.begin().wait(30), code)
        return time.monotonic() - began

    def assert_nobody_waits(self, code):
        self.assertTrue(any(self.took(code) < WAITS_S for _ in range(TRIES)))

    def test_what_is_there_is_waited_for_by_nobody(self):
        self.hub("usb1", 10)
        self.stick()
        self.assert_nobody_waits(UNUSABLE)

    def test_without_usb_nobody_waits(self):
        self.assert_nobody_waits(NONE)

    def test_hubs_that_had_their_time_are_not_waited_for(self):
        for name, age in (("usb1", 2600), ("1-1", 120000)):
            self.hub(name, age)
        self.put("bus/usb/devices/1-2/bDeviceClass", "03")
        self.put("bus/usb/devices/1-2/power/connected_duration", 1)
        self.assert_nobody_waits(NONE)

    def test_a_hub_gets_the_rest_of_its_time(self):
        self.hub("usb1", 60000)
        self.hub("1-1", 500)  # which stays so young here: the bound ends it
        self.assertGreater(self.took(NONE), 2.9)

    def test_a_stick_that_comes_meanwhile_is_taken(self):
        """It asks how long the hub has been there when it has looked for the stick in vain: that answer waits for the stick."""
        self.hub("usb1", 500)
        age = self.folder / "sys/bus/usb/devices/usb1/power/connected_duration"
        age.unlink()
        os.mkfifo(age)
        running = self.begin()
        with open(age, "w", encoding="ascii") as answer:
            self.stick()
            age.unlink()
            self.hub("usb1", 500)
            answer.write("500\n")
        self.assertEqual(running.wait(30), UNUSABLE)


if __name__ == "__main__":
    INITRD = sys.argv.pop(1)
    if subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "dev", "/dev"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("skipped: nobody may have a /dev of his own here")
        sys.exit(77)
    if not shutil.which("mkfs.vfat", path=TOOLS["PATH"]):
        print("skipped: mkfs.vfat is not installed (scripts/install-dependencies test)")
        sys.exit(77)
    unittest.main()
