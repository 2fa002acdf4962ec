"""The watchdog of a machine, hardware or not: who feeds it, and what happens when nobody does."""
import json
import unittest

from os_case import OsTest


class Watchdog(OsTest):
    def test_the_watchdog_restarts_a_machine_whose_healthd_hangs(self):
        machine = self.machine(self.disk(), self.medium(more="  watchdog:\n    timeout: 20s\n"), watchdog=True)
        self.up(machine)
        machine.console.ok("until doas maculaos health status -o json | tr -d ' \\n' | grep -q '\"timeout_s\":20'; do sleep 1; done", 240)
        watchdog = json.loads(machine.console.ok("doas maculaos health status -o json | tr -d '\\n'; echo", 60))["watchdog"]
        self.assertEqual((watchdog["kind"], watchdog["fed"]), ("hardware", True), watchdog)
        self.assertRegex(watchdog["identity"], "6300ESB")
        machine.console.ok("doas kill -STOP $(pidof healthd)")
        self.assertEqual(machine.wait_end(240), "reset")
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"], environment["failed"]), ("a", "0", ""))

    def test_a_healthd_that_is_killed_comes_back_to_its_watchdog_in_time(self):
        machine = self.machine(self.disk(), self.medium(more="  watchdog:\n    timeout: 20s\n"), watchdog=True)
        self.up(machine)
        fed = "doas maculaos health status -o json | tr -d ' \\n' | grep -q '\"timeout_s\":20'"
        machine.console.ok(f"until {fed}; do sleep 1; done", 240)
        before = machine.console.ok("pidof healthd").strip()
        machine.console.ok("doas kill -KILL $(pidof healthd)")
        machine.console.ok(f"until [ \"$(pidof healthd)\" -gt 0 ] && [ \"$(pidof healthd)\" != {before} ] && {fed}; do sleep 1; done", 240)
        # Longer than the time-out: had nobody fed it, the machine would be gone.
        machine.console.ok("sleep 30", 120)
        self.assertTrue(json.loads(machine.console.ok("doas maculaos health status -o json | tr -d '\\n'; echo", 60))["watchdog"]["fed"])

    def test_without_hardware_the_kernels_own_is_taken_over_and_disarmed_when_it_is_not_wanted(self):
        machine = self.machine(self.disk(), self.medium())
        self.assertEqual(self.up(machine)["watchdog"], "/dev/watchdog0")
        state = "doas cat /sys/class/watchdog/watchdog0/state"
        machine.console.ok("until doas maculaos health status -o json | tr -d ' \\n' | grep -q '\"kind\":\"software\"'; do sleep 1; done", 240)
        self.assertEqual(machine.console.ok(state), "active")
        self.assertNotEqual(machine.console.run("test -e /run/macula-watchdog.pid || pidof watchdog")[0], 0)
        machine.console.ok("doas maculaos config set maculaos.watchdog.software_fallback false", 120)
        machine.console.ok("until doas maculaos health status -o json | tr -d ' \\n' | grep -q '\"kind\":\"off\"'; do sleep 1; done", 120)
        self.assertEqual(machine.console.ok(state), "inactive")


if __name__ == "__main__":
    unittest.main()
