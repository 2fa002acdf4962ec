#!/usr/bin/python3
"""A node is never cut off by a change of its own network, and finds a network that worked when the configured one does not."""
import json
import os
import time
import unittest

from net_harness import PATIENCE, NetTest

FIXED = """
maculaos:
  network:
    probe_targets: [192.168.77.1]
    interfaces:
      eth0: {addresses: [192.168.77.10/24], gateway: 192.168.77.1, dns: [192.168.77.1]}
"""
DEAD = json.dumps({"maculaos": {"network": {"interfaces": {"eth0": {
    "addresses": ["10.9.9.2/24"], "gateway": "10.9.9.1", "dns": ["10.9.9.1"]}}}}})
BROKEN_DNS = """
import socket
name, mesh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6)
name.bind(("", 53))
mesh.bind(("::", 8443))
mesh.listen()
print("ready", flush=True)
while True:
    asked, whom = name.recvfrom(512)
    name.sendto(asked[:2] + bytes([0x81, 0x82]) + asked[4:], whom)
"""
LOGIN = """
import socket
s = socket.create_server(("", 22))
print("ready", flush=True)
c, _ = s.accept()
while data := c.recv(64):
    c.sendall(data)
"""
UPLINKS = """
maculaos:
  network:
    interfaces:
      eth0: {addresses: [192.168.77.10/24], gateway: 192.168.77.1}
      eth1:
        addresses: [192.168.88.10/24]
        routes: [{to: default, via: 192.168.88.1, metric: 500}]
"""
QUICK = {"MACULA_NETD_PROVE_MS": "2500", "MACULA_NETD_START_MS": "4000"}


