#!/usr/bin/python3
"""What ends a start whose node never comes up: the guard, with time that passes at once and a restart that is only said."""
import pathlib
import subprocess
import tempfile
import unittest

GUARD = pathlib.Path(__file__).resolve().parents[2] / "overlay/usr/libexec/macula/guard"
STAND_INS = r"""
note_trial() { echo "noted: $*"; }
sleep() { echo "slept $1 s"; [ "$1" != 900 ] || . "$folder/meanwhile"; [ "$1" != 30 ] || wait; }
sync() { [ ! -e "$folder/hangs" ] || exit; echo synced; }
kill() { echo "killed: $*"; }
reboot() { echo "restarted: $*"; exit; }
"""


class Guard(unittest.TestCase):
    def start(self, feeder, meanwhile="", disk_hangs=False):
        """The lines of one start whose file names this feeder; `meanwhile`: what happens in the quarter of an hour."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "boot-env").write_text(STAND_INS)
            (folder / "meanwhile").write_text(meanwhile)
            (folder / "feeder").write_text(f"{feeder}\n")
            if disk_hangs:
                (folder / "hangs").touch()
            script = GUARD.read_text().replace("/usr/libexec/macula/boot-env", str(folder / "boot-env"))
            done = subprocess.run(["sh", "-uc", script, "guard", str(folder / "feeder"), "900"], capture_output=True, text=True, check=True,
                                  env={"folder": name})
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_a_node_that_is_up_is_left_alone(self):
        self.assertEqual(self.start(77, meanwhile='rm "$folder/feeder"'), ["slept 900 s"])
        self.assertEqual(self.start(0, meanwhile='rm "$folder/feeder"'), ["slept 900 s"])

    def test_with_a_watchdog_its_feeder_is_killed_before_anything_that_may_hang(self):
        said = self.start(77)
        self.assertEqual(said[:2], ["slept 900 s", "killed: -9 77"])
        self.assertIn("restarted: -f", said)

    def test_without_a_watchdog_the_machine_is_restarted_past_init(self):
        said = self.start(0)
        self.assertFalse([line for line in said if line.startswith("killed")])
        self.assertIn("noted: start the node was not up after a quarter of an hour", said)
        self.assertLess(said.index("synced"), said.index("restarted: -f"))

    def test_a_disk_that_does_not_answer_holds_nothing_up(self):
        said = self.start(0, disk_hangs=True)
        self.assertEqual(said[-1], "restarted: -f -n")
        self.assertNotIn("restarted: -f", said)


if __name__ == "__main__":
    unittest.main()
