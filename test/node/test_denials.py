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

    def test_an_answer_cannot_be_had_under_the_subject_of_an_event(self):
        with RawClient(self.node.url) as listener:
            listener.subscribe("macula.sub.io.macula.config.>", "events")
            listener.ping()
            self.client.publish(PREFIX + "config.get", "{}", reply="macula.sub.io.macula.config.changed")
            self.client.request(PREFIX + "config.patch", "{}")  # of which there is an event
            self.assertEqual(listener.next()[1][0], "macula.sub.io.macula.config.audit")

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


class Streams(NodeCase):
    """JetStream answers and repeats in the name of whoever asks: nothing of it may pass for the node."""
    CONFIG = "hostname: safe\nmaculaos: {nats: {jetstream: {enabled: true}}}\n"
    EVENT = "macula.sub.io.macula.config.changed"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.admin("STREAM.CREATE.ORDERS", name="ORDERS", subjects=["orders.>"], storage="memory", allow_direct=True)
        cls.admin("CONSUMER.DURABLE.CREATE.ORDERS.till", stream_name="ORDERS",
                  config={"durable_name": "till", "ack_policy": "explicit"})

    @classmethod
    def admin(cls, request, **body):
        answer = cls.node.cli("call", f"$JS.API.{request}", json.dumps(body), "-o", "json").ok().json()
        assert "error" not in answer, answer
        return answer

    def setUp(self):
        self.client = RawClient(self.node.url)
        self.addCleanup(self.client.close)

    def test_a_workload_makes_no_stream_and_no_consumer_and_is_told_so(self):
        attempts = {
            "STREAM.CREATE.R": {"name": "R", "subjects": ["r.>"], "storage": "memory", "republish": {"src": "r.>", "dest": self.EVENT}},
            "STREAM.CREATE.A": {"name": "A", "subjects": ["macula.>"], "storage": "memory"},
            "STREAM.CREATE.M": {"name": "M", "mirror": {"name": "ORDERS"}, "storage": "memory"},
            "STREAM.UPDATE.ORDERS": {"name": "ORDERS", "subjects": ["orders.>", PREFIX + "config.get"], "storage": "memory"},
            "STREAM.PURGE.ORDERS": {},
            "STREAM.DELETE.ORDERS": {},
            "CONSUMER.CREATE.ORDERS": {"stream_name": "ORDERS", "config": {"deliver_subject": self.EVENT, "ack_policy": "none"}},
            "CONSUMER.DURABLE.CREATE.ORDERS.d": {"stream_name": "ORDERS", "config": {"durable_name": "d", "deliver_subject": self.EVENT}},
            "CONSUMER.CREATE.ORDERS.e.orders.>": {"stream_name": "ORDERS", "config": {"name": "e", "deliver_subject": self.EVENT}},
        }
        for request, body in attempts.items():
            with self.subTest(request):
                kind, said = self.client.request("$JS.API." + request, json.dumps(body))
                self.assertEqual(kind, "-ERR")
                self.assertIn("Permissions Violation", said)
        for shown in self.node.cli("nats", "permissions", "-o", "json").ok().json()["streams"]:
            kind, said = self.client.request(shown["subject"].replace(">", "x"), "{}")
            self.assertEqual((kind, shown["access"]), ("-ERR", "admin"), said)
        self.assertEqual(json.loads(self.client.request("$JS.API.STREAM.NAMES")[1])["streams"], ["ORDERS"])
        self.assertEqual(json.loads(self.client.request("$JS.API.CONSUMER.NAMES.ORDERS")[1])["consumers"], ["till"])

    def test_a_workload_uses_what_the_admin_has_made(self):
        published = json.loads(self.client.request("orders.1", "tea")[1])
        self.assertEqual(published["stream"], "ORDERS")
        got = json.loads(self.client.request("$JS.API.STREAM.MSG.GET.ORDERS", json.dumps({"seq": published["seq"]}))[1])
        self.assertEqual(got["message"]["subject"], "orders.1")
        self.client.subscribe("_INBOX.next", "next")
        self.client.publish("$JS.API.CONSUMER.MSG.NEXT.ORDERS.till", "", reply="_INBOX.next")
        _, words, _, _ = self.client.next()
        self.assertTrue(words[2].startswith("$JS.ACK.ORDERS.till."), words)
        self.client.publish(words[2], "+ACK")
        self.assertEqual([], self.client.ping())

    def test_no_answer_passes_for_an_event_of_the_node(self):
        seq = json.loads(self.client.request("orders.1", '{"spoofed":true}')[1])["seq"]
        with RawClient(self.node.url) as listener, self.node.events("config.>", 1) as events:
            listener.subscribe("macula.sub.io.macula.config.>", "events")
            listener.ping()
            for request, body in (("$JS.API.STREAM.MSG.GET.ORDERS", {"seq": seq}), ("$JS.API.DIRECT.GET.ORDERS", {"seq": seq}),
                                  ("$JS.API.STREAM.INFO.ORDERS", {}), ("$JS.API.CONSUMER.MSG.NEXT.ORDERS.till", {}),
                                  ("$SRV.INFO", {}), ("macula.discover.io.macula", {}),
                                  (PREFIX + "config.get", {"path": "hostname"}), (PREFIX + "config.validate", {"text": "a: b"})):
                self.client.publish(request, json.dumps(body), reply=self.EVENT)
                self.client.request(PREFIX + "config.get", "{}")
            self.node.anonymous("config", "set", "hostname", "pwned").exits(6)  # of which there is an event
            self.assertEqual(json.loads(events.wait(r"^(\{.*)").group(1))["subject"], "macula.sub.io.macula.config.audit")
            first = listener.next()
            while first[1][0].startswith("orders."):  # what a consumer hands out keeps the subject that it has
                first = listener.next()
        self.assertEqual(first[1][0], "macula.sub.io.macula.config.audit", first)

    def test_a_stream_over_everything_does_not_answer_for_the_node(self):
        self.admin("STREAM.CREATE.ALL", name="ALL", subjects=["macula.>"], storage="memory")
        self.addCleanup(self.admin, "STREAM.DELETE.ALL")
        for procedure in ("config", "config.get", "node", "health"):
            _, body = self.client.request(PREFIX + procedure, "")
            self.assertNotIn('"stream"', body.decode(), procedure)
        headers, _ = self.client.request(PREFIX + "config.patch", "{}")
        self.assertIn(b"Nats-Service-Error-Code: 403", headers)
        self.assertEqual(self.node.get("hostname"), "safe")


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
