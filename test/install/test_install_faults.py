"""The installer killed at each step: the disk either starts nothing or is a whole installation, and the next run begins anew."""
import re
import signal

import install_rig
from install_rig import PROGRAM, InstallTest
from os_disk import Disk

# In the order of writing; only after the last one may anything start.
STEPS = ["install.begin", "install.erased", "install.slot.half", "install.slot", "install.esp", "install.bios", "install.data",
         "install.verified", "install.table.backup", "install.table.entries", "install.table.header", "install.done"]


def has_fault_points():
    return b"install.table.header" in PROGRAM.read_bytes()


class Killed(InstallTest):
    def setUp(self):
        super().setUp()
        if not has_fault_points():
            self.skipTest("this build has no fault points")

    def kill_at(self, step):
        done = self.run_install("--image", self.image, "--size", "2G", "--yes", fault=step)
        self.assertEqual(done.returncode, -signal.SIGKILL, f"{step} was not reached: {done.stderr}")
        return Disk(self.image)

    def test_on_an_empty_disk_nothing_starts_before_the_last_step_and_then_everything_is_there(self):
        for step in ("install.begin", "install.slot.half", "install.table.header"):
            with self.subTest(step):
                self.assertFalse(self.is_bootable(self.kill_at(step)))
                self.image.unlink()
        self.assert_whole(self.kill_at("install.done"))

    def test_over_an_old_installation_it_is_the_old_one_or_nothing_or_the_new_one_and_the_next_run_makes_it_whole(self):
        disk = self.install("--set", "hostname=old")
        for step in STEPS:
            with self.subTest(step):
                identity = disk["esp"].uuid
                self.kill_at(step)
                if step in (STEPS[0], STEPS[-1]):
                    self.assert_whole(disk)
                    self.assertEqual(disk["esp"].uuid == identity, step == STEPS[0])
                else:
                    self.assertFalse(self.is_bootable(disk))
                self.assert_whole(self.install())

    def test_the_steps_are_those_of_the_program(self):
        found = set(re.findall(rb"install\.[a-z.]+(?=\0)", PROGRAM.read_bytes()))
        points = {name for name in (word.decode() for word in found) if name.split(".")[1] in
                  {"begin", "erased", "slot", "esp", "bios", "data", "verified", "table", "done"}}
        self.assertEqual(points, set(STEPS))


if __name__ == "__main__":
    install_rig.main()
