#!/usr/bin/env python3
"""What a workload without credentials must not be able to do, by every road there is, and that it is told so at once."""
import json
import os
import shutil
import signal
import tempfile
import unittest

from node_harness import BIN, Node, NodeCase, RawClient

PREFIX = "macula.rpc.io.macula."


class Denials(NodeCase):
    CONFIG = "hostname: safe\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.control = [p["subject"] for p in cls.node.cli("nats", "permissions", "-o", "json").ok().json()["procedures"]
                       if p["access"] == "admin"]

    def setUp(self):
        self.client = RawClient(self.node.url)
        self.addCleanup(self.client.close)
        self.before = self.node.generation()

    def tearDown(self):
        self.assertEqual(self.node.generation(), self.before)
        self.assertEqual(self.node.get("hostname"), "safe")

    def test_there_are_control_procedures(self):
        self.assertIn(PREFIX + "config.patch", self.control)
        self.assertIn(PREFIX + "node.reboot", self.control)
        self.assertIn(PREFIX + "supervisor.restart", self.control)

    def test_every_control_procedure_is_denied_with_an_answer(self):
        for subject in self.control:
            with self.subTest(subject):
                headers, body = self.client.request(subject, '{"patch_json":"{\\"hostname\\":\\"pwned\\"}"}')
                self.assertIn(b"Nats-Service-Error-Code: 403", headers)
                self.assertEqual(json.loads(body)["code"], "DENIED")

    def test_a_denied_call_is_an_audit_event(self):
        with self.node.events("config.audit", 1) as events:
            self.client.request(PREFIX + "config.patch", "{}")
            event = json.loads(events.wait(r"^(\{.*)").group(1))["event"]
        self.assertTrue(event["denied"])
        self.assertEqual(event["procedure"], "config.patch")
        self.assertIn("raw", event["caller"])

    def test_a_control_procedure_as_reply_subject_executes_nothing(self):
        patch = '{"patch_json":"{\\"hostname\\":\\"pwned\\"}"}'
        for subject in self.control:
            self.client.publish(PREFIX + "config.get", '{"path":"hostname"}', reply=subject)
            self.client.publish(PREFIX + "config.validate", json.dumps({"text": patch}), reply=subject)
        self.client.ping()

    def test_a_change_published_is_refused(self):
        self.client.publish("macula.pub.io.macula.config.change", '{"hostname":"pwned"}')
        said = self.client.ping()
        self.assertTrue(any(kind == "-ERR" and b"Permissions Violation" in data for kind, _, _, data in said), said)

    def test_the_change_subject_as_reply_subject_changes_nothing(self):
        self.client.publish(PREFIX + "config.get", '{"path":"hostname"}', reply="macula.pub.io.macula.config.change")
        self.client.ping()

    def test_neither_internal_subjects_nor_the_participants_are_reachable(self):
        for subject in (PREFIX + "participant.supervisor.apply", PREFIX + "participant.confd.check",
                        "macula.denied.io.macula.config.patch", "_SVC.confd.x"):
            answer = self.client.request(subject, "{}")
            refused = answer[0] == "-ERR" or b"503" in answer[0]
            self.assertTrue(refused, (subject, answer))

    def test_nobody_can_pose_as_a_service_or_listen_to_requests(self):
        for sid, subject in enumerate((PREFIX + "config.get", PREFIX + "config.>", PREFIX + "node", "macula.denied.>",
                                       "_SVC.>", "macula.pub.io.macula.config.change")):
            self.client.subscribe(subject, f"p{sid}")
        said = self.client.ping()
        self.assertGreaterEqual(len([1 for kind, *_ in said if kind == "-ERR"]), 5, said)
        # A wildcard wider than that is allowed, but the node's requests do not come along.
        self.client.subscribe("macula.rpc.>", "wide")
        self.client.subscribe(">", "widest")
        self.client.ping()
        with RawClient(self.node.url) as other:
            other.request(PREFIX + "config.get", '{"path":"hostname"}')
        self.node.cli("config", "validate", "-", stdin="hostname: x\n")
        said = self.client.ping()
        seen = [words[0] for kind, words, _, _ in said if kind == "MSG" and words[0].startswith(PREFIX)]
        self.assertEqual(seen, [])

    def test_nobody_can_spoof_an_event_of_the_node(self):
        for subject in ("macula.sub.io.macula.config.changed", "macula.pub.io.macula.config.changed",
                        "macula.pub.io.macula.node.stopping"):
            self.client.publish(subject, "{}")
        said = self.client.ping()
        self.assertEqual(len([1 for kind, *_ in said if kind == "-ERR"]), 3, said)

    def test_read_only_procedures_answer_a_workload(self):
        for procedure in ("config", "config.get", "config.history", "node", "supervisor"):
            headers, body = self.client.request(PREFIX + procedure, "")
            self.assertNotIn(b"Nats-Service-Error", headers, (procedure, body))
            json.loads(body)

    def test_an_unknown_procedure_is_said_at_once(self):
        headers, _ = self.client.request(PREFIX + "config.nonsense", "{}")
        self.assertTrue(b"503" in headers or b"404" in headers, headers)

    def test_the_command_line_without_the_key_says_what_to_do(self):
        result = self.node.anonymous("config", "set", "hostname", "pwned").exits(6)
        self.assertIn("admin key", result.err)

    def test_required_credentials_shut_the_door(self):
        with Node(config="maculaos:\n  security:\n    require_credentials: true\n") as node:
            with self.assertRaises((ConnectionError, AssertionError, KeyError, IndexError)):
                RawClient(node.url).request(PREFIX + "node", "")
            node.cli("node", "info").ok()
            node.anonymous("node", "info").exits(6)


class Absent(unittest.TestCase):
    """Services that do not run: nobody waits for a time-out."""

    def test_who_calls_a_service_that_does_not_run_is_told_so_at_once(self):
        with tempfile.TemporaryDirectory() as units:
            for unit in (BIN.parent / "units").glob("*.yaml"):
                if unit.stem in ("confd", "healthd"):
                    shutil.copy(unit, units)
            with Node(env={"MACULA_UNITS": units}) as node:
                procedures = node.cli("nats", "permissions", "-o", "json").ok().json()["procedures"]
                absent = [p for p in procedures if p["subject"][len(PREFIX):].split(".")[0] in ("net", "upgrade", "firstboot")]
                self.assertGreater(len({p["access"] for p in absent}), 1)
                with RawClient(node.url) as client, node.events("net.audit", 1) as events:
                    for procedure in absent:
                        headers, body = client.request(procedure["subject"], "{}")
                        if procedure["access"] == "admin":
                            self.assertIn(b"Nats-Service-Error-Code: 403", headers, procedure)
                            self.assertEqual(json.loads(body)["code"], "DENIED")
                        else:
                            self.assertTrue(headers.startswith(b"NATS/1.0 503"), (procedure, headers))
                    self.assertTrue(json.loads(events.wait(r"^(\{.*)").group(1))["event"]["denied"])
                node.anonymous("net", "status").exits(7)
                node.cli("net", "status").exits(7)

    def test_a_service_that_comes_back_answers_itself(self):
        with Node() as node, RawClient(node.url) as client:
            os.kill(node.pids()["healthd"], signal.SIGKILL)
            node.runner.wait("unit=healthd state=ready")
            for _ in range(20):
                headers, _ = client.request(PREFIX + "health", "")
                self.assertNotIn(b"503", headers.splitlines()[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
