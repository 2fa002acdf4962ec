#!/usr/bin/env python3
"""A node on a system that somebody else looks after: its watchdog and its logs are not the node's."""
import unittest

from health_rig import RECORD, HealthCase, Watch
from node_harness import Node

FULL = {"name": "full", "type": "disk", "path": "/var/lib", "threshold": "0%", "interval": "100ms", "failures": 1,
        "action": "cleanup"}


class Guest(HealthCase):
    def setUp(self):
        self.node = Node(env={"MACULA_GUEST": "1"}).start()
        self.addCleanup(lambda: self.node.__exit__(None))
        self.node.cli("health", "check").ok()

    def test_the_watchdog_is_armed_only_when_the_configuration_names_it(self):
        watchdog = self.status()["watchdog"]
        self.assertEqual((watchdog["kind"], watchdog["message"]),
                         ("off", "left to this system: maculaos.watchdog would arm it"))
        self.assertFalse(self.node.path(RECORD).exists(), "nobody has opened it, and softdog was not loaded")
        self.node.cli("config", "set", "maculaos.watchdog.timeout", "30s").ok()
        self.assertEqual(self.status()["watchdog"]["kind"], "recorded")
        self.node.cli("config", "patch", '{"maculaos": {"watchdog": null}}').ok()
        self.assertIn("left to this system", self.status()["watchdog"]["message"])

    def test_old_logs_stay(self):
        self.node.write("/var/log/old.log.gz", "x" * 5000)
        with Watch(self.node) as watch:
            self.configure(FULL).ok()
            event = watch.expect(what="cleanup", name="full")
            self.assertIn("/var/log is left to this system", event["entry"]["message"])
        self.assertTrue(self.node.path("/var/log/old.log.gz").exists())


if __name__ == "__main__":
    unittest.main()
