#!/usr/bin/env python3
"""The health of the suite itself, the gate of new versions, what is kept, the watchdog."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import tempfile
import unittest

from health_rig import HealthCase, Watch
from node_harness import BIN, Background, Node


class Suite(unittest.TestCase):
    def test_a_service_that_was_killed_is_back_before_anybody_worries(self):
        with Node() as node, Watch(node) as watch:
            os.kill(node.pids()["confd"], signal.SIGKILL)
            node.runner.wait("unit=confd state=ready")
            node.cli("health", "check").ok()
            watch.expect(what="death", name="service.confd")
            history = node.cli("health", "history", "--check", "service.confd", "-o", "json").json()
            self.assertEqual([(entry["what"], entry["message"]) for entry in history["entries"]],
                             [("death", "died (killed by signal 9 (Killed)); deaths within the hour: 1")])

    def test_a_service_whose_work_is_done_is_well(self):
        configured = Node(config="hostname: done\n")
        configured.write("/var/lib/maculaos/.configured", "")
        with configured as node:
            node.cli("health", "check").ok()
            check = node.cli("health", "status", "service.firstboot", "-o", "json").json()["checks"][0]
            self.assertEqual(check["state"], "ok")
            self.assertNotIn("next_ms", check)

    def test_a_service_that_the_supervisor_gave_up_fails_the_node_and_is_restarted(self):
        with tempfile.TemporaryDirectory() as folder:
            for unit in (BIN.parent / "units").iterdir():
                shutil.copy(unit, folder)
            pathlib.Path(folder, "broken.yaml").write_text("command: [/bin/false]\n")
            node = Node(env={"MACULA_UNITS": folder})
            # Given up long before it has not been ready for too long.
            with Background(BIN / "macula-supervisor", "--backoff", "20", env=node.env) as runner:
                runner.wait("unit=broken state=failed", 120)
                runner.wait("what=node state=failed", 120)
                node.cli("health").exits(11)
                runner.wait("what=restart check=service.broken", 120)
                runner.stop()
            node.__exit__(None)

    @unittest.skipUnless(os.getuid() == 0, "mounting a small file system needs root")
    def test_services_that_were_given_up_come_back_when_the_disk_has_room_again(self):
        with tempfile.TemporaryDirectory() as folder:
            for unit in (BIN.parent / "units").iterdir():
                shutil.copy(unit, folder)
            mark = pathlib.Path(folder, "mended")
            pathlib.Path(folder, "broken.yaml").write_text(f'command: [/bin/sh, -c, "test -e {mark}"]\nfinishes: true\n')
            node = Node(env={"MACULA_UNITS": folder})
            state = node.path("/var/lib/maculaos")
            state.mkdir(parents=True)
            if os.system(f"mount -t tmpfs -o size=16m tmpfs '{state}'") != 0:
                self.skipTest("mounting is not permitted here")
            self.addCleanup(lambda: os.system(f"umount -l '{state}'"))
            with Background(BIN / "macula-supervisor", "--backoff", "20", env=node.env) as runner:
                runner.wait("what=restart check=service.broken .*is not restarted any more", 240)
                filler = pathlib.Path(state, "filler")
                filler.write_bytes(b"x" * (15 << 20))
                for _ in range(2):
                    node.cli("health", "check")
                runner.wait("what=check check=node.space state=failed", 120)
                mark.touch()
                filler.unlink()
                node.cli("health", "check")
                runner.wait("what=check check=service.broken state=ok", 120)
                runner.stop()
            node.__exit__(None)

    def test_a_bus_that_is_killed_is_no_failure_when_it_comes_back(self):
        with Node() as node:
            os.kill(node.pids()["nats-server"], signal.SIGKILL)
            node.runner.wait("service=healthd msg=\"the bus is back\"")
            node.cli("health", "check").ok()
            self.assertEqual(node.cli("health", "status", "node.bus", "-o", "json").json()["checks"][0]["state"], "ok")


class Configuration(unittest.TestCase):
    def stored_as(self, node, word, other):
        """What the generation in force says, as a version with other rules would have written it."""
        with contextlib.closing(sqlite3.connect(node.path("/var/lib/maculaos/generations/confd.db"))) as store, store:
            self.assertGreater(sum(store.execute(f"UPDATE {table} SET {column} = CAST(replace({column}, ?, ?) AS BLOB)", (word, other)).rowcount
                                   for table, column in (("generation", "document"), ("blob", "content"))), 1)
        for name in ("config.yaml", "config.d/99-changes.yaml"):
            path = node.path("/var/lib/maculaos") / name
            if path.exists():
                path.write_text(path.read_text().replace(word, other))

    def check(self, node):
        return json.loads(node.cli("health", "status", "node.configuration", "-o", "json").out)["checks"][0]

    def test_a_version_that_cannot_use_the_configuration_in_force_may_not_stay(self):
        with Node(config="hostname: edge-7\nmaculaos:\n  upgrade: {health_hold: 1s}\n") as node:
            node.cli("health", "check").ok()
            self.assertEqual(self.check(node)["message"], "in force")
            node.stop()
            self.stored_as(node, "edge-7", "edge_7")
            node.start()
            self.assertTrue(node.until(lambda: node.cli("health").code == 10), "a node that goes on without its configuration is degraded")
            self.assertEqual(self.check(node)["state"], "failed")
            self.assertIn("edge_7", node.cli("config", "status", "-o", "json").json()["unusable"])
            gate = node.cli("health", "gate", "-o", "json").json()
            self.assertEqual(gate["state"], "holding")
            self.assertIn("node.configuration: this version cannot use the configuration in force", " ".join(gate["reasons"]))
            node.cli("config", "apply", "-", stdin="hostname: edge-8\n").ok()
            self.assertTrue(node.until(lambda: self.check(node)["state"] == "ok"))
            self.assertNotIn("unusable", node.cli("config", "status", "-o", "json").json())


class Gate(HealthCase):
    hold = {"upgrade": {"health_hold": "1s", "health_timeout": "5m"}}

    def gate(self):
        return json.loads(self.node.cli("health", "gate", "-o", "json").out)

    def test_it_passes_when_everything_holds(self):
        with self.node.events("health.gate", 1) as events:
            self.configure(**self.hold).ok()
            events.wait('"passed"')
        self.node.cli("health", "gate").ok()
        self.assertEqual(self.history()[0]["to"], "passed")

    def test_a_users_check_keeps_it_from_passing_until_it_holds(self):
        server = self.server()
        server.mode = "ill"
        with self.node.events("health.gate", 1) as events:
            self.configure(self.web(server, gates_upgrade=True, failures=1), **self.hold).ok()
            server.wait_asked(20)
            gate = self.gate()
            self.assertEqual((gate["state"], gate["reasons"]), ("holding", ["web: answered with status 500"]))
            self.node.cli("health", "gate").exits(3)
            server.mode = "ok"
            events.wait('"passed"')

    def kill(self, watch, name):
        os.kill(self.node.pids()[name], signal.SIGKILL)
        self.node.runner.wait(f"unit={name} state=ready")
        watch.expect(what="death", name=f"service.{name}")
        self.node.cli("health", "check").code  # answers when healthd knows that it is ready

    def test_each_death_of_a_service_begins_the_hold_anew_and_too_many_fail_it(self):
        with Watch(self.node) as watch:
            before = self.gate()["since_ms"]
            self.node.cli("services", "restart", "netd").ok()
            self.node.runner.wait("unit=netd state=ready")
            self.node.cli("health", "check").ok()
            self.assertEqual(self.gate()["since_ms"], before, "nobody died")
            for _ in range(4):
                self.kill(watch, "netd")
                since = self.gate()["since_ms"]
                self.assertGreater(since, before)
                before = since
            self.kill(watch, "netd")
            gate = self.gate()
            self.assertEqual(gate["state"], "holding")
            self.assertRegex(gate["reasons"][0], r"^service\.netd: died 5 times within the hour \(ready")
            self.node.cli("health").exits(10)
            self.assertEqual([entry["what"] for entry in self.history("service.netd")], ["check"] + ["death"] * 5)
            # healthd's own death makes it forget neither these nor itself.
            os.kill(self.node.pids()["healthd"], signal.SIGKILL)
            self.node.runner.wait("unit=healthd state=ready")
            watch.expect(what="death", name="service.healthd")
            self.node.cli("health", "check").exits(10)
            self.assertRegex(self.check("service.netd")["message"], "^died 5 times within the hour")

    def test_it_fails_at_the_limit_with_the_reason_and_stays_so(self):
        server = self.server()
        server.mode = "ill"
        with Watch(self.node) as watch, self.node.events("health.gate", 1) as events:
            self.configure(self.web(server, gates_upgrade=True)).ok()
            watch.expect(what="check", name="web", to="failed")
            patch = {"maculaos": {"upgrade": {"health_hold": "500ms", "health_timeout": "1s"}}}
            self.node.cli("config", "patch", json.dumps(patch)).ok()
            events.wait('"failed"')
        self.node.cli("health", "gate").exits(1)
        self.assertEqual(self.gate()["reasons"], ["web: answered with status 500"])
        server.mode = "ok"
        os.kill(self.node.pids()["healthd"], signal.SIGKILL)
        self.node.runner.wait("unit=healthd state=ready")
        self.assertEqual((self.gate()["state"], self.gate()["reasons"]), ("failed", ["web: answered with status 500"]))
        self.node.stop()
        self.node.start()  # the version is started again
        self.assertNotEqual(self.gate().get("reasons"), ["web: answered with status 500"])


class Kept(HealthCase):
    def test_history_and_revision_survive_a_kill_at_any_moment(self):
        self.node.cli("health", "silence", "node.clock", "1h").ok()
        revision = self.status()["revision"]
        for _ in range(3):
            pid = self.node.pids()["healthd"]
            os.kill(pid, signal.SIGKILL)
            self.node.runner.wait("unit=healthd state=ready")
        self.assertGreaterEqual(self.status()["revision"], revision)
        self.assertTrue(any(entry["what"] == "person" for entry in self.history()))

    def test_killed_while_it_is_written_it_is_the_old_one_or_the_new_one(self):
        for point, silent in (("fs.write.temporary", False), ("fs.write.renamed", True)):
            with self.subTest(point):
                self.node.cli("health", "silence", "node.clock", "0").ok()
                self.node.stop()
                self.node.start(MACULA_FAULT=point, MACULA_FAULT_ARMED=str(self.node.path("/armed")))
                self.node.cli("health", "check").ok()
                self.node.write("/armed", "")
                self.node.cli("health", "silence", "node.clock", "1h", "--timeout", "2s").code
                self.node.runner.wait("unit=healthd state=waiting.*signal 9")
                self.node.path("/armed").unlink()
                self.node.runner.wait("unit=healthd state=ready")
                self.assertEqual("silent_until_ms" in self.check("node.clock"), silent)
                files = set(os.listdir(self.node.path("/var/lib/maculaos/health")))
                self.assertLessEqual(files, {"kept.json", "history", "history.1", ".probe"}, "left-overs are removed")

    def test_damaged_files_are_passed_over(self):
        self.node.stop()
        self.node.write("/var/lib/maculaos/health/kept.json", '{"gate": [')
        history = self.node.path("/var/lib/maculaos/health/history")
        whole = history.read_bytes()
        history.write_bytes(b"\xff\x00garbage\n" + whole + b'{"number":99,"mess')
        self.node.start()
        self.node.cli("health", "check").ok()
        numbers = [entry["number"] for entry in self.history()]
        self.assertEqual(numbers, sorted(numbers, reverse=True))
        self.assertGreaterEqual(len(numbers), whole.count(b"\n") + 1)

    def test_files_are_for_nobody_else(self):
        for name in ("", "/kept.json", "/history"):
            self.assertEqual(self.node.path("/var/lib/maculaos/health" + name).stat().st_mode & 0o077, 0, name)


class Watchdog(HealthCase):
    def test_it_is_armed_fed_and_handed_over(self):
        self.assertEqual(self.record(), ["watchdog open /dev/watchdog", "watchdog feed"])
        self.node.cli("config", "set", "maculaos.watchdog.timeout", "30s").ok()
        self.assertEqual(self.record()[-1], "watchdog timeout 30")
        self.node.cli("config", "set", "maculaos.watchdog.enabled", "false").ok()
        self.assertEqual(self.record()[-1], "watchdog disarm")
        self.assertEqual(self.status()["watchdog"]["kind"], "off")
        self.node.cli("config", "set", "maculaos.watchdog.enabled", "true").ok()
        self.node.stop()
        self.assertEqual(self.record()[-1], "watchdog disarm")

    def test_killed_it_stays_armed_and_is_taken_up_again(self):
        os.kill(self.node.pids()["healthd"], signal.SIGKILL)
        self.node.runner.wait("unit=healthd state=ready")
        self.assertEqual(self.record(), ["watchdog open /dev/watchdog", "watchdog feed"] * 2)

    def test_a_machine_that_goes_down_keeps_it_armed(self):
        with self.node.events("node.stopping", 1) as events:
            self.node.cli("node", "reboot", "--yes", "-r", "test").ok()
            events.wait("stopping")
        self.node.cli("health").code
        self.node.stop()
        self.assertEqual(self.record()[-2:], ["watchdog timeout 180", "watchdog close armed"])

    def test_a_machine_that_init_takes_down_keeps_it_armed(self):
        self.node.write("/run/macula/going-down", "")
        self.node.stop()
        self.assertEqual(self.record()[-2:], ["watchdog timeout 180", "watchdog close armed"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
