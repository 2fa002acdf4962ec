"""What a person chooses: the entries of the boot menu, with the keys of the serial line, and the factory reset of the command line."""
import json
import unittest

from os_bootstate import state_on, write_state
from os_case import OsTest

LAST_ENTRY, DOWN = r"Factory reset \.\.\.", "\x0e"
ERASES_ALL = r"ERASE everything of this node"
NORMAL, PREVIOUS, RECOVERY, RESET = range(4)


class Menu(OsTest):
    def choose(self, machine, entry):
        """Switches it on and chooses that entry of the boot menu before its five seconds are over."""
        machine.start().console.expect(LAST_ENTRY, 120)
        machine.console.send(DOWN * entry + "\r")
        return machine.console

    @staticmethod
    def info(machine):
        """What the node says of itself once a configuration is in force."""
        machine.console.ok("until doas maculaos node info -o json 2>/dev/null | grep -q '\"generation\"'; do sleep 1; done", 180)
        return json.loads(machine.console.ok("doas maculaos node info -o json | tr -d '\\n'; echo"))

    def test_the_menus_previous_version_starts_once_and_is_kept_when_it_is_confirmed(self):
        disk = self.disk(menu=True)
        disk.copy_slot("a", "b")
        before = write_state(disk, verity_b=state_on(disk).verity_a)
        machine = self.machine(disk)
        console = self.choose(machine, PREVIOUS)
        console.expect("MaculaOS: slot b, disk", 60)
        console.log_in()
        environment = self.boot_environment(machine)
        self.assertEqual((environment["slot"], environment["pending"], environment["failed"]), ("b", "0", ""))
        self.assertIn("to stay with slot b", console.ok("doas maculaos boot status"))
        self.assertEqual(state_on(disk), before)
        console.ok("doas maculaos boot confirm")
        machine.power_cut()
        self.assertEqual((state_on(disk).active, state_on(disk).pending), ("b", "-"))

    def test_the_menus_previous_version_that_is_none_gives_way_to_the_one_there_is(self):
        machine = self.machine(self.disk(menu=True))
        console = self.choose(machine, PREVIOUS)
        console.expect("MaculaOS: slot b is empty", 60)
        console.log_in()
        environment = self.boot_environment(machine)
        self.assertEqual((environment["slot"], environment["failed"]), ("a", "b"))

    def test_the_menus_recovery_opens_and_the_next_start_is_a_usual_one(self):
        disk = self.disk(menu=True)
        before = state_on(disk)
        machine = self.machine(disk)
        console = self.choose(machine, RECOVERY)
        console.expect("MaculaOS: slot a, recovery", 60)
        console.expect(r"Recovery> $", 240)
        self.assertIn("slot a    version", console.text)
        console.line("9")
        self.assertEqual(machine.wait_end(60), "reset")
        self.assertEqual(state_on(disk), before)
        environment = self.up(machine)
        self.assertEqual((environment["mode"], environment["slot"]), ("disk", "a"))

    def configured(self, disk):
        """A machine with a configured node from this disk, and what its node says of itself."""
        machine = self.machine(disk, self.medium(more="hostname: before\n"), name="before")
        machine.start().console.log_in()
        info = self.info(machine)
        self.assertEqual(info["hostname"], "before")
        return machine, info

    def is_fresh(self, disk, before, starts):
        """After so many starts the node is another one, of the same version, and knows nothing of the one before."""
        machine = self.machine(disk, name="after")
        count, environment = self.boots_until_up(machine)
        self.assertEqual((count, environment["slot"], environment["persistent"]), (starts, "a", "1"))
        machine.console.ok("until doas maculaos node info >/dev/null 2>&1; do sleep 1; done", 180)
        info = json.loads(machine.console.ok("doas maculaos node info -o json | tr -d '\\n'; echo"))
        self.assertEqual((info["version"], info["slot"]), (before["version"], before["slot"]))
        self.assertNotEqual(info["node_id"], before["node_id"])
        self.assertNotEqual(info["hostname"], "before")
        self.assertNotIn("left", info["last_reset"])
        self.assertNotEqual(machine.console.run("doas ls /var/lib/maculaos/config.yaml")[0], 0)
        machine.power_cut()
        self.assertEqual(state_on(disk).reset, "none")

    def test_a_factory_reset_that_was_asked_for_and_confirmed_leaves_a_fresh_node_of_the_same_version(self):
        disk = self.disk()
        machine, before = self.configured(disk)
        machine.console.line("doas maculaos factory-reset --confirm")
        machine.console.expect(r"user data included\? \[y/N\] $", 60)
        machine.console.line("no")
        machine.console.ok("true")
        self.assertEqual(state_on(disk).reset, "none")
        machine.console.line("doas maculaos factory-reset --confirm")
        machine.console.expect(r"user data included\? \[y/N\] $", 60)
        machine.console.line("yes")
        self.assertEqual(machine.wait_end(180), "reset")
        self.assertEqual(state_on(disk).reset, "all")
        self.is_fresh(disk, before, 2)

    def test_the_menus_factory_reset_leaves_a_fresh_node(self):
        disk = self.disk(menu=True)
        machine, before = self.configured(disk)
        machine.power_cut()
        machine = self.machine(disk, name="menu")
        console = self.choose(machine, RESET)
        console.expect(ERASES_ALL, 60)
        console.send(DOWN * 2 + "\r")
        console.expect("MaculaOS: slot a, reset", 60)
        self.assertEqual(machine.wait_end(240), "reset")
        self.is_fresh(disk, before, 1)


if __name__ == "__main__":
    unittest.main()
