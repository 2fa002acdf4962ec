#!/usr/bin/env python3
"""The supervisor as a person meets it: starting twice, a busy port, no server, ending, keeping its state."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from node_harness import BIN, SANITIZED, SOURCE, Background, Node, RawClient, reserve_port


class WhichNode(unittest.TestCase):
    def test_make_node_is_a_sandbox_unless_told_otherwise(self):
        env = {k: v for k, v in os.environ.items() if k not in ("MACULA_ROOT", "MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run(["make", "-n", "-C", str(SOURCE), "node"], env=env, capture_output=True, text=True, check=True)
        self.assertIn('MACULA_ROOT="${MACULA_ROOT:-', done.stdout)
        self.assertIn("/run/node}", done.stdout)

    def test_this_very_machine_is_only_the_node_when_it_is_named(self):
        env = {k: v for k, v in os.environ.items() if k != "MACULA_ROOT"}
        with tempfile.TemporaryDirectory() as folder:
            for root in ({}, {"MACULA_ROOT": ""}):
                done = subprocess.run([BIN / "maculaos", "node", "run"], env={**env, **root}, cwd=folder, capture_output=True, text=True,
                                      timeout=60, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn("--root", done.stderr)

    def test_a_root_without_a_node_is_not_another_node(self):
        with Node(), tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([BIN / "maculaos", "--root", folder, "node", "info"], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 7)
            self.assertIn("no node runs in", done.stderr)


OWN_CHOICE = {"MACULA_NATS_PORT": ""}  # the node finds its port itself


class Run(unittest.TestCase):
    def test_a_second_node_under_the_same_root_is_refused_with_the_first_ones_pid(self):
        with Node() as node:
            with Background(BIN / "maculaos", "node", "run", env=node.env) as second:
                second.wait(str(node.runner.process.pid))
                self.assertNotEqual(second.process.wait(30), 0)
            node.cli("node", "info").ok()

    def test_a_port_that_was_asked_for_and_is_taken_is_said(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            node = Node(env={"MACULA_NATS_PORT": port})
            with Background(BIN / "maculaos", "node", "run", env=node.env) as runner:
                runner.wait(f"{port}.*(in use|taken|busy)")
                self.assertNotEqual(runner.process.wait(30), 0)
            node.__exit__(None)

    def test_two_nodes_side_by_side_choose_different_ports(self):
        with Node(env=OWN_CHOICE) as first, Node(env=OWN_CHOICE) as second:
            self.assertNotEqual(first.url, second.url)

    def test_no_server_installed_is_said_with_the_remedy(self):
        node = Node()
        with Background(BIN / "maculaos", "node", "run", env={**node.env, "MACULA_NATS_SERVER": "/nonexistent/nats-server"}) as runner:
            runner.wait("nats-server")
            self.assertNotEqual(runner.process.wait(30), 0)
        node.__exit__(None)

    def test_ending_leaves_no_process_behind(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            node = Node().start()
            pids = node.pids()
            self.assertGreaterEqual(len(pids), 2)
            self.assertEqual(node.stop(number), 0)
            for name, pid in pids.items():
                self.assertFalse(pathlib.Path(f"/proc/{pid}").exists(), name)
            node.__exit__(None)

    def test_a_service_is_restarted_on_request(self):
        with Node() as node:
            before = node.pids()["confd"]
            shown = node.cli("services", "restart", "confd", "-o", "json").ok().json()["units"]
            confd, = (unit for unit in shown if unit["name"] == "confd")
            self.assertEqual(confd["state"], "ready")
            self.assertNotEqual(confd["pid"], before)
            node.cli("services", "restart", "nats-server").ok()
            node.cli("services", "restart", "nonsense").exits(1)

    def test_a_change_of_the_bus_limits_takes_effect_without_a_restart_of_the_server(self):
        with Node() as node:
            server = node.pids()["nats-server"]
            node.cli("config", "set", "maculaos.nats.max_connections", "77").ok()
            self.assertIn("77", node.read("/run/macula/nats.conf"))
            self.assertEqual(node.pids()["nats-server"], server)

    def test_a_command_waits_for_a_bus_that_is_restarting(self):
        with Node(config="hostname: edge-1\n") as node:
            for number in range(3):
                with self.subTest("a change that restarts it", number=number):
                    server = node.pids()["nats-server"]
                    for key, value in (("maculaos.nats.max_subscriptions", 500 + number), ("hostname", f"edge-{number}")):
                        node.cli("config", "set", key, str(value)).ok()
                    self.assertNotEqual(node.pids()["nats-server"], server)
            for command in (["config", "get", "hostname"], ["config", "set", "hostname", "edge-killed"], ["services", "processes"]):
                with self.subTest("a server that was killed", command=command):
                    os.kill(node.pids()["nats-server"], signal.SIGKILL)
                    node.cli(*command).ok()

    def test_a_node_that_was_killed_is_not_running(self):
        with Node() as node:
            node.kill()
            self.assertTrue(node.path("/run/macula/server.url").exists())
            self.assertIn("is the node running?", node.cli("node", "info").exits(7).err)

    def test_the_bus_opens_to_the_network_and_closes_again_at_its_own_port(self):
        port, _held = reserve_port()
        opened = {"maculaos": {"nats": {"listen": f"0.0.0.0:{port}"}, "security": {"require_credentials": True}}}
        closed = {"maculaos": {"nats": {"listen": f"127.0.0.1:{port}"}}}
        with Node(config=f"maculaos: {{nats: {{listen: '127.0.0.1:{port}'}}}}\n", env=OWN_CHOICE) as node:
            for patch, reachable in ((opened, True), (closed, False)):
                server = node.pids()["nats-server"]
                node.cli("config", "patch", json.dumps(patch)).ok()
                node.runner.wait("unit=nats-server state=ready")
                for procedure in ("supervisor.status", "config.status"):
                    node.cli("call", procedure).ok()
                self.assertNotEqual(node.pids()["nats-server"], server)
                with socket.socket() as client:
                    self.assertEqual(client.connect_ex(("127.0.0.2", port)) == 0, reachable)

    def test_a_port_that_is_not_listened_on_because_the_node_was_started_with_another_is_told(self):
        port, _held = reserve_port()
        wanted, remark = f"127.0.0.1:{port}", "the bus listens on {}: the port that the node was started with"
        with Node() as node:
            told = remark.format(f"127.0.0.1:{node.port}")
            for option in (["--dry-run"], []):
                err = node.cli("config", "set", "maculaos.nats.listen", wanted, *option).ok().err
                self.assertEqual(err.count(told), 1, err)
                self.assertIn("MACULA_NATS_PORT", err)
            node.cli("call", "supervisor.status").ok()
            for key, value in (("maculaos.nats.max_connections", "77"), ("maculaos.nats.listen", f"127.0.0.1:{node.port}")):
                self.assertNotIn("started with", node.cli("config", "set", key, value).ok().err)
        with Node(env=OWN_CHOICE), Node(env=OWN_CHOICE) as node:
            first = node.url.removeprefix("nats://")
            self.assertNotIn("started with", node.cli("config", "set", "maculaos.nats.listen", wanted).ok().err)
            self.assertIn(remark.format(first), node.cli("config", "set", "maculaos.nats.listen", "--unset").ok().err)

    def test_an_address_that_another_program_holds_is_refused(self):
        port, _held = reserve_port()
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))
            other.listen()
            with Node(config=f"maculaos: {{nats: {{listen: '127.0.0.1:{port}'}}}}\n", env=OWN_CHOICE) as node:
                wanted = {"maculaos": {"nats": {"listen": f"0.0.0.0:{port}"}, "security": {"require_credentials": True}}}
                self.assertIn("another program", node.cli("config", "patch", json.dumps(wanted)).exits(5).err)

    def test_what_power_cuts_have_left_of_files_is_removed_at_the_next_start(self):
        left = ["/var/lib/maculaos/.x.json.1B12CD~", "/var/lib/maculaos/health/.kept.json.1ZNBYP~", "/var/lib/maculaos/upgrade/.y.7B12CD~"]
        with Node() as node:
            node.stop()
            for path in left + ["/var/lib/maculaos/health/mine~"]:
                node.write(path, "half of")
            node.start()
            self.assertEqual([path for path in left if node.path(path).exists()], [])
            self.assertTrue(node.path("/var/lib/maculaos/health/mine~").exists())

    def test_files_of_the_node_are_not_for_others(self):
        with Node() as node:
            for name in ("/var/lib/maculaos/identity/admin.nk", "/var/lib/maculaos/identity/confd.nk", "/run/macula/config.pb",
                         "/var/lib/maculaos/identity/seal.key"):
                self.assertEqual(node.path(name).stat().st_mode & 0o077, 0, name)
            self.assertEqual(node.path("/var/lib/maculaos/identity").stat().st_mode & 0o077, 0)


class Memory(unittest.TestCase):
    """A bus that somebody fills ends and comes back; the machine's memory is not its measure."""

    @staticmethod
    def limits(node):
        server = pathlib.Path("/proc", str(node.pids()["nats-server"]))
        soft = int(resource.prlimit(node.pids()["nats-server"], resource.RLIMIT_DATA)[0])
        environment = (server / "environ").read_bytes().split(b"\0")
        return soft, int(next(e for e in environment if e.startswith(b"GOMEMLIMIT=")).split(b"=")[1])

    def test_the_bus_has_a_limit_that_counts_what_streams_keep_in_memory(self):
        with Node() as node:
            hard, garbage = self.limits(node)
            self.assertGreaterEqual(hard, 384 << 20)
            self.assertLessEqual(hard, 2 << 30)
            self.assertLess(garbage, hard)
            node.cli("config", "patch", '{"maculaos":{"nats":{"jetstream":{"enabled":true,"max_memory":"512M"}}}}').ok()
            self.assertEqual(self.limits(node)[0], hard + (512 << 20))

    @unittest.skipIf(SANITIZED, "a sanitizer needs more memory than any limit")
    def test_every_service_has_a_limit_that_its_commands_do_not_inherit(self):
        with Node(config="run_cmd: ['ulimit -d >$MACULA_ROOT/limit']\n", env={"MACULA_RUN_COMMANDS": "1"}) as node:
            for name, pid in node.pids().items():
                if name not in ("nats-server", "supervisor"):
                    self.assertEqual(resource.prlimit(pid, resource.RLIMIT_DATA)[0], 256 << 20, name)
            self.assertTrue(node.until(lambda: node.path("/limit").exists() and node.read("/limit")))
            self.assertEqual(node.read("/limit").strip(), "unlimited")

    def test_a_bus_that_is_filled_ends_and_comes_back(self):
        with Node() as node:
            server = node.pids()["nats-server"]
            used = int(re.search(r"VmData:\s+(\d+)", pathlib.Path(f"/proc/{server}/status").read_text()).group(1)) << 10
            resource.prlimit(server, resource.RLIMIT_DATA, (used + (48 << 20),) * 2)
            clients = []
            try:
                while True:
                    clients.append(RawClient(node.url))
                    clients[-1].socket.sendall(b"".join(b"SUB a.%d.%d.%s %d\r\n" % (len(clients), i, b"x" * 200, i)
                                                        for i in range(9000)))
                    clients[-1].ping()
            except (ConnectionError, OSError):
                pass
            finally:
                for client in clients:
                    client.close()
            node.runner.wait("unit=nats-server state=ready")
            self.assertNotEqual(node.pids()["nats-server"], server)
            self.assertTrue(node.get("hostname"))

    def test_a_server_that_any_client_can_end_is_said(self):
        with tempfile.TemporaryDirectory() as directory:
            server = pathlib.Path(directory, "nats-server")
            real = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
            for version, said in (("2.9.14", True), ("2.9.15", False), ("2.10.3", False)):
                server.write_text(f"#!/bin/sh\n[ \"$1\" != --version ] || exec echo nats-server: v{version}\nexec {real} \"$@\"\n")
                server.chmod(0o755)
                with self.subTest(version), Node(env={"MACULA_NATS_SERVER": str(server)}) as node:
                    lines = "\n".join(node.runner.lines.seen)
                    self.assertEqual("use 2.9.15 or newer" in lines, said, lines)


class Streams(unittest.TestCase):
    def test_whoever_names_another_store_is_told_that_the_streams_stay_behind(self):
        with Node(config="maculaos: {nats: {jetstream: {enabled: true}}}\n") as node:
            change = ["config", "set", "maculaos.nats.jetstream.store_dir", "/var/lib/data/streams"]
            for arguments in ([*change, "--dry-run"], change):
                said = node.cli(*arguments).ok()
                self.assertIn("the streams in /var/lib/maculaos/nats/jetstream stay there", said.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
