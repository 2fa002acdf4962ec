#!/usr/bin/python3
"""The firewall: what comes in and what does not, over IPv4 and IPv6, from each side; and who must not be locked out."""
import http.client
import json
import os
import pathlib
import re
import shutil
import tempfile
import threading
import unittest

from net_harness import PATIENCE, NetTest
from setup_page import Page

NODE = """
maculaos:
  network:
    interfaces:
      eth0: {addresses: [192.168.77.10/24, "fd77::10/64"], gateway: 192.168.77.1}
      eth1: {addresses: [192.168.78.10/24, "fd78::10/64"]}
"""
LISTEN = """
import socket, sys
for port in map(int, sys.argv[1:]):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::", port))
    s.listen(50)
    globals()[f"s{port}"] = s
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u.bind(("::", port))
    globals()[f"u{port}"] = u
print("listening", flush=True)
import signal; signal.pause()
"""
CONNECT = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(float(sys.argv[3]))
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print("open", flush=True)
except ConnectionRefusedError:
    print("refused")
except OSError:
    print("silent")
if len(sys.argv) > 4:
    import signal; signal.pause()
"""
ECHO = """
import socket
s = socket.create_server(("", 2222))
print("listening", flush=True)
c, _ = s.accept()
while data := c.recv(64):
    c.sendall(data)