class Change(NetTest):
    def setUp(self):
        super().setUp()
        self.router = self.lan.router(dhcp=True)
        self.node = self.lan.node(FIXED, env=QUICK)
        self.node.wait_net(lambda net: net.gateway() and net.status.get("working"))

    def test_a_change_that_cuts_the_node_off_is_taken_back_and_says_why(self):
        generation = self.node.generation()
        result = self.node.cli("config", "patch", DEAD).exits(9)
        self.assertIn("the IPv4 gateway, the name servers and 192.168.77.1", result.err)
        self.assertEqual(self.node.get("maculaos.network.interfaces.eth0.gateway"), "192.168.77.1")
        self.assertTrue(self.node.space.reaches("192.168.77.1"))
        self.assertNotIn("10.9.9.2/24", self.node.space.addresses("eth0"))
        self.assertIn("no longer reaches", self.node.net().status["last_return"]["reason"])
        self.assertLess(generation, self.node.generation() + 1)

    def refused(self, change):
        """What is said to a change that must not pass, as soon as the one before is over."""
        result = self.node.cli("config", "patch", change)
        self.assertNotEqual(result.code, 0, result.out)
        return "is being applied" not in result.err and result

    def test_a_network_that_is_just_coming_back_is_no_node_without_a_network(self):
        self.node.cli("config", "patch", json.dumps({"maculaos": {"network": {"probe_targets": None, "interfaces": {"eth0": {
            "addresses": None, "gateway": None, "dns": None, "dhcp": True}}}}})).ok()
        self.node.wait_net(lambda net: net.gateway() and net.address("eth0", "dhcp"))
        dead = json.loads(DEAD)
        dead["maculaos"]["network"]["interfaces"]["eth0"]["dhcp"] = False
        dead = json.dumps(dead)
        for more in ((), ("--confirm", "2s")):
            if more:
                with self.node.events("config.reverted", count=1) as events:
                    self.node.cli("config", "patch", dead, *more).ok()
                    events.wait("generation")
            else:
                self.node.cli("config", "patch", dead).exits(9)
            # DHCP has not answered yet: nothing can be reached, but that was so on purpose of nobody.
            result = self.node.until(lambda: self.refused(dead))
            self.assertIn("the IPv4 gateway and the name servers", result.exits(9).err)
            self.node.wait_net(lambda net: net.gateway() and net.address("eth0", "dhcp"))

    def test_name_servers_that_do_not_answer_are_a_loss(self):
        result = self.node.cli("config", "set", "maculaos.network.interfaces.eth0.dns", '["192.168.77.200"]').exits(9)
        self.assertIn("the name servers", result.err)
        self.assertIn("nameserver 192.168.77.1\n", self.node.read("/etc/resolv.conf"))

    def test_a_network_that_names_no_name_server_any_more_is_told_so_at_the_key(self):
        result = self.node.cli("config", "set", "maculaos.network.interfaces.eth0.dns", "--unset").exits(9)
        self.assertIn("maculaos.dns_nameservers: ", result.err)
        self.assertIn("the configuration names no name server", result.err)
        self.assertIn("nameserver 192.168.77.1\n", self.node.read("/etc/resolv.conf"))

    def test_with_confirm_the_person_decides(self):
        result = self.node.cli("config", "patch", DEAD, "--confirm", "3s").ok()
        self.assertIn("cannot be reached", result.out + result.err)
        self.node.wait_net(lambda net: net.gateway() == "192.168.77.1")
        self.assertTrue(self.node.space.reaches("192.168.77.1"))

    def test_an_address_that_another_machine_has_is_refused(self):
        events = self.router.background("ip", "monitor", "address")
        self.addCleanup(events.close)
        result = self.node.cli("config", "set", "maculaos.network.interfaces.eth0.addresses", '["192.168.77.1/24"]')
        self.assertNotEqual(result.code, 0)
        other = self.lan.space("other")
        self.lan.plug(other, "eth0")
        other.ip("addr", "add", "192.168.77.30/24", "dev", "eth0")
        other.ip("link", "set", "eth0", "up")
        self.assertTrue(self.router.reaches("192.168.77.30"))
        result = self.node.cli("config", "set", "maculaos.network.interfaces.eth0.addresses", '["192.168.77.30/24"]').exits(9)
        self.assertIn("192.168.77.30 is in use already", result.err)
        self.assertTrue(self.node.space.reaches("192.168.77.1"))

    def test_a_duplicate_ipv6_address_is_refused(self):
        result = self.node.cli("config", "set", "maculaos.network.interfaces.eth0.addresses",
                               '["192.168.77.10/24", "fd77::1/64"]').exits(9)
        self.assertIn("fd77::1/64 is in use already", result.err)
        self.assertEqual([a for a in self.node.space.addresses("eth0") if a.startswith("fd77")], [])

    def test_a_good_change_passes(self):
        self.node.cli("config", "patch", json.dumps({"maculaos": {"network": {"interfaces": {"eth0": {
            "addresses": None, "gateway": None, "dns": None, "dhcp": True}}}}})).ok()
        self.node.wait_net(lambda net: net.address("eth0", "dhcp"))
        self.assertTrue(self.node.space.reaches("192.168.77.1"))

    def test_a_gateway_that_falls_silent_changes_nothing(self):
        self.router.ip("link", "set", "lan0", "down")
        checks = self.node.cli("net", "diag", "-o", "json").exits(1).json()["checks"]
        failed = [check for check in checks if check["result"] == "failed"]
        self.assertTrue(any("192.168.77.1" in check["name"] + check.get("found", "") for check in failed), checks)
        self.assertTrue(all(check.get("remedy") for check in failed), failed)
        self.assertEqual(self.node.net().address("eth0", "configured"), "192.168.77.10/24")
        self.router.ip("link", "set", "lan0", "up")
        self.assertTrue(self.node.space.reaches("192.168.77.1"))
        self.node.cli("config", "set", "maculaos.network.interfaces.eth0.mtu", "1400").ok()

    def test_a_gateway_that_falls_silent_is_told_of_and_when_it_answers_again(self):
        with self.node.events("net.gateway") as events:
            self.lan.unplug(self.router, "lan0")
            self.node.space.ip("neigh", "flush", "dev", "eth0")  # what the kernel knew would hold for half a minute
            sender = self.node.space.background("ping", "-i", "0.5", "192.168.77.1")  # the node has something to say
            self.addCleanup(sender.close)
            events.wait('"silent".*"eth0".*"192.168.77.1"')
            self.assertIn("eth0: the gateway 192.168.77.1 does not answer", self.node.net().notes())
            self.lan.replug(self.router, "lan0")
            events.wait('"answers".*"192.168.77.1"')
        self.assertNotIn("does not answer", self.node.net().notes())

    def test_diag_tells_a_broken_name_server_from_one_that_is_not_there_and_reaches_bootstraps_of_both_families(self):
        server = self.lan.space("server")
        self.lan.plug(server, "eth0")
        for address in ("192.168.77.53/24", "fd77::53/64"):
            server.ip("addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        server.ip("link", "set", "eth0", "up")
        broken = server.background("python3", "-c", BROKEN_DNS)
        self.addCleanup(broken.close)
        broken.wait("ready")
        self.assertTrue(self.router.reaches("192.168.77.53"))
        self.node.cli("config", "patch", json.dumps({"maculaos": {
            "mesh": {"bootstrap_peers": ["https://[fd77::53]:8443", "https://192.168.77.53:8443", "https://192.168.77.53"]},
            "network": {"interfaces": {"eth0": {"addresses": ["192.168.77.10/24", "fd77::10/64"],
                                                "dns": ["192.168.77.1", "192.168.77.53", "192.168.77.99"]}}}}})).ok()
        checks = {check["name"]: check for check in self.node.cli("net", "diag", "-o", "json").exits(1).json()["checks"]}
        self.assertEqual(checks["name server 192.168.77.1"]["result"], "ok")
        self.assertIn("SERVFAIL", checks["name server 192.168.77.53"]["found"])
        self.assertNotIn("SERVFAIL", checks["name server 192.168.77.99"]["found"])
        for name in ("mesh bootstrap [fd77::53]:8443", "mesh bootstrap 192.168.77.53:8443"):
            self.assertEqual(checks[name]["result"], "ok", checks)
        self.assertEqual(checks["mesh bootstrap 192.168.77.53:443"]["result"], "warning", checks)

    def test_diag_says_whether_the_internet_can_be_reached_and_how_long_each_check_took(self):
        far = self.router.background("python3", "-c", BROKEN_DNS.replace('name.bind(("", 53))', 'name.bind(("", 5300))'))
        self.addCleanup(far.close)
        far.wait("ready")
        portal = "maculaos.first_boot.portal"
        self.node.cli("config", "set", portal, "https://192.168.77.1:8443").ok()
        checks = {check["name"]: check for check in self.node.cli("net", "diag", "-o", "json").ok().json()["checks"]}
        self.assertEqual(checks["Internet 192.168.77.1:8443"]["found"], "reachable")
        self.assertEqual([name for name, check in checks.items() if "milliseconds" not in check], [])
        self.node.cli("config", "set", portal, "https://192.168.77.1:8444").ok()
        checks = {check["name"]: check for check in self.node.cli("net", "diag", "-o", "json").ok().json()["checks"]}
        self.assertEqual(checks["Internet 192.168.77.1:8444"]["result"], "warning")
        self.assertIn(portal, checks["Internet 192.168.77.1:8444"]["remedy"])

    def test_a_gateway_that_is_asked_and_answers_is_not_told_of(self):
        self.node.runner.lines.drain()
        for _ in range(3):
            self.node.cli("net", "diag").ok()
            self.assertNotIn("does not answer", self.node.net().notes())
        self.assertNotIn("topic=net.gateway", "\n".join(self.node.runner.lines.drain()))

    def begin_dead(self):
        """A change to a network that leads nowhere, as soon as it is tried."""
        with self.node.events("net.address") as events:
            change = self.node.space.background("/bin/sh", "-c", "exec \"$0\" \"$@\"",
                                                self.cli_path(), "config", "patch", DEAD, env=self.node.env)
            self.addCleanup(change.close)
            events.wait("10.9.9.2")
        return change

    def expect_before(self):
        """The network before the change, and the configuration that says so."""
        self.node.wait_net(lambda net: net.gateway() == "192.168.77.1")
        self.assertEqual(self.node.get("maculaos.network.interfaces.eth0.gateway"), "192.168.77.1")
        self.assertNotIn("10.9.9.2/24", self.node.space.addresses("eth0"))

    def test_a_confd_that_is_killed_in_the_middle_of_a_change_learns_how_it_ends(self):
        self.begin_dead()
        self.node.kill_service("confd")
        self.node.runner.wait("service=confd.*generation reverted.*no longer reaches")
        self.expect_before()

    def test_a_confd_that_ends_in_the_middle_of_a_change_takes_it_back(self):
        self.begin_dead()
        self.node.cli("services", "restart", "confd").ok()
        self.node.runner.wait("service=confd.*generation reverted")
        self.node.runner.wait("service=confd.*ready")
        self.expect_before()

    def test_a_death_in_the_middle_of_a_change_leaves_the_previous_network(self):
        change = self.begin_dead()
        self.node.kill_netd()
        self.assertNotEqual(change.process.wait(PATIENCE), 0)
        self.node.wait_net(lambda net: net.gateway() == "192.168.77.1")
        self.assertTrue(self.node.space.reaches("192.168.77.1"))

    def cli_path(self):
        from net_harness import BIN
        return str(BIN / "maculaos")


class Login(NetTest):
    """A node without a gateway, and somebody who is logged in from next door."""

    def setUp(self):
        super().setUp()
        self.router = self.lan.router(dhcp=False)
        self.node = self.lan.node("maculaos: {network: {interfaces: {eth0: {addresses: [192.168.77.9/24]}}}}", env=QUICK)
        self.node.wait_net(lambda net: net.address("eth0", "configured"))
        server = self.node.space.background("python3", "-c", LOGIN)
        self.addCleanup(server.close)
        server.wait("ready")
        self.session = self.router.connect("192.168.77.9", 22)
        self.addCleanup(self.session.close)

    def set_addresses(self, *addresses):
        return self.node.cli("config", "set", "maculaos.network.interfaces.eth0.addresses", json.dumps(addresses))

    def test_whoever_is_logged_in_must_be_able_to_come_back(self):
        result = self.set_addresses("10.5.5.5/24").exits(9)
        self.assertIn("192.168.77.1 (logged in over SSH)", result.err)
        self.session.sendall(b"still here?")
        self.assertEqual(self.session.recv(64), b"still here?")
        self.set_addresses("192.168.77.20/24").ok()
        self.assertTrue(self.router.reaches("192.168.77.20"))

    def test_nobody_takes_down_the_interface_that_he_is_logged_in_by_without_force(self):
        self.assertIn("192.168.77.1 is logged in over SSH by eth0", self.node.cli("net", "down", "eth0").exits(5).err)
        self.session.sendall(b"still here?")
        self.assertEqual(self.session.recv(64), b"still here?")
        self.node.cli("net", "down", "eth0", "--force").ok()


class Uplinks(NetTest):
    """Two ways out: none of them may be broken for the other one."""

    def setUp(self):
        super().setUp()
        self.lan.switch.ip("link", "add", "sw1", "type", "bridge", "forward_delay", "0")
        self.lan.switch.ip("link", "set", "sw1", "up")
        self.lan.router(dhcp=True)
        self.lan.router("other", network="192.168.88", bridge="sw1", dhcp=True)
        self.node = self.lan.node(UPLINKS, env=QUICK, start=False)
        self.lan.plug(self.node.space, "eth1", "sw1")
        self.node.start()
        self.node.wait_net(lambda net: net.gateway("eth0") and net.gateway("eth1") and net.status.get("working"))

    def set(self, key, value):
        return self.node.cli("config", "set", f"maculaos.network.interfaces.{key}", json.dumps(value))

    def test_each_gateway_that_answered_has_to_answer_again_unless_it_is_not_wished_any_more(self):
        self.assertIn("the IPv4 gateway of eth0,", self.set("eth0.gateway", "192.168.77.254").exits(9).err)
        self.assertIn("the IPv4 gateway of eth1,",
                      self.set("eth1.routes", [{"to": "default", "via": "192.168.88.254", "metric": 500}]).exits(9).err)
        self.set("eth1.routes", []).ok()
        self.assertEqual(self.node.net().gateway(), "192.168.77.1")

    def test_a_new_gateway_that_comes_first_has_to_answer(self):
        self.set("eth1.routes", []).ok()
        result = self.set("eth1.routes", [{"to": "default", "via": "192.168.88.254", "metric": 1}]).exits(9)
        self.assertIn("the IPv4 gateway that comes first", result.err)
        self.set("eth1.routes", [{"to": "default", "via": "192.168.88.1", "metric": 1}]).ok()

    def test_each_name_server_that_answered_has_to_answer_again(self):
        self.set("eth0.dns", ["192.168.77.1", "192.168.88.1"]).ok()
        result = self.node.cli("config", "patch", json.dumps({"maculaos": {"network": {"interfaces": {"eth1": {
            "addresses": ["10.9.9.2/24"], "routes": []}}}}})).exits(9)
        self.assertIn("reaches the name server 192.168.88.1,", result.err)
        self.set("eth0.dns", ["192.168.77.1"]).ok()


class Start(NetTest):
    def test_a_start_whose_network_leads_nowhere_uses_one_that_worked(self):
        self.lan.router(dhcp=True)
        node = self.lan.node(FIXED, env=QUICK)
        node.wait_net(lambda net: net.status.get("working"))
        node.stop()
        node.write("/var/lib/maculaos/config.yaml", FIXED.replace("192.168.77", "10.9.9"))
        node.start()
        net = node.wait_net(lambda net: net.gateway() == "192.168.77.1" and net)
        self.assertTrue(net.status["working"][0]["in_use"])
        self.assertIn("no gateway that answers", net.notes())
        self.assertTrue(node.space.reaches("192.168.77.1"))
        # What is configured stays what it is, and a mended one takes over.
        self.assertEqual(node.get("maculaos.network.interfaces.eth0.gateway"), "10.9.9.1")
        node.cli("config", "set", "maculaos.network.interfaces.eth0",
                 '{"addresses": ["192.168.77.11/24"], "gateway": "192.168.77.1", "dns": ["192.168.77.1"]}').ok()
        node.wait_net(lambda net: net.address("eth0", "configured") == "192.168.77.11/24" and not net.notes())

    def test_a_change_before_the_network_is_found_does_not_end_the_search_for_one_that_worked(self):
        router = self.lan.router(dhcp=True)
        node = self.lan.node(FIXED, env={**QUICK, "MACULA_NETD_START_MS": "12000"})
        node.wait_net(lambda net: net.status.get("working"))
        node.stop()
        router.ip("link", "set", "lan0", "down")
        node.start()
        node.cli("config", "patch", DEAD).ok()  # nothing answers, so there is nothing to lose
        router.ip("link", "set", "lan0", "up")
        net = node.wait_net(lambda net: net.gateway() == "192.168.77.1" and net, PATIENCE + 30)
        self.assertTrue(net.status["working"][0]["in_use"])
        self.assertTrue(node.space.reaches("192.168.77.1"))

    def test_without_a_cable_nothing_is_tried(self):
        self.lan.router(dhcp=True)
        node = self.lan.node(FIXED, env=QUICK)
        node.wait_net(lambda net: net.status.get("working"))
        node.stop()
        node.write("/var/lib/maculaos/config.yaml", FIXED.replace("10/24", "12/24"))
        self.lan.unplug(node.space, "eth0")
        node.start()
        node.runner.wait("network judged.*state=works")
        self.assertNotIn("no gateway that answers", node.net().notes())
        self.lan.replug(node.space, "eth0")
        node.wait_net(lambda net: len(net.status["working"]) == 2)


if __name__ == "__main__":
    unittest.main()
