#!/usr/bin/python3
"""What follows when the recovery or the factory reset ends, however it does: lib/modes.sh with programs that only say that they ran."""
import os
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
START = r"""
tell() {{ echo "tell: $*"; }}
show_lines() {{ cat; }}
terminals=/dev/null
report_hand_over() {{ :; }}
sync() {{ echo sync; }}
reboot() {{ echo reboot; exit; }}
mode={mode} slot=a esp_uuid=1234 watchdog={watchdog}
. {lib}/modes.sh
modes_programs={programs}
modes_program {mode}
echo "went on to start the system"
"""


# Of the initramfs, which has them where a machine that is built on has not.
TOOLS = {"macula-initrd": '[ "$1" = feed ] || exit 0; echo "fed for $2 s"; shift 2; exec "$@"', "setsid": 'exec "$@"'}


class Modes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in TOOLS.items():
            self.program(name, text)

    def program(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self, mode, watchdog="", **codes):
        """One start in this mode, with programs that end with these exit codes; the lines that it says."""
        for name, code in codes.items():
            self.program(name, f'echo "{name} of slot $slot, mode $mode"; exit {code}')
        script = START.format(mode=mode, watchdog=watchdog, lib=HERE / "lib", programs=self.folder)
        done = subprocess.run(["sh", "-u", "-c", script], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
                              env={"PATH": f"{self.folder}:{os.environ['PATH']}"})
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_a_reset_that_is_done_restarts_the_machine(self):
        self.assertEqual(self.start("reset", reset=0, recovery=0),
                         ["reset of slot a, mode reset", "tell: reset has ended: restarting", "sync", "reboot"])

    def test_a_reset_that_left_something_is_gone_on_with_by_the_next_start(self):
        self.assertEqual(self.start("reset", reset=4, recovery=0),
                         ["reset of slot a, mode reset", "tell: reset has ended: restarting", "sync", "reboot"])

    def test_a_reset_that_cannot_be_finished_ends_in_the_recovery(self):
        self.assertEqual(self.start("reset", reset=1, recovery=0),
                         ["reset of slot a, mode reset", "tell: cannot start: the factory reset was not finished",
                          "recovery of slot a, mode reset", "tell: recovery has ended: restarting", "sync", "reboot"])

    def test_a_recovery_that_ends_with_an_error_restarts_the_machine_too(self):
        said = self.start("recovery", recovery=1)
        self.assertEqual((said[0], said[-1]), ("recovery of slot a, mode recovery", "reboot"))

    def test_an_armed_watchdog_is_fed_while_the_recovery_runs(self):
        self.assertEqual(self.start("recovery", watchdog="armed", recovery=0)[:2], ["fed for 0 s", "recovery of slot a, mode recovery"])

    def test_without_the_program_there_is_a_shell_and_then_a_restart(self):
        said = self.start("reset")
        self.assertIn("this initramfs has no", said[0])
        self.assertEqual(said[-1], "reboot")


if __name__ == "__main__":
    unittest.main()
