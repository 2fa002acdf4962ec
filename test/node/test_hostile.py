#!/usr/bin/env python3
"""Careless and hostile clients and documents: the node goes on answering everybody else."""
import contextlib
import json
import os
import re
import resource
import statistics
import sys
import time
import unittest

from node_harness import SANITIZED, Background, NodeCase, RawClient

PREFIX = "macula.rpc.io.macula."

# Asks for the whole configuration as fast as it can, for ever, and reads no answer; comes back when it is thrown out. A process of
# its own, so that it does not wait for the test. argv: URL.
FLOODER = f"""
import sys
from node_harness import RawClient
requests = b"PUB {PREFIX}config.get _INBOX.never 0\\r\\n\\r\\n" * 500
while True:
    try:
        with RawClient(sys.argv[1]) as client:
            client.subscribe("_INBOX.never", "1")
            client.socket.settimeout(None)
            while True:
                for _ in range(20):
                    client.socket.sendall(requests)
                print("sent 10000 more", flush=True)
    except OSError:
        continue
"""


class Clients(NodeCase):
    CONFIG = "hostname: steady\n"

    def tearDown(self):
        self.assertEqual(self.node.get("hostname"), "steady")

    def refused(self, procedure, body, headers=None):
        with RawClient(self.node.url) as client:
            head, answer = client.request(PREFIX + procedure, body)
        self.assertIn(b"Nats-Service-Error", head, answer)
        return json.loads(answer)

    def test_bodies_that_are_no_requests(self):
        deep = b'{"a":' * 40 + b"1" + b"}" * 40
        for body in (b"{", b"[]", b"null", b"\xff\xfe", b'{"path":"\xff"}', b'{"path":1}', b'{"nope":1}', b'{"path":"a","path":"b"}',
                     b'{"path":"a\\u0000b"}', deep, b'{"generation":-1}', b'{"generation":1e99}', b"\x00", b"x" * 100000):
            with self.subTest(body[:30]):
                error = self.refused("config.get", body)
                self.assertEqual(error["code"], "INVALID")
                self.assertTrue(error["message"])

    def test_paths_that_lead_nowhere(self):
        for path in ("hostnam", "maculaos..x", "write_files[", "write_files[99]", "maculaos.sysctls[", "a" * 5000, "../etc", "\u202e"):
            with self.subTest(path[:20]):
                error = self.refused("config.get", json.dumps({"path": path}))
                self.assertIn(error["code"], ("INVALID", "NOT_FOUND"))

    def test_a_validation_for_anybody_tells_nothing_of_the_disk(self):
        self.node.write("/etc/blocked", "a file\n")
        text = json.dumps({"text": "write_files: [{path: /etc/blocked/below}, {path: /proc/x}]\n"})
        with RawClient(self.node.url) as client:
            _, answer = client.request(PREFIX + "config.validate", text)
        self.assertIn(b"/proc/x", answer)
        self.assertNotIn(b"is a file", answer)
        self.assertIn("is a file", self.node.cli("call", "config.validate", text).ok().out)

    def test_a_payload_over_the_limit_closes_only_its_own_connection(self):
        with RawClient(self.node.url) as client:
            size = client.info["max_payload"] + 1
            try:
                client.publish(PREFIX + "config.get", b"x" * size, "_INBOX.big")
                said = client.ping()
                self.assertTrue(any(kind == "-ERR" for kind, *_ in said))
            except (ConnectionError, BrokenPipeError):
                pass

    def test_a_flood_gets_answers_or_refusals_and_others_are_served(self):
        with RawClient(self.node.url) as client:
            client.subscribe("_INBOX.flood", "1")
            count = 5000
            for _ in range(count):
                client.publish(PREFIX + "config.get", '{"path":"hostname"}', "_INBOX.flood")
            self.assertEqual(self.node.get("hostname"), "steady")
            got = 0
            while got < count:
                kind, *_ = client.next()
                got += kind == "MSG"

    def test_a_client_that_never_reads_harms_only_itself(self):
        with RawClient(self.node.url) as client:
            client.subscribe("_INBOX.never", "1")
            for _ in range(4000):
                client.publish(PREFIX + "config.get", "", "_INBOX.never")
            self.assertEqual(self.node.get("hostname"), "steady")
        self.assertEqual(self.node.get("hostname"), "steady")

    def test_a_flood_of_what_is_forbidden_is_one_line_of_the_log(self):
        count = 20000
        with RawClient(self.node.url) as client:
            for i in range(count):
                client.publish(f"macula.pub.io.macula.config.{i:x}", "{}")
            client.ping()
        seen = self.node.runner.lines.seen
        before = len(seen)
        repeated = 0
        while repeated < count - 1000:  # told of at its end, or in parts when the machine is slow
            repeated += int(self.node.runner.wait(r"lines like this one repeated (\d+) times.*Violation").group(1))
        lines = [line for line in seen[before:] if "Violation" in line]
        self.assertLess(len(lines), 500)

    def test_an_endless_flood_that_is_never_read_does_not_keep_the_administrator_waiting(self):
        def asking(times):
            took = []
            for _ in range(times):
                began = time.monotonic()
                self.assertEqual(self.node.get("hostname"), "steady")
                took.append(time.monotonic() - began)
            return statistics.median(took)

        quiet = asking(10)
        with Background(sys.executable, "-c", FLOODER, self.node.url,
                        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}) as flooder:
            for _ in range(3):
                flooder.wait("sent 10000 more")
            flooded = asking(20)
            flooder.lines.drain()
            flooder.wait("sent 10000 more")  # it has not ended or been kept out meanwhile
        self.assertLess(flooded, quiet * 100)  # a stuck service lets the command line wait until it gives up: thousands of times as long

    def test_a_thousand_connections(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
        clients = []
        try:
            for _ in range(1000):
                clients.append(RawClient(self.node.url))
            self.assertEqual(self.node.get("hostname"), "steady")
            for client in clients[::100]:
                headers, _ = client.request(PREFIX + "node", "")
                self.assertNotIn(b"Nats-Service-Error", headers)
        finally:
            for client in clients:
                client.close()

    def test_a_service_of_a_workload_with_hostile_info_is_skipped(self):
        with RawClient(self.node.url) as client:
            client.subscribe("$SRV.>", "1")
            client.ping()
            watcher = self.node.cli  # the call below must end although this client answers rubbish
            import threading
            result = {}
            asker = threading.Thread(target=lambda: result.update(r=watcher("services", "-o", "json")))
            asker.start()
            answered = 0
            while answered < 1:
                kind, words, _, _ = client.next()
                if kind == "MSG" and len(words) >= 3:
                    reply = words[2]
                    for body in (b"{", b"[]", b'{"name":7}', b'{"type":"io.nats.micro.v1.info_response","name":"\x1b[2J","endpoints":[{"subject":5}]}'):
                        client.publish(reply, body)
                    answered += 1
            client.ping()
            asker.join(60)
            names = [s["name"] for s in result["r"].ok().json()["services"]]
            self.assertIn("config", names)


class Floods(NodeCase):
    """On a node of their own: what floods have left in the lanes of workloads is answered for a while after them."""
    CONFIG = "hostname: steady\n"

    def memory(self):
        """What confd alone uses, in kB."""
        with open(f"/proc/{self.node.pids()['confd']}/smaps_rollup", encoding="ascii") as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))

    @unittest.skipIf(SANITIZED, "a sanitizer keeps memory that was freed")
    def test_a_flood_that_has_been_answered_gives_its_memory_back(self):
        count, size = 2000, 3000  # most of what one sender may have waiting
        before = self.memory()
        with RawClient(self.node.url) as client:
            client.subscribe("_INBOX.flood", "1")
            for _ in range(count):
                client.publish(PREFIX + "config.get", '{"path":"hostname"}'.ljust(size), "_INBOX.flood")
            got = 0
            while got < count:
                kind, *_ = client.next()
                got += kind == "MSG"
        self.assertLess(self.memory(), before + count * size // 1024 // 4)

    def test_many_endless_floods_that_are_never_read_do_not_shut_the_administrator_out(self):
        """All listen at one inbox: each answer goes to each of them, and each of them makes whoever sends to it wait."""
        env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        with contextlib.ExitStack() as stack:
            flooders = [stack.enter_context(Background(sys.executable, "-c", FLOODER, self.node.url, env=env)) for _ in range(6)]
            for flooder in flooders:
                flooder.wait("sent 10000 more")
            for _ in range(20):
                self.assertEqual(self.node.get("hostname"), "steady")


class Documents(NodeCase):
    CONFIG = "hostname: steady\n"

    def rejected(self, text, *pieces):
        generation = self.node.generation()
        result = self.node.cli("config", "apply", "-", stdin=text).exits(5)
        for piece in pieces:
            self.assertRegex(result.err, piece)
        self.assertEqual(self.node.generation(), generation)
        again = self.node.cli("config", "validate", "-", stdin=text)
        self.assertEqual(again.code, 5, again.err)

    def refused(self, text, piece):
        """Here or by a service, which sees what the text alone does not show."""
        generation = self.node.generation()
        self.assertRegex(self.node.cli("config", "apply", "-", stdin=text).exits(5).err, piece)
        self.assertEqual(self.node.generation(), generation)

    def test_unknown_and_duplicate_keys(self):
        self.rejected("hostnme: x\n", "hostname")
        self.rejected("hostname: a\nhostname: b\n", "stands already in line 1")

    def test_tabs(self):
        self.rejected("maculaos:\n\tmodules: [a]\n", "(?i)tab")

    def test_alias_bomb(self):
        bomb = "run_cmd:\n- &a [x,x,x,x,x,x,x,x,x,x]\n"
        for previous, name in zip("abcdefgh", "bcdefghi"):
            bomb += f"- &{name} [{','.join(['*' + previous] * 10)}]\n"
        self.rejected(bomb, "at most 100000 values with all aliases expanded")

    def test_depth(self):
        self.rejected("run_cmd: " + "[" * 33 + "]" * 33 + "\n", "at most 32 levels")

    def test_wrong_types_name_line_and_column(self):
        self.rejected("hostname: [a, b]\n", r":1:\d+:.*hostname")
        self.rejected("maculaos:\n  sysctls: yes\n", r":2:\d+:.*sysctls")

    def test_one_byte_too_many(self):
        self.rejected("#" * 1_000_000 + "\n", "at most 1000000 bytes")

    def test_an_unknown_template_names_its_place(self):
        self.rejected("hostname: x-${NOPE}\n", r"NOPE")

    def test_nothing_can_be_injected_into_the_server_configuration(self):
        for key in ("listen", "max_payload", "write_deadline", "admin_keys", "jetstream.store_dir", "jetstream.max_file",
                    "cluster.name", "cluster.secret", "cluster.routes"):
            for value in ('127.0.0.1:4222"\nauthorization: {', "127.0.0.1:4222 }"):
                with self.subTest(key=key, value=value):
                    listed = [value] if key in ("admin_keys", "cluster.routes") else value
                    group, _, last = key.rpartition(".")
                    nats = {group: {"enabled": True, last: listed}} if group else {last: listed}
                    self.refused(json.dumps({"maculaos": {"nats": nats}}), last)


if __name__ == "__main__":
    unittest.main(verbosity=2)
