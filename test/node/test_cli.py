#!/usr/bin/env python3
"""The command line: every command explains itself, exit codes are what they are said to be, completion and man pages load."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from node_harness import BIN, SOURCE, Background, Node, NodeCase, RawClient

MACULAOS = str(BIN / "maculaos")


def run(*arguments, **more):
    return subprocess.run([MACULAOS, *arguments], capture_output=True, text=True, check=False, timeout=60, **more)


def commands():
    text = run("--help").stdout.split("Commands\n", 1)[1].split("\n\n", 1)[0]
    return [re.match(r"  (\S+(?: \S+)?)  +", line).group(1).strip() for line in text.splitlines()]


class Tables(unittest.TestCase):
    def test_every_command_has_help_with_an_example(self):
        found = commands()
        self.assertGreater(len(found), 20)
        for command in found:
            with self.subTest(command):
                done = run(*command.split(), "--help")
                self.assertEqual(done.returncode, 0)
                self.assertIn("Example", done.stdout)
                self.assertIn(f"maculaos {command}", done.stdout)

    def test_usage_errors_are_two(self):
        for arguments in (["nonsense"], ["config", "nonsense"], ["config", "get", "a", "b"], ["config", "set"], ["config", "get", "--nope"],
                          ["config", "get", "-o", "xml"], ["node", "info", "--timeout", "soon"], [], ["node", "reboot"],
                          ["config", "diff", "x"], ["config", "set", "hostname", "x", "--unset"], ["completion", "tcsh"]):
            with self.subTest(arguments):
                done = run(*arguments, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 2, done.stderr)

    def test_no_node_is_unreachable_and_says_how_to_start_one(self):
        done = run("node", "info", "--server", "nats://127.0.0.1:9", "--root", "/nonexistent")
        self.assertEqual(done.returncode, 7)
        self.assertIn("127.0.0.1:9", done.stderr)
        for server in ("nats://anna:geheim@127.0.0.1:9", "127.0.0.1:9", "nats://[::1]:9", "nats://127.0.0.1:9/"):
            done = run("node", "info", "--server", server, "--root", "/nonexistent")
            self.assertEqual((done.returncode, "geheim" in done.stderr), (7, False), done.stderr)

    def test_a_name_that_nobody_knows_is_named(self):
        done = run("node", "info", "--server", "nats://nobody.invalid:4222", "--root", "/nonexistent")
        self.assertEqual(done.returncode, 7)
        self.assertIn("the name nobody.invalid cannot be looked up", done.stderr)

    def test_an_answer_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([MACULAOS, "config", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)

    def completes(self, shell, *words):
        """What a shell offers for the last word."""
        script = run("completion", shell).stdout
        if shell == "bash":
            line = " ".join(f"'{word}'" for word in words)
            script += f'COMP_WORDS=({MACULAOS} {line}); COMP_CWORD={len(words)}; _maculaos; printf "%s\\n" "${{COMPREPLY[@]}}"'
        else:
            script += f"complete -C 'maculaos {' '.join(words)}'"
        done = subprocess.run([shell, *(["--no-config"] if shell == "fish" else []), "-c", script], capture_output=True, text=True,
                              check=True, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": "/nonexistent"})
        self.assertEqual(done.stderr, "")
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    def test_every_word_of_every_command_is_completed(self):
        shells = [shell for shell in ("bash", "fish") if shutil.which(shell)]
        below = {}
        for command in commands():
            group, *rest = command.split()
            below.setdefault(group, []).extend(rest)
        for shell in shells:
            self.assertLessEqual(set(below), set(self.completes(shell, "")))
            for group, words in below.items():
                with self.subTest(shell=shell, group=group):
                    self.assertIn(group, self.completes(shell, group[:3]))
                    if words:
                        self.assertLessEqual(set(words), set(self.completes(shell, group, "")))
                        self.assertIn(words[0], self.completes(shell, group, words[0][:2]))

    def test_options_values_keys_and_procedures_are_completed(self):
        for words, expected in ((["-o", "json", "conf"], "config"), (["-o", "j"], "json"), (["--root", "/tmp", "health", "sta"], "status"),
                                (["config", "set", "--un"], "--unset"), (["boot", "next", "r"], "recovery"), (["--vers"], "--version"),
                                (["config", "get", "hostn"], "hostname"), (["config", "set", "maculaos.nats.max_p"], "maculaos.nats.max_payload"),
                                (["call", "config.get"], "config.get"), (["help", "config", "ge"], "get"), (["man", "upgr"], "upgrade"),
                                (["upgrade", ""], "status"), (["config", "set", "-m", "own clock", "hostn"], "hostname")):
            with self.subTest(words):
                self.assertIn(expected, self.completes("bash", *words))
        with self.subTest("bash takes words apart at = and :"):
            self.assertEqual(self.completes("bash", "--output", "=", "j"), ["json"])
            self.assertIn("yaml", self.completes("bash", "--output", "="))
            self.assertEqual(self.completes("bash", "-s", "nats", ":", "//127.0.0.1", ":", "4222", "conf"), ["config"])
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "node.yaml").touch()
            for words in (["config", "apply"], ["nats", "render", "--file"]):
                self.assertEqual(self.completes("bash", *words, f"{directory}/no"), [f"{directory}/node.yaml"])

    def test_zsh_completes(self):
        script = run("completion", "zsh").stdout
        if not shutil.which("zsh"):
            self.skipTest("no zsh")
        asks = ('compdef() { :; }; compadd() { shift; print -l -- "$@"; }\n' + script +
                f'words=({MACULAOS} -o json health st); CURRENT=5; _maculaos\nwords=({MACULAOS} services ""); CURRENT=3; _maculaos\n')
        done = subprocess.run(["zsh", "-f", "-c", asks], capture_output=True, text=True, check=True)
        self.assertEqual((done.stderr, done.stdout.split()), ("", ["status", "restart", "processes"]))

    def test_man_pages_are_valid_roff(self):
        for command in [[], *[c.split() for c in commands()]]:
            page = run("man", *command)
            self.assertEqual(page.returncode, 0)
            self.assertTrue(page.stdout.startswith(".TH"))
            if shutil.which("groff"):
                done = subprocess.run(["groff", "-man", "-ww", "-z"], input=page.stdout, text=True, capture_output=True, check=True)
                self.assertEqual(done.stderr, "")

    def test_the_schema_explains_every_key(self):
        text = run("config", "schema").stdout
        for key in ("hostname", "write_files", "maculaos"):
            self.assertIn(key, text)
        one = run("config", "schema", "maculaos.nats.max_payload")
        self.assertEqual(one.returncode, 0)
        self.assertIn("1M", one.stdout)
        json.loads(run("config", "schema", "--form", "json-schema").stdout)
        self.assertNotEqual(run("config", "schema", "maculaos.nonsense").returncode, 0)

    def test_the_schema_of_one_key_is_had_in_every_form_and_by_the_path_that_it_says(self):
        for form in (["--form", "json-schema"], ["-o", "json"]):
            one = json.loads(run("config", "schema", "maculaos.nats.max_payload", *form).stdout)
            self.assertEqual((one["default"], "properties" in one), ("1M", False))
            self.assertNotEqual(run("config", "schema", "maculaos.nonsense", *form).returncode, 0)
        paths = [line.split()[0] for line in run("config", "schema").stdout.splitlines() if "[]." in line]
        self.assertIn("maculaos.users[].name", paths)
        for path in paths:
            done = run("config", "schema", path)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)
            self.assertTrue(done.stdout.startswith(path), done.stdout)
            self.assertNotIn("maculaos", json.loads(run("config", "schema", path, "-o", "json").stdout).get("properties", {}))
        item = json.loads(run("config", "schema", "write_files[]", "-o", "json").stdout)
        self.assertIn("encoding", item["properties"])

    def test_a_file_that_cannot_be_read_is_a_failure_and_one_with_a_mistake_is_rejected(self):
        for command in (["config", "validate"], ["config", "apply"], ["nats", "render", "-f"]):
            for file in ("/nonexistent.yaml", "/tmp"):
                with self.subTest(command=command, file=file):
                    done = run(*command, file)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn(file, done.stderr)
            self.assertEqual(run(*command, "/dev/stdin", input="x" * (1 << 20) + "x").returncode, 5)

    def test_a_wrong_key_address_or_procedure_is_named_with_what_was_expected(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("no seed\n")
            file.flush()
            done = run("node", "info", "--key", file.name)
            self.assertEqual((done.returncode, "seed of an nkey" in done.stderr), (5, True), done.stderr)
        done = run("node", "info", "--key", "/nonexistent")
        self.assertEqual((done.returncode, "/nonexistent" in done.stderr), (1, True), done.stderr)
        for server in ("nonsense", "http://127.0.0.1:4222", "tls://127.0.0.1:4222", "nats://", ":4222", "nats://[::1", "nats://[::1]]:4222",
                       "nats://127.0.0.1:0", "nats://127.0.0.1:99999", "nats://anna:geheim", "nats://anna:geheim@h:x", "nats://a b:4222"):
            for where, arguments, variables in (("--server", ["--server", server], {}), ("MACULA_SERVER", [], {"MACULA_SERVER": server})):
                with self.subTest(server=server, where=where):
                    done = run("node", "info", *arguments, env={**os.environ, **variables})
                    self.assertEqual((done.returncode, "nats://HOST:PORT" in done.stderr), (2, True), done.stderr)
                    self.assertIn(f"{where}: ", done.stderr)
                    self.assertNotIn("geheim", done.stderr)
        self.assertEqual(run("node", "info", "--server", "", "--root", "/nonexistent").returncode, 2)
        for procedure in ("", "config get", "config.", "config.*"):
            done = run("call", procedure, "--server", "nats://127.0.0.1:9")
            self.assertEqual((done.returncode, "service.method" in done.stderr), (2, True), done.stderr)

    def test_a_command_that_has_others_below_it_names_them(self):
        text = run("services", "--help").stdout
        self.assertIn("services restart", text)
        self.assertIn("services processes", text)
        for command in commands():
            self.assertNotIn("\\n", run(*command.split(), "--help").stdout)

    def test_validate_needs_no_node(self):
        done = run("config", "validate", "-", "--root", "/nonexistent", input="hostname: a\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("config", "validate", "-", "--root", "/nonexistent", input="hostnmae: a\n")
        self.assertEqual(done.returncode, 5)
        self.assertIn("hostname", done.stderr)
        self.assertIn("1:", done.stderr)
        done = run("config", "validate", "-", "-o", "json", "--root", "/nonexistent", input="hostnmae: a\n")
        self.assertFalse(json.loads(done.stdout)["valid"])


class WithANode(NodeCase):
    CONFIG = "hostname: edge-1\n"

    def test_every_reading_command_speaks_json(self):
        for command in (["config", "get"], ["config", "status"], ["config", "history"], ["config", "show"], ["config", "drift"],
                        ["node", "info"], ["services"], ["services", "processes"], ["nats", "permissions"]):
            with self.subTest(command):
                json.loads(self.node.cli(*command, "-o", "json").out)

    def test_an_unknown_key_is_rejected_with_the_right_one_whatever_is_asked(self):
        for command in (["config", "get", "hostnmae"], ["config", "set", "hostnmae", "x"], ["config", "schema", "hostnmae"]):
            self.assertIn('did you mean "hostname"?', self.node.cli(*command).exits(5).err)
        self.node.cli("config", "get", "write_files[7]").exits(1)

    def test_call_and_services_see_the_node(self):
        answer = self.node.cli("call", "config.get", '{"path":"hostname"}', "-o", "json").ok().json()
        self.assertEqual(json.loads(answer["json"]), "edge-1")
        self.assertEqual(self.node.cli("call", "node", "-o", "json").ok().json()["hostname"], "edge-1")
        self.assertIn("macula.rpc.io.macula.config.get", self.node.cli("services").ok().out)
        self.node.cli("call", "config.nonsense").exits(1)
        self.node.cli("call", "nobody.there", "--timeout", "20s").exits(7)

    def test_a_workload_is_called_by_its_whole_subject_too(self):
        subject = "macula.rpc.io.macula.sensor.read"
        with RawClient(self.node.url) as workload:
            workload.subscribe(subject, 1)
            workload.ping()
            with Background(BIN / "maculaos", "call", subject, env=self.node.env) as call:
                _, words, _, _ = workload.next()
                workload.publish(words[2], '{"degrees": 21}')
                call.wait('"degrees": 21')

    def test_events_are_shown_as_json_lines(self):
        with self.node.events("config.changed", 1) as events:
            self.node.cli("config", "set", "hostname", "edge-2").ok()
            line = json.loads(events.wait(r"^(\{.*)").group(1))
        self.assertEqual(line["subject"], "macula.sub.io.macula.config.changed")

    def test_what_diag_says_to_set_can_be_set(self):
        with Node() as node:
            checks = node.cli("net", "diag", "-o", "json").exits(1).json()["checks"]
            remedies = [remedy.split() for check in checks if "maculaos config set" in (remedy := check.get("remedy", ""))]
            self.assertTrue(remedies)
            for remedy in remedies:
                node.cli(*remedy[remedy.index("maculaos") + 1:]).ok()

    def test_edit_applies_what_the_editor_saved(self):
        editor = "sed -i s/hostname:.*/hostname:\\ edited/"
        self.node.cli("config", "edit", env={"EDITOR": editor, "VISUAL": ""}).ok()
        self.assertEqual(self.node.get("hostname"), "edited")
        self.node.cli("config", "edit", env={"EDITOR": "true", "VISUAL": ""}).exits(3)

    def test_edit_keeps_what_was_set_since_in_force(self):
        self.node.cli("config", "apply", "-", stdin="hostname: base\n").ok()
        self.node.cli("config", "set", "maculaos.timezone", "Europe/Berlin").ok()
        result = self.node.cli("config", "edit", env={"EDITOR": "sed -i s/base/base2/", "VISUAL": ""}).ok()
        self.assertNotIn("Europe/Berlin", result.out)
        self.assertEqual((self.node.get("hostname"), self.node.get("maculaos.timezone")), ("base2", "Europe/Berlin"))
        self.node.cli("config", "set", "hostname", "set-since").ok()
        edited = self.node.cli("config", "edit", env={"EDITOR": "sed -i s/base2/base3/", "VISUAL": ""}).ok()
        self.assertIn("note: hostname: config set or config patch had changed it, too", edited.out + edited.err)
        self.assertEqual(self.node.get("hostname"), "base3")

    def test_edit_keeps_a_text_that_was_changed_and_not_applied_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as directory:
            files = pathlib.Path(directory)
            edit = {"VISUAL": "", "TMPDIR": directory}
            for editor, code in (("true", 3), ("false", 1), ("/nonexistent/editor", 1)):
                with self.subTest(editor):
                    result = self.node.cli("config", "edit", env={**edit, "EDITOR": editor}).exits(code)
                    self.assertEqual(list(files.iterdir()), [])
                    self.assertNotIn("kept in", result.err)
            sed = "sed -i s/hostname:/hostnome:/"
            for editor, code in ((sed, 5), (f"false () {{ {sed} \"$1\"; return 1; }}; false", 1)):
                with self.subTest(editor):
                    result = self.node.cli("config", "edit", env={**edit, "EDITOR": editor}).exits(code)
                    kept, = files.iterdir()
                    self.assertIn(f"kept in {kept}", result.err)
                    self.assertIn("hostnome:", kept.read_text())
                    self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
                    kept.unlink()

    def test_render_names_the_users_in_the_order_of_the_file_in_force(self):
        texts = (self.node.cli("nats", "render").ok().out, self.node.read("/run/macula/nats.conf"))
        shown, in_force = ([line.strip() for line in text.splitlines() if "# " in line or "nkey:" in line] for text in texts)
        self.assertGreater(len(shown), 6)
        self.assertEqual(shown, in_force)

    def test_render_shows_the_server_configuration(self):
        text = self.node.cli("nats", "render").ok().out
        self.assertIn("accounts", text)
        self.assertNotIn("SU", re.sub(r"[^A-Z]SU[A-Z0-9]{56}", "SEED", text).split("SEED")[1:] or "")

    def test_reboot_under_a_sandbox_root_is_recorded_only(self):
        said = self.node.cli("node", "reboot", "--reason", "try", "--yes").ok().out
        self.assertIn(f"Nothing is stopped: reboot (recorded only: this node runs below {self.node.root})", said)
        self.assertEqual(self.node.cli("node", "info", "-o", "json").json()["last_stop"]["reason"], "try")

    def test_a_stop_without_a_reason_is_recorded_with_who_asked(self):
        for verb in ("reboot", "shutdown"):
            with self.subTest(verb):
                self.node.cli("node", verb, "--author", "ada", "--delay", "1h", "--yes").ok()
                waiting = self.node.cli("node", "info", "-o", "json").json()["next_stop"]
                self.assertEqual((waiting["author"], waiting["reason"]), ("ada", "asked for on the command line"))
                self.node.cli("node", "cancel").ok()
        self.node.cli("node", "reboot", "--reason", "", "--yes").exits(5)

    def test_a_shutdown_that_waits_is_shown_and_can_be_cancelled(self):
        self.node.cli("node", "shutdown", "--reason", "moving", "--delay", "1h", "--yes").ok()
        self.assertRegex(self.node.cli("node", "info").ok().out, r"next stop +shutdown at .*: moving")
        self.assertIn("shutdown has been cancelled", self.node.cli("node", "cancel").ok().out)
        self.assertNotIn("next_stop", self.node.cli("node", "info", "-o", "json").json())
        self.node.cli("node", "cancel").exits(3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
