#!/usr/bin/env python3
"""What a person is shown: hostile texts play no tricks, and messages name what is wrong, where, and what to do."""
import json
import unittest

from node_harness import Node

TRICKS = "late\n9  current  2026-01-01  mallory  mine\x1b[2J\x9b1m\x7f\u202e"


class HostileTexts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(config="hostname: edge-1\n").start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None)

    def assert_harmless(self, text):
        for character in "\x1b\x9b\x7f\u202e\r":
            self.assertNotIn(character, text)

    def test_an_author_is_one_line(self):
        for author in ("a\nb", "a\x1b[2Jb", "a\u202eb", "a\x9bb", "x" * 257):
            for command in (["config", "set", "hostname", "x"], ["config", "rollback"], ["config", "confirm"], ["config", "drift", "--fix"],
                            ["node", "reboot", "--reason", "r", "--yes"], ["node", "cancel"]):
                with self.subTest(author=author[:5], command=command):
                    result = self.node.cli(*command, "--author", author).exits(5)
                    self.assertIn("author", result.err)
                    self.assert_harmless(result.err)
        self.assertEqual(self.node.get("hostname"), "edge-1")

    def test_a_message_stays_in_its_row(self):
        self.node.cli("config", "set", "hostname", "edge-2", "-m", TRICKS).ok()
        history = self.node.cli("config", "history").ok().out
        self.assert_harmless(history)
        rows = history.splitlines()[1:]
        self.assertEqual(len(rows), len(self.node.cli("config", "history", "-o", "json").ok().json()["generations"]))
        self.assertIn("late\\n9  current", rows[0])
        for command in (["config", "show"], ["config", "show", "-o", "json"], ["config", "history", "-o", "yaml"]):
            self.assert_harmless(self.node.cli(*command).ok().out)
        shown = self.node.cli("config", "show", "-o", "json").ok().json()
        self.assertEqual(shown["message"], TRICKS)
        self.node.cli("config", "set", "hostname", "edge-1").ok()

    def test_a_reason_stays_in_its_line(self):
        self.node.cli("node", "reboot", "--reason", TRICKS, "--delay", "1h", "--yes").ok()
        info = self.node.cli("node", "info").ok().out
        self.assert_harmless(info)
        self.assertNotRegex(info, r"(?m)^9  current")
        self.node.cli("node", "cancel").ok()

    def test_what_cannot_be_found_is_named_without_its_tricks(self):
        for command in (["config", "get", "a\x1b[2J"], ["config", "set", "hostname", "\x1b]0;x\x07"], ["call", "x\x1b.y"], ["no\x1bpe"],
                        ["config", "schema", "a\nmaculaos: all is well"]):
            result = self.node.cli(*command)
            self.assertNotEqual(result.code, 0)
            self.assert_harmless(result.err)
            self.assertNotRegex(result.err, r"(?m)^maculaos: all is well")


class EditedFiles(unittest.TestCase):
    FRAGMENT = "/var/lib/maculaos/config.d/50-mine.yaml"

    def setUp(self):
        self.node = Node(config="hostname: edge-1\n").start()
        self.addCleanup(self.node.__exit__, None)

    def assert_named_once(self, text):
        self.assertEqual(text.count("50-mine.yaml:2:1: warning: hostnmae"), 1, text)
        self.assertEqual(text.count("50-mine.yaml:3:"), 1, text)
        self.assertEqual(text.count("mend them, then config apply"), 1, text)

    def test_a_wrong_edit_is_named_at_once_until_it_is_mended(self):
        self.assertNotIn("50-mine", self.node.cli("config", "status").ok().err)
        self.node.write(self.FRAGMENT, "# mine\nhostnmae: x\nmaculaos: {ntp_servers: 3}\n")
        self.assert_named_once(self.node.cli("config", "status").ok().err)
        self.assert_named_once(self.node.cli("config", "set", "maculaos.timezone", "Europe/Berlin").ok().err)
        self.assert_named_once(self.node.cli("config", "set", "maculaos.timezone", "Europe/Berlin").exits(3).err)
        self.assert_named_once(self.node.cli("config", "set", "maculaos.timezone", "UTC", "--dry-run").ok().err)
        self.assertIn("50-mine.yaml:2:1", self.node.cli("config", "apply").exits(5).err)
        self.node.stop()
        self.node.start()
        self.assert_named_once(self.node.cli("config", "status").ok().err)
        self.node.write(self.FRAGMENT, "hostname: edge-2\n")
        err = self.node.cli("config", "status").ok().err
        self.assertIn("50-mine.yaml: warning: was edited on the node and is not applied yet", err)
        self.assertNotIn("hostnmae", err)
        self.assertNotIn("50-mine", self.node.cli("config", "apply").ok().err)
        self.assertEqual(self.node.get("hostname"), "edge-2")
        self.assertNotIn("50-mine", self.node.cli("config", "status").ok().err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
