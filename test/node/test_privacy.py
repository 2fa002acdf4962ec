#!/usr/bin/env python3
"""What may hold a token stays between the node and its administrator: no workload reads it, by any road."""
import json
import unittest

from node_harness import Node, NodeCase, RawClient

PREFIX = "macula.rpc.io.macula."
CONFIG = """\
hostname: safe
write_files:
  - path: /etc/acme.conf
    content: "key=TOKEN-file"
boot_cmd: ["echo TOKEN-boot > /dev/null"]
init_cmd: ["echo TOKEN-init > /dev/null"]
run_cmd:
  - command: "echo TOKEN-run > /dev/null"
    timeout: 30s
maculaos:
  environment:
    ACME: TOKEN-environment
  k3s_args: [server, --datastore-endpoint=TOKEN-k3s_args]
  k3s:
    args: [server, --datastore-endpoint=TOKEN-args]
  server_url: https://user:TOKEN-server@k3s.example.com:6443
  upgrade: {url: "https://user:TOKEN-upgrade@updates.example.com/os"}
  health:
    checks:
      - {name: shop, type: exec, command: [/bin/check, TOKEN-check]}
"""
KINDS = ("file", "boot", "init", "run", "environment", "k3s_args", "args", "check", "server", "upgrade")


class Privacy(NodeCase):
    CONFIG = CONFIG

    def setUp(self):
        self.client = RawClient(self.node.url)
        self.addCleanup(self.client.close)

    def ask(self, procedure, payload="{}"):
        headers, body = self.client.request(PREFIX + procedure, payload)
        self.assertNotIn(b"Nats-Service-Error", headers, body)
        return body.decode()

    def test_the_administrator_sees_everything(self):
        for arguments in (["config", "get"], ["config", "show"]):
            shown = self.node.cli(*arguments, "-o", "json").ok().out
            for kind in KINDS:
                self.assertIn("TOKEN-" + kind, shown, arguments)

    def test_a_workload_sees_that_something_is_there_and_not_what(self):
        for procedure in ("config.get", "config.show", "config.diff", "config.history"):
            self.assertNotIn("TOKEN", self.ask(procedure), procedure)
        document = json.loads(json.loads(self.ask("config.get"))["json"])
        self.assertEqual(document["hostname"], "safe")
        self.assertEqual(document["write_files"][0]["path"], "/etc/acme.conf")
        self.assertEqual(document["write_files"][0]["content"], "********")
        self.assertEqual(document["run_cmd"], [{"command": "********", "timeout": "30s"}])
        self.assertEqual(document["maculaos"]["environment"], {"ACME": "********"})
        self.assertEqual(document["maculaos"]["k3s"]["args"], ["********"] * 2)

    def test_no_path_leads_around_the_mask(self):
        for path in ("write_files", "write_files[0]", "write_files[0].content", "run_cmd[0].command", "maculaos.environment.ACME",
                     "k3os.k3s_args[1]", "maculaos.k3s.args[1]", "maculaos.health.checks[0].command[1]"):
            for defaults in (True, False):
                answer = self.ask("config.get", json.dumps({"path": path, "defaults": defaults}))
                self.assertIn("********", answer, path)
                self.assertNotIn("TOKEN", answer, path)

    def test_the_rest_of_a_url_is_shown(self):
        for path, shown in (("maculaos.upgrade.url", "https://********@updates.example.com/os"),
                            ("maculaos.server_url", "https://********@k3s.example.com:6443")):
            self.assertEqual(json.loads(json.loads(self.ask("config.get", json.dumps({"path": path})))["json"]), shown)

    def test_nobody_is_an_administrator_because_he_says_so(self):
        inbox = "_INBOX.forged"
        self.client.subscribe(inbox, "forged")
        header = b'NATS/1.0\r\nNats-Request-Info: {"acc":"NODE"}\r\nnats-request-info: {"acc":"NODE"}\r\nMacula-Caller: admin\r\n\r\n'
        payload = b'{"path":"maculaos.environment"}'
        self.client.send(f"HPUB {PREFIX}config.get {inbox} {len(header)} {len(header) + len(payload)}", header + payload)
        body = self.client.next()[3]
        self.assertIn(b"********", body)
        self.assertNotIn(b"TOKEN", body)

    def test_drift_says_where_and_not_what(self):
        with self.node.events("config.drift", 1) as events:
            self.node.write("/etc/acme.conf", "key=TOKEN-drift")
            self.assertIn("/etc/acme.conf", self.ask("config.drift"))
            said = events.wait(r"^(\{.*)").group(1)
        self.assertIn("/etc/acme.conf", said)
        self.assertNotIn("TOKEN", said)
        self.assertNotIn("TOKEN", self.ask("config.drift"))
        self.node.cli("config", "drift", "--fix").ok()

    def test_events_have_no_values_neither_of_what_is_accepted_nor_of_what_is_refused(self):
        refused = ({"maculaos": {"environment": {"ACME": ["TOKEN-list"]}}}, {"maculaos": {"environment": "TOKEN-text"}},
                   {"maculaos": {"k3s_args": ["--x=${TOKEN-name}"]}}, {"maculaos": {"k3s_args": [{"TOKEN": 1}]}},
                   {"maculaos": {"k3s": {"args": ["--a", "b", "TOKEN-word"]}}}, {"run_cmd": [{"command": {"TOKEN": 1}}]},
                   {"write_files": [{"path": "/x", "content": "TOKEN-gzip", "encoding": "gzip"}]},
                   {"maculaos": {"health": {"checks": [{"name": "a", "type": "http", "url": "TOKEN-url"}]}}},
                   {"maculaos": {"upgrade": {"url": "user:TOKEN-url@example.com"}}}, {"maculaos": {"server_url": "http://u:TOKEN-u@h"}},
                   {"maculaos": {"upgrade": {"url": "https://u:TOKEN/-u@h ost/${NOPE}"}}},
                   {"ssh_authorized_keys": ["https://u:TOKEN-u@h ost/x"]})
        with self.node.events("config.*", len(refused) + 2) as events:
            for patch in refused:
                result = self.node.cli("config", "patch", json.dumps(patch)).exits(5)
                self.assertNotIn("TOKEN", result.err)
            self.node.cli("config", "set", "maculaos.environment.ACME", "TOKEN-new").ok()
            said = [events.wait(r"^(\{.*)").group(1) for _ in range(len(refused) + 2)]
        self.assertEqual([line for line in said if "TOKEN" in line], [])
        self.client.subscribe("_INBOX.stats", "stats")
        self.client.publish("$SRV.STATS.config", b"", "_INBOX.stats")
        self.assertNotIn(b"TOKEN", self.client.next()[3])
        self.assertIn("TOKEN-new", self.node.cli("config", "diff").ok().out)
        self.assertNotIn("TOKEN", self.ask("config.diff"))
        self.node.cli("config", "set", "maculaos.environment.ACME", "TOKEN-environment").ok()


class Refused(unittest.TestCase):
    def test_a_file_that_was_refused_at_the_start_is_told_of_and_not_quoted(self):
        with Node(config="hostname: safe\n") as node:
            node.stop()
            node.write("/var/lib/maculaos/config.yaml", "maculaos:\n  environment: TOKEN-1\n  k3s_args: {a: TOKEN-2}\n")
            node.start()
            with RawClient(node.url) as client:
                body = client.request(PREFIX + "config", "{}")[1].decode()
            self.assertIn("maculaos.environment", body)
            self.assertNotIn("TOKEN", body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
