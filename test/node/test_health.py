#!/usr/bin/env python3
"""Checks of the node's health that fail and heal, hostile servers, refusals, what is done about it."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from health_rig import HealthCase, Server, Watch
from node_harness import Node, RawClient


def lives(pid):
    """Whether there is such a process; one that has ended and waits for its parent is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class States(HealthCase):
    def test_a_node_without_any_configuration_is_well(self):
        said = self.node.cli("health").ok()
        self.assertIn("health    ok", said.out)
        for name in ("node.bus", "node.state", "node.configuration", "node.space", "node.clock", "node.entropy", "service.confd", "service.nats-server"):
            self.assertEqual(self.check(name)["state"], "ok", name)

    def test_a_web_server_that_becomes_ill_degrades_the_node_and_is_well_again(self):
        server = self.server()
        with Watch(self.node) as watch:
            self.configure(self.web(server)).ok()
            server.wait_asked(2)
            server.mode = "ill"
            event = watch.expect(what="check", name="web", to="failed")
            self.assertEqual(event["entry"]["message"], "answered with status 500")
            event = watch.expect(what="node", to="degraded")
            self.assertEqual(event["reasons"], ["web: answered with status 500"])
            self.node.cli("health").exits(10)
            self.node.cli("health", "status", "web").exits(11)
            server.mode = "ok"
            watch.expect(what="check", name="web", to="ok")
            watch.expect(what="node", to="ok")
            self.node.cli("health").exits(0)

    def test_single_bad_looks_are_no_events(self):
        server = self.server()
        with Watch(self.node) as watch:
            self.configure(self.web(server, failures=3)).ok()
            server.wait_asked(1)
            server.mode = ["ill", "ill", "ok", "ill", "ill", "ok", "ill", "ok"]
            server.wait_asked(9)
            self.assertEqual(self.history("web"), [])
            server.mode = "ill"
            before = server.asked
            watch.expect(what="check", name="web", to="failed")
            self.assertGreaterEqual(server.asked - before, 2)

    def test_action_none_is_only_shown(self):
        server = self.server()
        server.mode = "ill"
        with Watch(self.node) as watch:
            self.configure(self.web(server, action="none")).ok()
            watch.expect(what="check", name="web", to="failed")
            self.assertNotIn("web", " ".join(self.status().get("reasons", [])))

    def test_a_look_can_be_asked_for(self):
        server = self.server()
        self.configure(self.web(server, interval="1h")).ok()
        self.node.cli("health", "check", "web").exits(0)
        server.mode = "ill"
        self.node.cli("health", "check", "web").exits(0)
        self.node.cli("health", "check", "web").exits(0)
        self.node.cli("health", "check", "web").exits(11)  # the third in a row
        self.node.cli("health", "check", "nobody").exits(1)
        self.node.cli("health", "check").exits(10)

    def test_who_asks_without_a_key_may_read_but_not_change(self):
        self.node.anonymous("health").ok()
        self.node.anonymous("health", "history").ok()
        for words in (("check",), ("silence", "node.clock", "1h"), ("acknowledge", "node.clock")):
            self.node.anonymous("health", *words).exits(6)


