#!/usr/bin/env python3
"""Commit-confirm: a change that is not confirmed in time, or not by its author, goes away again; also across a power cut."""
import os
import pathlib
import sqlite3
import unittest

from node_harness import Node


class Confirm(unittest.TestCase):
    def setUp(self):
        self.node = Node(config="hostname: before\n").start()
        self.addCleanup(lambda: self.node.__exit__(None))
        self.generation = self.node.generation()

    def apply(self, seconds="600s"):
        return self.node.cli("config", "set", "hostname", "after", "--confirm", seconds, "--author", "alice").ok()

    def test_confirmed_by_its_author_it_stays(self):
        self.apply()
        self.assertEqual(self.node.read("/etc/hostname"), "after\n")
        self.node.cli("config", "confirm", "--author", "alice").ok()
        self.assertNotIn("pending", self.node.cli("config", "status", "-o", "json").json())
        self.node.stop()
        self.node.start()
        self.assertEqual(self.node.get("hostname"), "after")

    def test_another_author_may_not_confirm(self):
        self.apply()
        result = self.node.cli("config", "confirm", "--author", "mallory").exits(6)
        self.assertIn("alice", result.err)
        self.assertIn("pending", self.node.cli("config", "status", "-o", "json").json())

    def test_another_account_may_not_confirm_by_saying_the_authors_name(self):
        self.apply()
        for other in ({"XDG_STATE_HOME": str(self.node.path("/another-account"))}, {"SUDO_UID": "4711"}):
            result = self.node.cli("config", "confirm", "--author", "alice", env=other).exits(6)
            self.assertIn("config rollback", result.err)
        self.assertEqual(self.node.get("hostname"), "after")
        self.node.cli("config", "rollback", "--author", "bob", env={"SUDO_UID": "4711"}).ok()
        self.assertEqual(self.node.get("hostname"), "before")

    def test_what_confirms_is_private_and_does_not_stay(self):
        self.apply()
        folder = pathlib.Path(self.node.env["XDG_STATE_HOME"], "maculaos", "confirm", str(os.getuid()))
        files = list(folder.iterdir())
        self.assertEqual([(file.stat().st_mode & 0o777) for file in files], [0o600])
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        token = files[0].read_text()
        for command in (["config", "status"], ["config", "history"], ["config", "show"]):
            self.assertNotIn(token, self.node.cli(*command, "-o", "json").ok().out)
        self.node.cli("config", "confirm", "--author", "alice").ok()
        self.assertEqual(list(folder.iterdir()), [])
        self.node.cli("config", "apply", "-", "--confirm", "1m", stdin="no: such key").exits(5)
        self.node.cli("config", "set", "no.such.key", "1", "--confirm", "1m").exits(5)
        self.assertEqual(list(folder.iterdir()), [])

    def test_without_a_place_to_keep_it_nothing_is_changed(self):
        result = self.node.cli("config", "set", "hostname", "after", "--confirm", "1m", env={"XDG_STATE_HOME": "/proc/no"}).exits(1)
        self.assertIn("XDG_STATE_HOME", result.err)
        self.assertEqual(self.node.get("hostname"), "before")

    def test_nothing_pending_is_nothing_to_confirm(self):
        result = self.node.cli("config", "confirm")
        self.assertIn(result.code, (1, 3))

    def test_unconfirmed_it_goes_away_and_says_so(self):
        with self.node.events("config.reverted", 1) as events:
            self.apply("1s")
            events.wait("config.reverted")
        self.assertEqual(self.node.get("hostname"), "before")
        self.assertEqual(self.node.read("/etc/hostname"), "before\n")

    def another_boot(self):
        """Between two starts: what confd recorded of this boot becomes that of an earlier one."""
        with sqlite3.connect(self.node.path("/var/lib/maculaos/generations/confd.db")) as store:
            self.assertEqual(store.execute("UPDATE head SET boot_id = 'an-earlier-boot'").rowcount, 1)
        store.close()

    def test_a_power_cut_takes_it_back(self):
        self.apply()
        self.node.kill()
        self.another_boot()
        self.node.start()
        self.assertEqual(self.node.get("hostname"), "before")
        self.assertEqual(self.node.read("/etc/hostname"), "before\n")
        states = {int(g["number"]): g["state"] for g in
                  self.node.cli("config", "history", "-o", "json").json()["generations"]}
        self.assertEqual(states[self.generation + 1], "reverted")

    def test_killed_processes_go_on_waiting_within_the_same_boot(self):
        self.apply()
        self.node.kill()
        self.node.start()
        self.assertIn("pending", self.node.cli("config", "status", "-o", "json").json())
        self.node.cli("config", "confirm", "--author", "alice").ok()
        self.assertEqual(self.node.get("hostname"), "after")

    def test_a_second_change_waits_its_turn(self):
        self.apply()
        result = self.node.cli("config", "set", "hostname", "third", "--author", "bob").exits(5)
        self.assertIn("alice", result.err)

    def test_a_dry_run_leaves_a_pending_change_alone(self):
        self.apply()
        self.node.cli("config", "set", "hostname", "third", "--dry-run")
        status = self.node.cli("config", "status", "-o", "json").json()
        self.assertEqual(int(status["pending"]["generation"]), self.generation + 1)

    def test_rollback_ends_the_waiting(self):
        self.apply()
        self.node.cli("config", "rollback", "--author", "alice").ok()
        self.assertEqual(self.node.get("hostname"), "before")
        self.assertNotIn("pending", self.node.cli("config", "status", "-o", "json").json())


if __name__ == "__main__":
    unittest.main(verbosity=2)
