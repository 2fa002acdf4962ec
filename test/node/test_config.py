#!/usr/bin/env python3
"""The configuration through the command line: what a person does in the first hour, with mistakes."""
import json
import unittest

from node_harness import Node, NodeCase, RawClient


class Changes(NodeCase):
    CONFIG = "# my node\nhostname: edge-1\nmaculaos:\n  timezone: UTC\n"

    def test_a_file_on_disk_is_the_first_generation(self):
        self.assertEqual(self.node.cli("config", "get", "maculaos.timezone").ok().out, "UTC\n")
        history = self.node.cli("config", "history", "-o", "json").ok().json()["generations"]
        self.assertGreaterEqual(len(history), 1)

    def test_set_changes_the_node_and_the_history(self):
        before = self.node.generation()
        with self.node.events("config.changed", 1) as events:
            self.node.cli("config", "set", "hostname", "edge-7", "-m", "new name", "--author", "alice").ok()
            event = json.loads(events.wait(r"^(\{.*)").group(1))["event"]
        self.assertEqual(event["changed"], ["hostname"])
        self.assertEqual(self.node.read("/etc/hostname"), "edge-7\n")
        newest = self.node.cli("config", "history", "-o", "json").json()["generations"][0]
        self.assertEqual((int(newest["number"]), newest["author"], newest["message"]), (before + 1, "alice", "new name"))
        self.assertIn("edge-7", self.node.cli("config", "diff").ok().out)

    def test_setting_what_is_so_already_is_nothing_to_do(self):
        self.node.cli("config", "set", "maculaos.locale", "C.UTF-8")
        before = self.node.generation()
        self.node.cli("config", "set", "maculaos.locale", "C.UTF-8").exits(3)
        self.assertEqual(self.node.generation(), before)

    def test_in_a_network_in_memory_the_last_name_server_can_go_and_come_back(self):
        named = "nameserver 192.0.2.53\n"
        self.node.cli("config", "set", "maculaos.dns_nameservers", "192.0.2.53").ok()
        self.assertIn(named, self.node.read("/etc/resolv.conf"))
        self.node.cli("config", "set", "maculaos.dns_nameservers", "--unset").ok()
        self.assertNotIn(named, self.node.read("/etc/resolv.conf"))
        self.node.cli("config", "rollback").ok()
        self.assertIn(named, self.node.read("/etc/resolv.conf"))
        self.node.cli("config", "apply", "-", stdin=self.CONFIG).ok()
        self.assertNotIn(named, self.node.read("/etc/resolv.conf"))

    def test_setting_what_the_file_says_already_is_nothing_to_do(self):
        self.node.cli("config", "apply", "-", stdin="hostname: said\n").ok()
        before = self.node.generation()
        self.node.cli("config", "set", "hostname", "said").exits(3)
        self.node.cli("config", "patch", '{"hostname": "said"}').exits(3)
        self.assertEqual(self.node.generation(), before)

    def test_unsetting_what_was_never_set_is_nothing_to_do(self):
        before = self.node.generation()
        self.node.cli("config", "set", "maculaos.k3s.args", "--unset").exits(3)
        self.assertEqual(self.node.generation(), before)

    def test_validate_and_apply_agree_on_the_largest_document(self):
        for size, code in ((1_000_000, 0), (1_000_001, 5), (1 << 20, 5)):
            head = f"# {size}\nhostname: edge-large\n"
            text = head + "#" * (size - len(head) - 1) + "\n"
            for command in ("validate", "apply"):
                with self.subTest(command=command, size=size):
                    result = self.node.cli("config", command, "-", stdin=text).exits(code)
                    self.assertEqual("at most 1000000 bytes" in result.err, code == 5, result.err)
        self.node.cli("config", "apply", "-", stdin=self.CONFIG).ok()

    def test_a_change_of_nearly_the_largest_document_is_answered_and_can_be_confirmed(self):
        def document(size, name, *lines):
            return "\n".join([f"hostname: {name}", f'run_cmd: ["true {"x" * size}"]', *lines]) + "\n"
        self.node.cli("config", "apply", "-", stdin=document(900_000, "one")).ok()
        self.node.cli("config", "apply", "-", stdin=document(960_000, "two")).ok()
        self.assertEqual(self.node.get("hostname"), "two")
        diff = self.node.cli("config", "diff", "-o", "json").ok().json()
        self.assertTrue(any(change.get("shortened") for change in diff["changes"]), diff)
        # Others are concerned, too: they are told of the document before and of that after.
        large = document(950_000, "three", "maculaos:", "  watchdog: {enabled: false}")
        self.node.cli("config", "apply", "-", "--confirm", "10m", stdin=large).ok()
        self.node.cli("config", "confirm").ok()
        many = "".join(f"- path: /etc/many/{i:05}\n" for i in range(1000))
        result = self.node.cli("config", "apply", "-", "--dry-run", stdin=f"hostname: four\nwrite_files:\n{many}").ok()
        self.assertRegex(result.out, r"and \d+ more")
        self.node.cli("config", "apply", "-", stdin=self.CONFIG).ok()

    def test_a_misspelt_key_is_named_with_the_right_one(self):
        before = self.node.generation()
        result = self.node.cli("config", "set", "hostnane", "x").exits(5)
        self.assertIn("hostname", result.err)
        self.assertEqual(self.node.generation(), before)

    def test_a_wrong_value_says_what_was_expected(self):
        result = self.node.cli("config", "patch", '{"maculaos":{"nats":{"max_payload":"lots"}}}').exits(5)
        self.assertIn("maculaos.nats.max_payload", result.err)

    def test_a_dry_run_touches_nothing(self):
        before = (self.node.generation(), self.node.read("/etc/hostname"))
        result = self.node.cli("config", "set", "hostname", "elsewhere", "--dry-run").ok()
        self.assertIn("elsewhere", result.out)
        self.assertEqual((self.node.generation(), self.node.read("/etc/hostname")), before)

    def test_the_second_of_two_authors_gets_a_conflict_with_both_revisions(self):
        seen = self.node.generation()
        self.node.cli("config", "set", "maculaos.keyboard", "de", "--expect", str(seen), "--author", "alice").ok()
        result = self.node.cli("config", "set", "maculaos.keyboard", "fr", "--expect", str(seen), "--author", "bob", "-o", "json")
        error = result.exits(5).json()["error"]
        self.assertEqual((error["code"], int(error["expected_revision"]), int(error["current_revision"])),
                         ("CONFLICT", seen, seen + 1))
        self.assertEqual(self.node.get("maculaos.keyboard"), "de")

    def test_rollback_brings_the_values_back(self):
        self.node.cli("config", "set", "maculaos.timezone", "UTC")
        good = self.node.generation()
        self.node.cli("config", "set", "maculaos.environment.GREETING", "hello").ok()
        self.node.cli("config", "rollback", str(good)).ok()
        self.assertEqual(self.node.cli("config", "get", "maculaos.environment", "--set-only", "-o", "json").out.strip()
                         in ("null", "{}"), True)

    def test_the_difference_is_from_what_was_in_force_before(self):
        self.node.cli("config", "set", "hostname", "in-force").ok()
        self.node.cli("config", "set", "hostname", "taken-back", "--confirm", "1h").ok()
        self.node.cli("config", "rollback").ok()
        self.node.cli("config", "set", "hostname", "in-force-now").ok()
        shown = self.node.cli("config", "diff").ok().out
        self.assertIn('- hostname: "in-force"', shown)
        self.assertNotIn("taken-back", shown)

    def test_of_a_list_is_shown_which_item_changed_and_how(self):
        files = [{"path": f"/etc/file-{number}", "content": "as it was\n" * 20} for number in range(4)]
        self.node.cli("config", "patch", "-", stdin=json.dumps({"write_files": files})).ok()
        files[3]["content"] += "and more"
        files[2]["permissions"] = "0600"
        self.node.cli("config", "patch", "-", stdin=json.dumps({"write_files": files})).ok()
        lines = self.node.cli("config", "diff").ok().out.splitlines()[1:]
        self.assertEqual([line.split(": ")[0] for line in lines],
                         ["+ write_files[2].permissions", "- write_files[3].content", "+ write_files[3].content"])
        self.assertIn("and more", lines[2])
        self.node.cli("config", "patch", "-", stdin=json.dumps({"write_files": files[1:]})).ok()
        lines = self.node.cli("config", "diff").ok().out.splitlines()[1:]
        self.assertEqual([line.split(": ")[0] for line in lines], ["- write_files[0]"])

    def test_a_secret_that_becomes_another_is_not_shown_twice_alike(self):
        self.node.cli("config", "set", "maculaos.token", "first-token").ok()
        changed = self.node.cli("config", "set", "maculaos.token", "second-token").ok().out
        self.assertEqual(changed.count("maculaos.token"), 1, changed)

    def test_apply_replaces_the_file_and_keeps_its_comments(self):
        text = "# kept\nhostname: applied-1 # here too\nmaculaos:\n  timezone: UTC\n"
        self.node.write("/tmp/new.yaml", text)
        self.node.cli("config", "apply", self.node.path("/tmp/new.yaml")).ok()
        self.assertEqual(self.node.read("/var/lib/maculaos/config.yaml"), text)
        self.assertEqual(self.node.read("/etc/hostname"), "applied-1\n")

    def test_every_mistake_of_a_file_is_reported_at_once_with_its_place(self):
        before = self.node.generation()
        bad = "hostnam: x\nmaculaos:\n  nats:\n    max_payload: many\n  upgrade:\n    channel: wild\n"
        result = self.node.cli("config", "apply", "-", stdin=bad).exits(5)
        for piece in (":1:", ":4:", ":6:", "hostname", "stable"):
            self.assertIn(piece, result.err)
        self.assertEqual(self.node.generation(), before)

    def test_secrets_are_neither_shown_nor_kept_in_clear(self):
        text = "hostname: s1\nmaculaos:\n  token: s3cr3t-token # for k3s\n  password: \"geheim123\"\n"
        self.node.cli("config", "apply", "-", stdin=text).ok()
        kept = self.node.read("/var/lib/maculaos/config.yaml")
        self.assertIn("# for k3s", kept)
        for path in self.node.root.rglob("*"):
            if path.is_file() and "nats-server" not in path.name:
                data = path.read_bytes()
                if b"s3cr3t-token" in data:
                    self.assertEqual(path.stat().st_mode & 0o077, 0, path)
                    self.assertIn("k3s", str(path))
                self.assertNotIn(b"geheim123", data, path)
        shown = self.node.cli("config", "get").ok().out + self.node.cli("config", "show", "-o", "json").ok().out
        self.assertNotIn("s3cr3t", shown)
        self.assertNotIn("geheim", shown)
        self.assertIn("********", shown)

    def test_a_repeated_job_answers_with_the_first_outcome(self):
        first = self.node.cli("config", "set", "maculaos.environment.JOB", "1", "--job", "job-1", "-o", "json").ok().json()
        again = self.node.cli("config", "set", "maculaos.environment.JOB", "1", "--job", "job-1", "-o", "json").ok().json()
        self.assertEqual(first["generation"], again["generation"])

    def test_drift_is_found_and_mended(self):
        self.node.cli("config", "set", "hostname", "drifty").ok()
        self.node.write("/etc/hostname", "somebody-else\n")
        result = self.node.cli("config", "drift", "-o", "json").exits(1).json()
        self.assertIn("hostname", [item["path"] for item in result["items"]])
        self.node.cli("config", "drift", "--fix").ok()
        self.assertEqual(self.node.read("/etc/hostname"), "drifty\n")
        self.node.cli("config", "drift").ok()

    def test_a_section_without_a_service_says_that_it_has_no_effect_yet(self):
        result = self.node.cli("config", "patch", '{"maculaos":{"backup":{"enabled":true}}}').ok()
        self.assertIn("no effect", result.out + result.err)

    def test_where_no_section_is_left_nothing_is_said_of_one_without_effect(self):
        said = self.node.cli("config", "apply", "-", stdin="hostname: n\nmaculaos: {}\n").ok()
        self.assertNotIn("no effect", said.out + said.err)
        self.node.cli("config", "set", "maculaos.locale", "C.UTF-8").ok()
        said = self.node.cli("config", "set", "maculaos.locale", "--unset").ok()
        self.assertNotIn("no effect", said.out + said.err)
        self.assertNotIn("no effect", self.node.cli("config", "status").ok().err)

    def test_a_merge_patch_on_the_bus_is_applied_with_the_admin_key(self):
        with self.node.events("config.*", 1) as events:
            self.node.cli("config", "patch", "-", stdin='{"hostname":"patched-2"}').ok()
            events.wait("config.changed")
        self.assertEqual(self.node.get("hostname"), "patched-2")


class Restart(unittest.TestCase):
    def test_state_survives_and_an_edit_on_disk_is_picked_up(self):
        node = Node(config="hostname: first\n")
        try:
            node.start()
            node.cli("config", "set", "maculaos.timezone", "UTC").ok()
            generation = node.generation()
            self.assertEqual(node.stop(), 0)
            node.start()
            self.assertEqual((node.generation(), node.get("maculaos.timezone")), (generation, "UTC"))
            node.stop()
            node.write("/var/lib/maculaos/config.yaml", "hostname: edited-by-hand\n")
            node.start()
            self.assertEqual(node.get("hostname"), "edited-by-hand")
            self.assertEqual(node.generation(), generation + 1)
            node.stop()
            node.write("/var/lib/maculaos/config.yaml", "hostname: [broken\n")
            node.start()
            self.assertEqual(node.get("hostname"), "edited-by-hand")
            status = node.cli("config", "status").ok()
            self.assertIn("config.yaml", status.out + status.err)
        finally:
            node.__exit__(None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