class Types(HealthCase):
    def test_tcp(self):
        server = self.server()
        with Watch(self.node) as watch:
            self.configure({"name": "port", "type": "tcp", "address": f"127.0.0.1:{server.port}", "interval": "100ms", "failures": 1}).ok()
            self.node.cli("health", "check", "port").ok()
            server.close()
            watch.expect(what="check", name="port", to="failed")

    def test_the_end_of_a_process_is_seen_at_once_not_at_the_next_look(self):
        with tempfile.TemporaryDirectory() as folder, Watch(self.node) as watch:
            program = pathlib.Path(folder, f"hlth{os.getpid()}")
            shutil.copy(shutil.which("sleep"), program)
            process = subprocess.Popen([program, "1000"])
            try:
                self.configure({"name": "p", "type": "process", "process": program.name, "interval": "1h", "failures": 1}).ok()
                self.node.cli("health", "check", "p").ok()
                self.assertIn(str(process.pid), self.check("p")["message"])
                self.assertNotIn("next_ms", self.check("p"))
            finally:
                process.kill()
                process.wait()
            watch.expect(what="check", name="p", to="failed")

    def test_exec(self):
        def program(name, text, **more):
            return {"name": name, "type": "exec", "command": ["/bin/sh", "-c", text], "interval": "1h", "failures": 1, **more}
        self.configure(program("good", "echo first; echo all is fine"), program("bad", "echo the pump is dry >&2; exit 3"),
                       program("forever", "tail -f /dev/null", timeout="300ms"),
                       program("flood", "exec yes flooding", timeout="500ms"),
                       program("binary", "head -c 100000 /dev/urandom; printf '\\n\\033[2Jred'; exit 1"),
                       {"name": "missing", "type": "exec", "command": ["/nonexistent"], "interval": "1h", "failures": 1}).ok()
        self.node.cli("health", "check").exits(10)
        said = {check["name"]: check for check in self.status()["checks"]}
        self.assertEqual((said["good"]["state"], said["good"]["message"]), ("ok", "all is fine"))
        self.assertEqual((said["bad"]["state"], said["bad"]["message"]), ("failed", "exit code 3: the pump is dry"))
        self.assertEqual(said["forever"]["message"], "no answer within 300 ms")
        self.assertEqual(said["flood"]["message"], "no answer within 500 ms")
        self.assertIn("cannot be run", said["missing"]["message"])
        self.assertNotIn("\x1b", said["binary"]["message"])
        self.assertLess(len(said["binary"]["message"].encode()), 500)

    def test_a_program_that_never_ends_leaves_nobody_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            mark = pathlib.Path(folder, "pids")
            # Not tail, which ends by itself when nobody reads what it says.
            text = f"trap '' TERM; echo $$ >> {mark}; sleep 1000 & echo $! >> {mark}; wait"
            self.configure({"name": "stubborn", "type": "exec", "command": ["/bin/sh", "-c", text], "interval": "1h",
                            "timeout": "500ms", "failures": 1}).ok()
            self.node.cli("health", "check", "stubborn").exits(11)
            pids = mark.read_text().split()
            self.assertGreaterEqual(len(pids), 2)
            self.assertTrue(self.node.until(lambda: not any(map(lives, pids))), pids)

    def test_bus(self):
        with RawClient(self.node.url) as shop, Watch(self.node) as watch:
            shop.subscribe("macula.rpc.io.macula.shop.status", "1")
            shop.ping()
            stop = threading.Event()

            def serve():
                with contextlib.suppress(OSError, ConnectionError):
                    while not stop.is_set():
                        kind, words, _, _ = shop.next()
                        if kind == "MSG" and not stop.is_set():
                            shop.publish(words[2], b'{"open":true}')
            threading.Thread(target=serve, daemon=True).start()
            look = {"type": "bus", "interval": "100ms", "timeout": "2s", "failures": 1}
            self.configure({"name": "own", "procedure": "config.status", **look}, {"name": "shop", "procedure": "shop.status", **look}).ok()
            self.node.cli("health", "check", "own").ok()
            self.node.cli("health", "check", "shop").ok()
            stop.set()
            watch.expect(what="check", name="shop", to="failed")

    def test_disk_and_what_is_cleaned_up(self):
        for name in ("messages.0", "old.log.gz", "messages", "kept.txt"):
            self.node.write(f"/var/log/{name}", "x" * 5000)
        with Watch(self.node) as watch:
            self.configure({"name": "var", "type": "disk", "path": "/var/lib", "threshold": "0%", "interval": "1h",
                            "failures": 1, "action": "cleanup"}).ok()
            event = watch.expect(what="cleanup", name="var")
        self.assertIn("2 old logs", event["entry"]["message"])
        self.assertEqual(sorted(os.listdir(self.node.path("/var/log"))), ["kept.txt", "messages"])

    def test_https_without_a_certificate_is_bad_and_quotes_no_url(self):
        server = self.server()
        self.configure({"name": "tls", "type": "http", "url": f"https://localhost:{server.port}/?token=sesame", "interval": "1h",
                        "failures": 1}).ok()
        said = self.node.cli("health", "check", "tls").exits(11)
        self.assertNotIn("sesame", said.out)