"""
PORTS = [22, 80, 4223, 8080]
PATIENCE_OF_A_DROP = "1.5"


class DistantConnection(http.client.HTTPConnection):
    def __init__(self, space, host):
        super().__init__(host)
        self.space = space

    def connect(self):
        self.sock = self.space.connect(self.host, self.port)


class DistantPage(Page):
    """A browser on another machine."""

    def __init__(self, space, node, host):
        self.node, self.space, self.host, self.cookie, self.last = node, space, host, None, None

    def connect(self):
        return DistantConnection(self.space, self.host)


class Firewall(NetTest):
    def setUp(self):
        super().setUp()
        self.lan.switch.ip("link", "add", "sw1", "type", "bridge", "forward_delay", "0")
        self.lan.switch.ip("link", "set", "sw1", "up")
        self.near = self.host("near", "sw0", "192.168.77.1/24", "fd77::1/64")
        self.far = self.host("far", "sw1", "192.168.78.1/24", "fd78::1/64")
        self.node = self.lan.node(NODE, interfaces=("eth0",), start=False)
        self.lan.plug(self.node.space, "eth1", "sw1")
        self.node.start()
        self.addCleanup(self.node.stop)
        self.node.wait_net(lambda net: net.gateway() and net.address("eth1", "configured", "fd78")
                           and net.status["firewall"]["state"] == "loaded")
        listener = self.node.space.background("python3", "-c", LISTEN, *[p for p in PORTS if p != 4223])
        self.addCleanup(listener.close)
        listener.wait("listening")
        for host, addresses in ((self.near, ("192.168.77.10", "fd77::10")), (self.far, ("192.168.78.10", "fd78::10"))):
            for address in addresses:
                self.assertTrue(host.reaches(address))

    def host(self, name, bridge, *addresses):
        space = self.lan.space(name)
        self.lan.plug(space, "eth0", bridge)
        for address in addresses:
            space.ip("addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        space.ip("link", "set", "eth0", "up")
        return space

    def state(self, host, address, port):
        return host.exec("python3", "-c", CONNECT, address, port, PATIENCE_OF_A_DROP).stdout.strip()

    def matrix(self):
        """(side, family, port) that can be reached; asked all at once."""
        sides = {"near": (self.near, "192.168.77.10", "fd77::10"), "far": (self.far, "192.168.78.10", "fd78::10")}
        found, threads = {}, []
        for side, (host, four, six) in sides.items():
            for family, address in ((4, four), (6, six)):
                for port in PORTS:
                    def ask(key=(side, family, port), arguments=(host, address, port)):
                        found[key] = self.state(*arguments)
                    threads.append(threading.Thread(target=ask))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {key for key, state in found.items() if state != "silent"}

    def expected(self, near, far=None):
        return {(side, family, port) for side, ports in (("near", near), ("far", near if far is None else far))
                for family in (4, 6) for port in ports}

    def counter(self, name):
        for counter in self.node.net().status["firewall"]["counters"]:
            if counter["name"] == name:
                return counter["packets"]
        return None

    def set(self, firewall, *more):
        return self.node.cli("config", "set", "maculaos.security.firewall", json.dumps(firewall), *more)

    def test_each_port_from_each_side(self):
        self.assertEqual(self.matrix(), self.expected({22, 80}))
        self.assertGreater(self.counter("refused"), 0)
        self.assertGreater(self.counter("ssh"), 0)
        # The set-up page is over, the bus listens to the world.
        self.node.write("/var/lib/maculaos/.configured", "")
        self.set({"rules": [{"name": "web", "protocol": "tcp", "ports": ["8000-8100", "8080"], "interface": "eth1"},
                            {"action": "drop", "sources": ["192.168.78.0/24", "192.168.78.1/32"]}]}).ok()
        self.assertEqual(self.matrix(), {("near", 4, 22), ("near", 6, 22), ("far", 4, 8080), ("far", 6, 22), ("far", 6, 8080)})
        self.assertGreater(self.counter("rule web"), 0)
        self.node.cli("config", "patch", json.dumps({"maculaos": {
            "security": {"require_credentials": True, "firewall": {"rules": []}}, "nats": {"listen": "0.0.0.0:4223"}}})).ok()
        self.node.wait_net(lambda net: any(c["name"] == "nats" for c in net.status.get("firewall", {}).get("counters", [])))
        self.assertEqual(self.matrix() - {("near", 6, 4223), ("far", 6, 4223)}, self.expected({22}) | {("near", 4, 4223), ("far", 4, 4223)})

    def test_ports_of_k3s_are_open_where_it_is_asked_for_and_as_long_as_it_is_on(self):
        def is_open(net):
            return any(c["name"] == "kubelet" for c in net.status.get("firewall", {}).get("counters", []))

        self.node.write("/usr/bin/k3s", "")
        self.set({"allow_mesh": False}).ok()  # looked at anew
        self.assertFalse(is_open(self.node.net()))
        for on in (True, False):
            self.node.cli("config", "set", "maculaos.k3s.enabled", json.dumps(on)).ok()
            self.node.wait_net(lambda net, on=on: is_open(net) == on)

    def test_accept_and_off(self):
        self.set({"default_policy": "accept", "rules": [{"action": "reject", "protocol": "tcp", "ports": ["8080"]}]}).ok()
        self.assertEqual(self.state(self.near, "fd77::10", 8080), "refused")
        self.assertEqual(self.state(self.far, "192.168.78.10", 80), "open")
        self.set({"enabled": False, "rules": None}).ok()
        self.assertEqual(self.node.net().status["firewall"]["state"], "off")
        self.assertEqual(self.state(self.near, "192.168.77.10", 80), "open")

    def test_who_is_logged_in_is_not_locked_out_without_a_confirmation(self):
        session = self.near.background("python3", "-c", CONNECT, "192.168.77.10", "22", "5", "stay")
        self.addCleanup(session.close)
        session.wait("open")
        result = self.set({"allow_ssh": False}).exits(5)
        self.assertIn("192.168.77.1 is logged in over SSH", result.err)
        self.assertEqual(self.state(self.near, "192.168.77.10", 22), "open")
        self.set({"allow_ssh": False, "rules": [{"protocol": "tcp", "ports": ["22"], "sources": ["192.168.77.0/24"]}]}).ok()
        self.assertEqual(self.state(self.far, "192.168.78.10", 22), "silent")
        self.set({"allow_ssh": False, "rules": []}, "--confirm", "3s").ok()
        self.assertEqual(self.state(self.far, "192.168.78.10", 22), "silent")

    def test_rules_that_contradict_themselves_are_refused(self):
        for rule, words in (({"ports": ["80"]}, "ports need protocol"),
                            ({"protocol": "tcp", "ports": ["90-80"]}, "ports"),
                            ({"sources": ["10.0.0.0/8"], "destinations": ["fd00::/8"]}, "no packet can fit"),
                            ({"interface": "e\"; accept"}, "interface")):
            result = self.set({"rules": [rule]}).exits(5)
            self.assertIn(words, result.err)
        self.assertEqual(self.state(self.near, "192.168.77.10", 8080), "silent")

    def test_a_change_that_blocks_the_way_out_is_taken_back(self):
        self.node.cli("config", "set", "maculaos.network.probe_targets", '["192.168.77.1"]').ok()
        result = self.set({"rules": [{"direction": "output", "action": "drop", "protocol": "icmp"}]}).exits(9)
        self.assertIn("192.168.77.1", result.err)
        self.assertTrue(self.node.space.reaches("192.168.77.1"))

    def test_rules_for_what_goes_out_leave_the_bus_and_whoever_is_logged_in_alone(self):
        elsewhere = self.near.background("python3", "-c", LISTEN, "9000")
        self.addCleanup(elsewhere.close)
        elsewhere.wait("listening")
        echo = self.node.space.background("python3", "-c", ECHO)
        self.addCleanup(echo.close)
        echo.wait("listening")
        self.set({"rules": [{"protocol": "tcp", "ports": ["2222"]}]}).ok()
        guest = self.near.connect("192.168.77.10", 2222)
        self.addCleanup(guest.close)
        for rule in ({"protocol": "tcp"}, {"destinations": ["192.168.77.0/24"]}, {}):
            rules = [{"protocol": "tcp", "ports": ["2222"]}, {"direction": "output", "action": "drop", **rule}]
            with self.subTest(rule):
                self.set({"rules": rules}).ok()
                self.assertEqual(self.state(self.node.space, "192.168.77.1", 9000), "silent")
                guest.sendall(b"still here?")
                self.assertEqual(guest.recv(64), b"still here?")
                self.assertEqual(self.state(self.near, "192.168.77.10", 22), "open")
                for host in (self.near, self.node.space):
                    host.ip("-6", "neigh", "flush", "dev", "eth0")
                self.assertEqual(self.state(self.near, "fd77::10", 22), "open")
        self.set({"rules": []}).ok()
        self.assertEqual(self.state(self.node.space, "192.168.77.1", 9000), "open")

    def test_a_rule_can_forbid_to_ping_but_not_what_ip_needs(self):
        self.set({"rules": [{"action": "drop", "protocol": "icmp", "sources": ["192.168.77.0/24"]},
                            {"action": "drop", "protocol": "icmpv6"}]}).ok()
        for space in (self.near, self.far):
            space.ip("-6", "neigh", "flush", "dev", "eth0")
        for host, address, answers in ((self.near, "192.168.77.10", False), (self.far, "192.168.78.10", True),
                                       (self.near, "fd77::10", False), (self.far, "fd78::10", False)):
            self.assertEqual(host.reaches(address, PATIENCE if answers else 0.1), answers, address)
        self.assertEqual(self.matrix(), self.expected({22, 80}))
        self.assertGreater(self.counter("rule 0"), 0)
        self.set({"rules": []}).ok()
        self.assertTrue(self.near.reaches("192.168.77.10"))
        self.assertTrue(self.near.reaches("fd77::10"))

    def test_the_port_of_the_set_up_closes_with_it_without_a_restart(self):
        node = self.lan.node(NODE, interfaces=("eth0",), services=("confd", "netd", "firstboot"),
                             env={"MACULA_FIRSTBOOT_LINGER_MS": "3000"})
        self.addCleanup(node.stop)
        node.wait_net(lambda net: any(c["name"] == "setup" for c in net.status["firewall"].get("counters", [])))
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjkxFNOtbnvj4WVzUCrF me"
        node.cli("setup", "--answers", "-", "--finish", "--no-reboot", stdin=f"hostname=edge-7\nssh_keys={key}\n").ok()
        node.wait_net(lambda net: net.status["firewall"]["state"] == "loaded"
                      and not any(c["name"] == "setup" for c in net.status["firewall"]["counters"]))

    def test_the_page_of_the_set_up_is_let_in_where_it_is(self):
        config = NODE.replace(".10/", ".20/").replace("::10/", "::20/")
        node = self.lan.node(config, services=("confd", "netd", "firstboot"), env={"MACULA_FIRSTBOOT_OUTSIDE": "1"})
        self.addCleanup(node.stop)
        node.wait_net(lambda net: net.address("eth0", "configured", "192.168.77.20"))
        self.assertTrue(self.near.reaches("192.168.77.20"))
        port = node.until(lambda: re.search(r"//192.168.77.20:(\d+)", node.read("/run/macula/firstboot/console"))).group(1)
        self.assertTrue(node.until(lambda: self.state(self.near, "192.168.77.20", port) == "open"))
        self.assertEqual(self.state(self.near, "192.168.77.20", 80), "silent")

    def test_who_sets_the_node_up_over_the_network_sees_the_end_and_then_the_port_closes(self):
        config = NODE.replace(".10/", ".20/").replace("::10/", "::20/")
        node = self.lan.node(config, services=("confd", "netd", "firstboot"), env={"MACULA_FIRSTBOOT_OUTSIDE": "1"})
        self.addCleanup(node.stop)
        node.wait_net(lambda net: net.address("eth0", "configured", "192.168.77.20"))
        self.assertTrue(self.near.reaches("192.168.77.20"))
        host = node.until(lambda: re.search(r"//(192.168.77.20:\d+)", node.read("/run/macula/firstboot/console"))).group(1)
        self.assertTrue(node.until(lambda: self.state(self.near, *host.split(":")) == "open"))
        page = DistantPage(self.near, node, host)
        page.get("/")
        page.enter()
        page.answer_all()
        page.finish()
        node.runner.wait_once('msg="the node is configured"')
        node.cli("config", "set", "maculaos.security.firewall.rules", '[{"protocol": "tcp", "ports": ["9999"]}]').ok()  # loads it
        self.assertIn("The node is configured", page.get("/finish").text)
        node.kill_service("firstboot")
        self.assertTrue(node.until(lambda: self.state(self.near, *host.split(":")) == "silent"))

    def test_what_cannot_be_loaded_is_tried_again(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder, "broken")
            broken.write_text("")
            stub = pathlib.Path(folder, "nft")
            stub.write_text(f'#!/bin/sh\n[ ! -e {broken} ] || {{ echo "no memory" >&2; exit 1; }}\nexec {shutil.which("nft")} "$@"\n')
            stub.chmod(0o755)
            node = self.lan.node(NODE, interfaces=("eth0",), env={"PATH": f"{folder}:{os.environ['PATH']}"})
            self.addCleanup(node.stop)
            node.wait_net(lambda net: "no memory" in net.status["firewall"].get("problem", ""))
            broken.unlink()
            node.wait_net(lambda net: net.status["firewall"]["state"] == "loaded")
            broken.write_text("")
            node.space.exec("nft", "flush", "ruleset")
            node.wait_net(lambda net: "no memory" in net.status["firewall"].get("problem", ""))
            broken.unlink()
            node.wait_net(lambda net: net.status["firewall"]["state"] == "loaded")
            self.assertIn("table inet macula", node.space.exec("nft", "list", "tables").stdout)

    def test_what_somebody_flushes_comes_back(self):
        def is_whole():
            return "service_ssh" in self.node.space.exec("nft", "list", "chain", "inet", "macula", "input", check=False).stdout

        for command in ("flush ruleset", "delete table inet macula", "flush table inet macula", "flush chain inet macula input"):
            with self.subTest(command):  # nobody asks netd anything
                self.node.space.exec("nft", *command.split())
                self.assertTrue(self.node.until(is_whole))
                self.assertEqual(self.state(self.near, "192.168.77.10", 8080), "silent")
                self.assertEqual(self.state(self.near, "192.168.77.10", 22), "open")


if __name__ == "__main__":
    unittest.main()
