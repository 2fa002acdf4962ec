#!/usr/bin/env python3
"""What a person is shown: hostile texts play no tricks, and messages name what is wrong, where, and what to do."""
import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest

from node_harness import BIN, Node, NodeCase

TRICKS = "late\n9  current  2026-01-01  mallory  mine\x1b[2J\x9b1m\x7f\u202e"


class HostileTexts(NodeCase):
    CONFIG = "hostname: edge-1\n"

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


class Usage(unittest.TestCase):
    def run_here(self, *arguments, **env):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([BIN / "maculaos", *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=folder,
                                  stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": folder, **env})
        return done

    def test_mistakes_in_the_command_line_are_json_when_json_is_asked_for(self):
        for arguments in (["--bogus"], ["config"], ["nonsense"], ["config", "get", "a", "b"], ["config", "get", "--nope"], ["config", "set", "hostname"],
                          ["node", "info", "--timeout", "soon"], ["config", "diff", "x"], ["services", "a b"], ["events", "--count", "0"]):
            for form in (["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]):
                with self.subTest(arguments):
                    done = self.run_here(*arguments, *form)
                    said = json.loads(done.stdout)
                    self.assertEqual((done.returncode, said["exit_code"], said["error"]["code"]), (2, 2, "INVALID"), done.stderr)
                    self.assertTrue(said["error"]["message"])
                    self.assertEqual(done.stderr, "")

    def test_an_unknown_option_alone_is_named_without_the_whole_help(self):
        done = self.run_here("--bogus")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--bogus", done.stderr)

    def test_help_is_no_mistake(self):
        for arguments, part in ((["help"], "Commands"), (["help", "config"], "config get"), (["help", "config", "get"], "--generation"),
                                (["man", "config"], "config rollback"), (["config", "--help"], "config get")):
            done = self.run_here(*arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(part, done.stdout)
        self.assertEqual(self.run_here("help", "nonsense").returncode, 2)

    def test_what_is_wrong_is_named_with_what_was_expected(self):
        for arguments, env, code, parts in (
                (["services", "a b"], {}, 2, ["pattern", "config.*"]),
                (["services", "a..b"], {}, 2, ["pattern"]),
                (["config", "set", "hostname", "x", "--expect", "9" * 25], {}, 2, ["--expect", "18 digits"]),
                (["call", "config.get", "{"], {}, 5, ["request:1:1"]),
                (["call", "config.get", '{"path":\n"a",}'], {}, 5, ["request:2:"]),
                (["node", "run"], {"MACULA_ROOT": "/proc/nope"}, 1, ["/proc/nope", "MACULA_ROOT"]),
                (["node", "info"], {"MACULA_ROOT": "/proc/nope"}, 7, ["no directory /proc/nope", "MACULA_ROOT"]),
                (["nats", "render"], {"MACULA_ROOT": "/proc/nope"}, 1, ["/proc/nope", "MACULA_ROOT"]),
                (["node", "run", "--root", "x"], {"MACULA_NATS_PORT": "abc"}, 2, ["MACULA_NATS_PORT", "abc"]),
                (["nats", "render", "-f", "/dev/null"], {"MACULA_NATS_PORT": "0"}, 2, ["MACULA_NATS_PORT"])):
            with self.subTest(arguments):
                done = self.run_here(*arguments, **env)
                self.assertEqual(done.returncode, code, done.stderr)
                for part in parts:
                    self.assertIn(part, done.stderr)

    def test_every_word_that_can_begin_a_line_is_described_to_the_shell(self):
        for line in self.run_here("completion", "words", "--", "").stdout.splitlines():
            self.assertRegex(line, r"^\S+\t\S")


class OnANode(NodeCase):
    CONFIG = "hostname: edge-1\nrun_cmd: ['true']\n"

    def test_render_shows_the_port_that_is_in_use(self):
        port = self.node.url.rsplit(":", 1)[1]
        with Node() as other:
            shown = other.cli("nats", "render", env={"MACULA_NATS_PORT": ""}).ok()
            other_port = other.url.rsplit(":", 1)[1]
        self.assertNotEqual(port, other_port)
        self.assertIn(f"\nport: {other_port}\n", shown.out)
        self.assertIn(f"listens on 127.0.0.1:{other_port}", shown.err)
        self.node.write("/file.yaml", "hostname: a\n")
        file = self.node.path("/file.yaml")
        self.assertIn("\nport: 4222\n", self.node.cli("nats", "render", "-f", file).ok().out)
        self.assertIn("\nport: 4333\n", self.node.cli("nats", "render", "-f", file, env={"MACULA_NATS_PORT": "4333"}).ok().out)

    def test_a_call_that_nobody_serves_is_no_violation(self):
        self.node.cli("call", "nobody.there", "--timeout", "20s").exits(7)
        self.node.cli("services", "restart", "confd").ok()  # a line of the log that comes later
        self.node.runner.wait("unit changed.*unit=confd state=ready")
        self.assertFalse([line for line in self.node.runner.lines.seen if "Violation" in line])

    def test_a_problem_is_told_once(self):
        err = self.node.cli("config", "apply", "-", stdin="hostnmae: a\nfoo: 1\n").exits(5).err
        self.assertEqual(err.count("hostnmae"), 1, err)
        self.assertEqual(err.count("foo"), 1, err)
        err = self.node.cli("config", "apply", "-", stdin="hostnmae: a\n").exits(5).err
        self.assertEqual(err.count("hostnmae"), 1, err)

    def test_a_dry_run_restarts_nothing(self):
        result = self.node.cli("config", "set", "maculaos.mesh.realm", "io.other", "--dry-run").exits(0)
        self.assertIn("would take effect after a restart", result.out)

    def test_events_end_with_the_time_that_was_given(self):
        result = self.node.cli("events", "nothing.happens", "--count", "1", "--timeout", "1s").exits(8)
        self.assertIn("1 more", result.err)
        self.node.cli("events", "nothing.happens", "--timeout", "1s").exits(0)

    def test_a_skipped_command_is_told_of_once(self):
        err = self.node.cli("config", "set", "run_cmd", '["false"]').ok().err
        self.assertIn("commands are not run", err)
        result = self.node.cli("config", "set", "hostname", "edge-3").ok()
        self.assertNotIn("run_cmd", result.out + result.err)

    def test_an_editor_that_is_missing_is_named(self):
        err = self.node.cli("config", "edit", env={"EDITOR": "/nonexistent/vi", "VISUAL": ""}).exits(1).err
        self.assertIn("EDITOR=nano", err)

    def test_the_hint_to_confirm_can_be_typed_as_it_stands(self):
        out = self.node.cli("config", "set", "hostname", "edge-4", "--confirm", "5m", "--author", "o'neil & co").ok().out
        command = re.search(r"maculaos (config confirm.*)", out).group(1)
        self.assertEqual(shlex.split(command), ["config", "confirm", "--author", "o'neil & co"])
        self.node.cli("config", "confirm").exits(6)
        self.node.cli(*shlex.split(command)).ok()
        out = self.node.cli("config", "set", "hostname", "edge-5", "--confirm", "5m").ok().out
        self.assertRegex(out, r"(?m)maculaos config confirm$")
        self.node.cli("config", "confirm").ok()

    def test_a_call_waits_for_a_service_that_restarts(self):
        for _ in range(3):
            self.node.kill_service("confd")
            self.node.cli("config", "get", "hostname").ok()


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