class Https(unittest.TestCase):
    def test_the_status_counts_however_long_the_page_is(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = pathlib.Path(folder, "tls.key"), pathlib.Path(folder, "tls.crt")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                            "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                           check=True, capture_output=True)
            server = Server((certificate, key))
            self.addCleanup(server.close)
            with Node(env={"MACULA_CA_FILE": str(certificate)}) as node:
                check = {"name": "shop", "type": "http", "url": f"https://localhost:{server.port}/?token=sesame", "interval": "1h",
                         "timeout": "20s", "failures": 1, "gates_upgrade": True}
                node.cli("config", "patch", json.dumps({"maculaos": {"health": {"checks": [check]}}})).ok()
                for mode, code, message in (("ok", 0, "answered with status 200"), ("ill_and_wordy", 11, "status of 500 or more"),
                                            ("huge", 0, "answered with status 200"), (["moved_and_wordy", "lost_and_wordy"], 11, "status 404 or 410"),
                                            (["moved_and_wordy", "ok"], 0, "answered with status 200"), ("ill", 11, "status of 500 or more")):
                    with self.subTest(str(mode)):
                        server.mode = mode
                        said = node.cli("health", "check", "shop", "-o", "json").exits(code)
                        self.assertIn(message, said.json()["checks"][0]["message"])
                        self.assertNotIn("sesame", said.out)


class HostileServers(HealthCase):
    def outcome(self, mode, timeout="700ms"):
        server = self.server()
        server.mode = mode
        self.configure(self.web(server, interval="1h", failures=1, timeout=timeout)).ok()
        self.node.cli("health", "check", "web")
        check = self.check("web")
        return check["state"], check["message"]

    def test_whatever_they_answer_the_node_goes_on(self):
        pid = self.node.pids()["healthd"]
        self.assertEqual(self.outcome("huge"), ("ok", "answered with status 200"))
        self.assertEqual(self.outcome("redirect"), ("ok", "answered with status 302"))
        self.assertEqual(self.outcome("drip"), ("failed", "no answer within 700 ms"))
        self.assertEqual(self.outcome("endless", "5s"), ("failed", "the header of the answer does not end"))
        self.assertEqual(self.outcome("garbage"), ("failed", "the answer does not begin like one of HTTP/1"))
        self.assertIn("ended before an answer", self.outcome("nothing")[1])
        self.assertEqual(self.node.pids()["healthd"], pid)
        self.assertEqual(self.check("service.healthd")["state"], "ok")


class Refused(HealthCase):
    def test_what_cannot_be_is_refused_with_path_and_reason_and_changes_nothing(self):
        before = self.node.generation()
        good = {"name": "a", "type": "memory"}
        for wrong, path in (({"name": "b", "type": "http"}, "checks[1].url"), ({"name": "a", "type": "clock"}, "checks[1].name"),
                            ({"name": "b", "type": "memory", "interval": "3650d"}, "checks[1].interval"),
                            ({"name": "b", "type": "bus", "procedure": "node.reboot"}, "checks[1].procedure"),
                            ({"name": "node.x", "type": "clock"}, "checks[1].name")):
            said = self.configure(good, wrong).exits(5)
            self.assertIn("maculaos.health." + path, said.err)
        said = self.node.cli("config", "patch", json.dumps({"maculaos": {"upgrade": {"health_hold": "1h"}}})).exits(5)
        self.assertIn("health_hold", said.err)
        said = self.node.cli("config", "set", "maculaos.watchdog.timeout", "1s").exits(5)
        self.assertIn("maculaos.watchdog.timeout", said.err)
        self.assertEqual(self.node.generation(), before)
        self.assertFalse(any(not check.get("built_in") for check in self.status()["checks"]))

    def test_what_has_no_effect_is_said(self):
        said = self.configure({"name": "peers", "type": "mesh"}).ok()
        self.assertIn("has no effect yet", said.err)


class Remedies(HealthCase):
    def test_a_service_is_restarted_within_its_budget(self):
        with Watch(self.node) as watch:
            self.configure({"name": "shop", "type": "tcp", "address": "127.0.0.1:1", "interval": "100ms", "failures": 1,
                            "restart_on_failure": True, "max_restarts": 1}).ok()
            self.assertEqual(watch.expect(what="restart", name="shop")["entry"]["message"], "shop was restarted")
            self.assertIn("not restarted any more", watch.expect(what="restart", name="shop")["entry"]["message"])
        self.assertEqual(self.record().count("run rc-service shop restart"), 1)
        os.kill(self.node.pids()["healthd"], signal.SIGKILL)
        self.node.runner.wait("unit=healthd state=ready")
        self.node.cli("health", "check", "shop").exits(11)
        self.assertEqual(self.record().count("run rc-service shop restart"), 1, "a restart of healthd does not refill the budget")

    def test_what_restarts_and_cleans_up_does_both_each_within_its_own_budget(self):
        self.node.write("/var/log/old.log.gz", "x" * 5000)
        both = {"name": "full", "type": "disk", "path": "/var/lib", "threshold": "0%", "interval": "100ms", "failures": 1,
                "action": "cleanup", "restart_on_failure": True, "service": "shop", "max_restarts": 1}
        with Watch(self.node) as watch:
            self.configure(both).ok()
            event = watch.expect(what="cleanup", name="full")
            self.assertIn("1 old logs", event["entry"]["message"])
        self.node.cli("health", "check", "full").exits(11)
        self.assertEqual(self.record().count("run rc-service shop restart"), 1)
        os.kill(self.node.pids()["healthd"], signal.SIGKILL)
        self.node.runner.wait("unit=healthd state=ready")
        for _ in range(3):
            self.node.cli("health", "check", "full").exits(11)
        self.configure({**both, "interval": "150ms"}).ok()
        self.node.cli("health", "check", "full").exits(11)
        self.assertEqual(self.record().count("run rc-service shop restart"), 1)
        self.assertEqual(sum(entry["what"] == "cleanup" for entry in self.history("full")), 1, "once an hour")

    def test_a_rule_of_auto_heal_runs_once_in_its_cooldown(self):
        with Watch(self.node) as watch:
            self.configure(auto_heal={"actions": {"full": {"trigger": "disk_usage > 0%", "action": "echo vacuum", "cooldown": "1h"}}}).ok()
            watch.expect(what="heal", name="full")
            self.configure({"name": "another", "type": "tcp", "address": "127.0.0.1:1", "interval": "1h"}, auto_heal={"enabled": True}).ok()
        self.node.cli("health", "check")  # a new configuration does not refill it
        self.assertEqual(self.record().count("run sh -c echo vacuum"), 1)

    def test_the_network_is_restarted_by_starting_netd_anew(self):
        before = self.node.pids()["netd"]
        with Watch(self.node) as watch:
            self.configure(auto_heal={"actions": {"net": {"trigger": "disk_usage > 0%", "action": "restart_network", "cooldown": "1h"}}}).ok()
            self.assertEqual(watch.expect(what="heal", name="net")["entry"]["message"], "done")
        self.assertTrue(self.node.until(lambda: self.node.pids().get("netd", before) != before))
        self.assertFalse([line for line in self.record() if "network" in line])

    def test_the_time_of_day_is_kept_each_hour_and_never_set_back(self):
        clock, now = self.node.path("/var/lib/maculaos/clock"), int(time.time())
        self.node.cli("health", "check", "node.state").ok()
        self.assertFalse(clock.exists(), "whoever wants it makes it")
        clock.touch()
        for kept, expected in ((now - 1800, now - 1800), (now + 86400, now + 86400), (now - 200 * 86400, now)):
            os.utime(clock, (kept, kept))
            self.node.cli("health", "check", "node.state").ok()
            self.assertAlmostEqual(clock.stat().st_mtime, expected, delta=300 if expected == now else 0)

    def test_acknowledged_nothing_is_restarted(self):
        with Watch(self.node) as watch:
            self.configure({"name": "shop", "type": "tcp", "address": "127.0.0.1:1", "interval": "1h", "failures": 1}).ok()
            watch.expect(what="check", name="shop", to="failed")
            self.node.cli("health", "acknowledge", "shop", "-m", "new disk tomorrow", "--author", "anna").ok()
            watch.expect(what="person", name="shop")
        check = self.check("shop")
        self.assertEqual((check["acknowledged_by"], check["acknowledgement"]), ("anna", "new disk tomorrow"))
        self.node.cli("health", "acknowledge", "node.clock").exits(3)

    def test_an_acknowledgement_that_is_over_does_not_come_back(self):
        door = socket.create_server(("127.0.0.1", 0))
        port = door.getsockname()[1]
        door.close()
        shop = {"name": "shop", "type": "tcp", "address": f"127.0.0.1:{port}", "interval": "100ms", "failures": 1}
        with Watch(self.node) as watch:
            self.configure(shop).ok()
            watch.expect(what="check", name="shop", to="failed")
            self.node.cli("health", "acknowledge", "shop").ok()
            with socket.create_server(("127.0.0.1", port)):
                watch.expect(what="check", name="shop", to="ok")
                os.kill(self.node.pids()["healthd"], signal.SIGKILL)
            # The next healthd's first look finds it failed again: it has nothing but what was kept.
            watch.expect(what="check", name="shop", to="failed")
        self.assertNotIn("acknowledged_by", self.check("shop"))

    def test_silence_hides_it_and_survives_a_kill(self):
        with Watch(self.node) as watch:
            self.configure({"name": "shop", "type": "tcp", "address": "127.0.0.1:1", "interval": "100ms", "failures": 1}).ok()
            watch.expect(what="node", to="degraded")
            self.node.cli("health", "silence", "shop", "1h", "-m", "moving").ok()
            watch.expect(what="node", to="ok")
            os.kill(self.node.pids()["healthd"], signal.SIGKILL)
            watch.expect(what="node", to="ok")
            self.assertIn("silent_until_ms", self.check("shop"))
            self.node.cli("health", "silence", "shop", "0").ok()
            watch.expect(what="node", to="degraded")
        self.node.cli("health", "silence", "shop", "31d").exits(5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
