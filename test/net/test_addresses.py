#!/usr/bin/python3
"""Addresses: by DHCP, fixed, on bridges and VLANs; what others made; cables, names and servers that come and go."""
import json
import os
import re
import unittest

from net_harness import NetTest, kernel_has

FIXED = """
maculaos:
  network:
    interfaces:
      eth0: {addresses: [192.168.77.10/24, "fd77::10/64"], gateway: 192.168.77.1, dns: [192.168.77.1]}
"""


class Dhcp(NetTest):
    def test_a_node_gets_address_gateway_and_name_server_by_itself(self):
        self.lan.router(dhcp=True)
        node = self.lan.node()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        self.assertRegex(address, r"^192\.168\.77\.\d+/24$")
        self.assertEqual(node.net().gateway(), "192.168.77.1")
        self.assertIn("nameserver 192.168.77.1", node.read("/etc/resolv.conf"))
        self.assertTrue(node.space.reaches("192.168.77.1"))

    def test_three_nodes_have_addresses_of_their_own(self):
        self.lan.router(dhcp=True)
        nodes = [self.lan.node() for _ in range(3)]
        addresses = {node.wait_net(lambda net: net.address("eth0", "dhcp")) for node in nodes}
        self.assertEqual(len(addresses), 3)
        other = nodes[2].net().address("eth0", "dhcp").split("/")[0]
        self.assertTrue(nodes[0].space.reaches(other))

    def test_a_restart_of_netd_keeps_the_address(self):
        self.lan.router(dhcp=True)
        node = self.lan.node()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        watcher = node.space.background("ip", "monitor", "address")
        self.addCleanup(watcher.close)
        node.kill_netd()
        node.wait_net(lambda net: net.status.get("dhcp_clients") and net.address("eth0", "dhcp") == address)
        self.assertEqual([line for line in watcher.lines.drain() if line.startswith("Deleted") and "inet " in line], [])

    def test_the_server_vanishes_and_the_address_holds_for_its_time(self):
        router = self.lan.router(dhcp=True)
        node = self.lan.node()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        router.server.stop()
        node.cli("net", "renew", "eth0").exits(8)
        self.assertEqual(node.net().address("eth0", "dhcp"), address)
        self.assertTrue(node.space.reaches("192.168.77.1"))

    def test_two_interfaces_in_one_network_keep_their_addresses_when_they_are_asked_for_again(self):
        self.lan.router(dhcp=True)
        node = self.lan.node(interfaces=("eth0", "eth1"))
        both = node.wait_net(lambda net: net.address("eth0", "dhcp") and net.address("eth1", "dhcp") and net)
        node.cli("net", "renew").ok()
        for name in ("eth0", "eth1"):
            self.assertEqual(node.net().address(name, "dhcp"), both.address(name, "dhcp"))

    def test_a_cable_that_comes_back_into_another_network_gets_another_address(self):
        self.lan.router(dhcp=True)
        node = self.lan.node()
        node.wait_net(lambda net: net.address("eth0", "dhcp"))
        self.lan.switch.ip("link", "add", "sw1", "type", "bridge", "forward_delay", "0")
        self.lan.switch.ip("link", "set", "sw1", "up")
        self.lan.router(name="other", network="192.168.88", dhcp=True, bridge="sw1")
        events = node.events("net.link")
        self.lan.unplug(node.space, "eth0")
        events.wait("no_carrier")
        self.lan.switch.ip("link", "set", self.lan.cables[node.space.name, "eth0"], "master", "sw1")
        self.lan.replug(node.space, "eth0")
        events.wait('"carrier"')
        events.close()
        node.wait_net(lambda net: net.address("eth0", "dhcp", "192.168.88."))
        self.assertEqual(node.net().gateway(), "192.168.88.1")
        self.assertIsNone(node.net().address("eth0", begins="192.168.77."))

    def test_options_of_a_hostile_server_are_left_out(self):
        self.lan.router(dhcp=True, options=["--dhcp-option=option:domain-name,x; reboot",
                                            "--dhcp-option=option:dns-server,127.0.0.1,192.168.77.1",
                                            "--dhcp-option=option:mtu,68",
                                            "--dhcp-option=119,good.example"])
        node = self.lan.node()
        node.wait_net(lambda net: net.address("eth0", "dhcp"))
        text = node.read("/etc/resolv.conf")
        self.assertNotIn("reboot", text)
        self.assertNotIn("127.0.0.1", text)
        self.assertIn("nameserver 192.168.77.1", text)
        self.assertEqual(node.net().link("eth0")["mtu"], 1500)

    def test_a_server_takes_no_ipv6_away_by_its_mtu(self):
        self.lan.router(dhcp=True, options=["--dhcp-option=option:mtu,576"])
        node = self.lan.node()
        net = node.wait_net(lambda net: net.address("eth0", "dhcp") and net.address("eth0", begins="fe80") and net)
        self.assertEqual(net.link("eth0")["mtu"], 1500)
        self.assertIn("asks for an MTU of 576, with which there is no IPv6", net.notes())


class Fixed(NetTest):
    def test_fixed_addresses_of_both_families(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        node.wait_net(lambda net: net.address("eth0", "configured", "fd77"))
        self.assertEqual(sorted(a for a in node.space.addresses("eth0") if not a.startswith("fe80")),
                         ["192.168.77.10/24", "fd77::10/64"])
        self.assertTrue(node.space.reaches("192.168.77.1"))
        self.assertTrue(node.space.reaches("fd77::1"))

    def test_nobody_sends_the_node_elsewhere_and_it_sends_nobody(self):
        def redirects(interface):
            keys = [f"/proc/sys/net/{key}" for key in (f"ipv4/conf/{interface}/accept_redirects", f"ipv4/conf/{interface}/send_redirects",
                                                       f"ipv6/conf/{interface}/accept_redirects")]
            return node.space.exec("cat", *keys).stdout.split()

        node = self.lan.node(FIXED, interfaces=("eth0", "eth1"), start=False)
        self.assertEqual(redirects("eth0"), ["1"] * 3)  # as the kernel makes them
        node.start()
        node.wait_net(lambda net: net.address("eth0", "configured", "fd77"))
        self.assertEqual([redirects("eth0"), redirects("eth1")], [["0"] * 3] * 2)
        self.lan.plug(node.space, "eth2")
        self.assertTrue(node.until(lambda: redirects("eth2") == ["0"] * 3))

    def test_a_change_takes_the_old_address_away_and_no_other(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        node.space.ip("addr", "add", "10.99.0.1/24", "dev", "eth0")  # somebody else's
        node.cli("config", "set", "maculaos.network.interfaces.eth0.addresses", '["192.168.77.11/24"]').ok()
        found = node.space.addresses("eth0")
        self.assertIn("192.168.77.11/24", found)
        self.assertIn("10.99.0.1/24", found)
        self.assertNotIn("192.168.77.10/24", found)

    def test_what_somebody_removes_comes_back(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        node.wait_net(lambda net: net.gateway())
        node.space.ip("addr", "del", "192.168.77.10/24", "dev", "eth0")
        node.wait_net(lambda net: net.address("eth0", "configured", "192.168.77.10") and net.gateway())

    def test_routes_mtu_and_hardware_address(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        node.cli("config", "set", "maculaos.network.interfaces.eth0", json.dumps({
            "addresses": ["192.168.77.10/24"], "mtu": 1400, "mac": "52:54:00:aa:bb:cc",
            "routes": [{"to": "10.20.0.0/16", "via": "192.168.77.1", "metric": 7}]})).ok()
        link = node.net().link("eth0")
        self.assertEqual((link["mtu"], link["mac"]), (1400, "52:54:00:aa:bb:cc"))
        self.assertIn("10.20.0.0/16 via 192.168.77.1 dev eth0 proto 77 metric 7", node.space.ip("route").stdout)

    def test_mtu_and_hardware_address_come_back_when_nobody_asks_for_others(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        node.wait_net(lambda net: net.gateway())
        before = node.net().link("eth0")
        for restart in (False, True):
            node.cli("config", "patch", json.dumps({"maculaos": {"network": {"interfaces": {"eth0": {
                "mtu": 1400, "mac": "52:54:00:aa:bb:cc"}}}}})).ok()
            if restart:
                node.kill_netd()
            node.wait_net(lambda net: (net.link("eth0") or {}).get("mtu") == 1400 and net.link("eth0")["mac"] == "52:54:00:aa:bb:cc")
            node.cli("config", "patch", json.dumps({"maculaos": {"network": {"interfaces": {"eth0": {"mtu": None, "mac": None}}}}})).ok()
            node.wait_net(lambda net: all(net.link("eth0")[key] == before[key] for key in ("mtu", "mac")))
            self.assertTrue(node.space.reaches("192.168.77.1"))
        self.assertEqual(node.read("/run/macula/net/origins"), "")
        node.space.ip("link", "set", "eth0", "mtu", "1450")  # somebody's own
        node.cli("config", "set", "hostname", "other").ok()
        self.assertEqual(node.net().link("eth0")["mtu"], 1450)

    def test_an_interface_that_is_renamed_keeps_its_address(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        node.wait_net(lambda net: net.gateway())
        node.space.ip("link", "set", "eth0", "down")
        node.space.ip("link", "set", "eth0", "name", "uplink")
        node.wait_net(lambda net: net.address("uplink", "configured", "192.168.77.10") and net.gateway("uplink"))
        self.assertEqual(node.net().link("uplink")["configured_as"], "eth0")
        self.assertIn("uplink has another name in the configuration: eth0", node.cli("net", "status").ok().out)

    def test_down_holds_until_up_and_the_only_way_is_refused(self):
        self.lan.router()
        node = self.lan.node(FIXED, interfaces=("eth0", "eth1"))
        node.wait_net(lambda net: net.gateway())
        self.assertIn("only way", node.cli("net", "down", "eth0").exits(5).err)
        node.cli("net", "down", "eth1").ok()
        self.assertFalse(node.net().link("eth1")["up"])
        self.assertIn("Let it up: maculaos net up eth1", node.cli("net", "diag").out)
        node.cli("net", "up", "eth1").ok()
        self.assertTrue(node.net().link("eth1")["up"])
        node.cli("net", "up", "eth1").exits(3)


    def test_an_interface_without_a_cable_is_no_other_way(self):
        self.lan.router(dhcp=True)
        node = self.lan.node(interfaces=("eth0", "eth1"))
        node.wait_net(lambda net: net.gateway("eth0") and net.gateway("eth1"))
        self.lan.unplug(node.space, "eth0")
        node.wait_net(lambda net: not net.link("eth0").get("carrier"))
        status = node.cli("net", "status").ok().out
        self.assertIn("gateway via 192.168.77.1 on eth0, without a cable\n", status)
        self.assertIn("gateway via 192.168.77.1 on eth1\n", status)
        self.assertIn("only way", node.cli("net", "down", "eth1").exits(5).err)
        node.cli("net", "down", "eth0").ok()


class Made(NetTest):
    def test_a_bridge_is_made_of_two_ports_and_unmade(self):
        self.lan.router()
        node = self.lan.node("maculaos: {network: {dhcp: false}}\n", interfaces=("eth0", "eth1"))
        node.cli("config", "set", "maculaos.network.interfaces", json.dumps({
            "br0": {"bridge": {"interfaces": ["eth0", "eth1"], "stp": True}, "addresses": ["192.168.77.20/24"],
                    "gateway": "192.168.77.1"}})).ok()
        net = node.net()
        self.assertEqual([net.link(name)["master"] for name in ("eth0", "eth1")], ["br0", "br0"])
        self.assertTrue(net.link("br0")["made"])
        node.cli("config", "patch", json.dumps({"maculaos": {"network": {"interfaces": {
            "br0": None, "eth0": {"addresses": ["192.168.77.20/24"], "gateway": "192.168.77.1"}}}}})).ok()
        self.assertIsNone(node.net().link("br0"))
        self.assertTrue(node.space.reaches("192.168.77.1"))

    def test_links_of_others_stay(self):
        node = self.lan.node()
        node.space.ip("link", "add", "cni0", "type", "bridge")
        node.space.ip("addr", "add", "10.42.0.1/24", "dev", "cni0")
        node.space.ip("link", "add", "vethpod", "type", "veth", "peer", "name", "vethend")
        node.space.ip("route", "add", "10.43.0.0/16", "dev", "cni0", check=False)
        node.cli("config", "set", "maculaos.network.interfaces.eth0.dhcp", "false").ok()
        net = node.wait_net(lambda net: net if net.link("cni0") else None)
        self.assertFalse(net.link("cni0").get("managed"))
        self.assertFalse(net.link("vethpod").get("managed"))
        self.assertIn("10.42.0.1/24", node.space.addresses("cni0"))

    def test_a_vlan_carries_its_own_network(self):
        if not kernel_has("vlan", "id", "5"):
            self.skipTest("this kernel has no VLANs (8021q)")
        router = self.lan.router()
        router.ip("link", "add", "link", "lan0", "name", "lan0.42", "type", "vlan", "id", "42")
        router.ip("addr", "add", "10.42.42.1/24", "dev", "lan0.42")
        router.ip("link", "set", "lan0.42", "up")
        node = self.lan.node()
        node.cli("config", "set", "maculaos.network.interfaces.plant", json.dumps({
            "vlan": {"parent": "eth0", "id": 42}, "addresses": ["10.42.42.2/24"]})).ok()
        self.assertTrue(node.space.reaches("10.42.42.1"))

    def test_a_bond_of_two_members(self):
        if not kernel_has("bond"):
            self.skipTest("this kernel has no bonds (bonding)")
        self.lan.router()
        node = self.lan.node("maculaos: {network: {dhcp: false}}\n", interfaces=("eth0", "eth1"))
        node.cli("config", "set", "maculaos.network.interfaces", json.dumps({
            "bond0": {"bond": {"interfaces": ["eth0", "eth1"]}, "addresses": ["192.168.77.20/24"]}})).ok()
        self.assertTrue(node.space.reaches("192.168.77.1"))
        self.lan.unplug(node.space, "eth0")
        self.assertTrue(node.space.reaches("192.168.77.1"))


class Refused(NetTest):
    def test_contradictions_are_refused_before_anything_is_touched(self):
        self.lan.router()
        node = self.lan.node(FIXED)
        generation = node.generation()
        result = node.cli("config", "set", "maculaos.network.interfaces.eth0.gateway", "10.1.2.3").exits(5)
        self.assertIn("cannot be reached", result.err)
        self.assertEqual(node.generation(), generation)
        self.assertTrue(node.space.reaches("192.168.77.1"))

    def test_addresses_that_no_machine_can_have_are_refused(self):
        node = self.lan.node("maculaos: {network: {interfaces: {eth0: {addresses: [192.168.77.2/24]}}}}")
        for interface, why in (({"addresses": ["192.168.77.255/24"]}, "192.168.77.255/24 is the broadcast address"),
                               ({"addresses": ["10.1.3.255/22"]}, "10.1.3.255/22 is the broadcast address"),
                               ({"addresses": ["192.168.77.0/24"]}, "is the network itself"),
                               ({"addresses": ["0.0.0.0/0"]}, "a prefix length of 0"),
                               ({"addresses": ["fd77::2/64"], "mtu": 1000}, "IPv6 needs an MTU of at least 1280")):
            refused = node.cli("config", "set", "maculaos.network.interfaces.eth0", json.dumps(interface)).exits(5)
            self.assertIn(why, refused.err)
        for good in ("192.168.77.255/31", "192.168.77.255/32", "10.1.2.255/22"):
            node.cli("config", "set", "maculaos.network.interfaces.eth0", json.dumps({"addresses": [good]}), "--dry-run").ok()


    def test_name_servers_that_are_no_machines_address_are_refused(self):
        node = self.lan.node("maculaos: {network: {interfaces: {eth0: {addresses: [192.168.77.2/24]}}}}")
        for key in ("maculaos.dns_nameservers", "maculaos.network.interfaces.eth0.dns"):
            for bad in ("0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"):
                refused = node.cli("config", "set", key, json.dumps(["192.168.77.1", bad])).exits(5)
                self.assertIn(f"{key}: {bad} is no address that one machine can have", refused.err)
            node.cli("config", "set", key, '["192.168.77.1", "127.0.0.53", "::1", "fd77::1"]', "--dry-run").ok()

    def test_an_interface_that_is_named_loses_its_lease_only_when_that_is_said(self):
        self.lan.router(dhcp=True)
        node = self.lan.node()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        refused = node.cli("config", "set", "maculaos.network.interfaces.eth0.mtu", "1400").exits(5)
        self.assertIn(f"maculaos.network.interfaces.eth0.dhcp: eth0 has {address} by DHCP", refused.err)
        self.assertIn("say dhcp: true", refused.err)
        node.cli("config", "set", "maculaos.network.interfaces.eth0", '{"mtu": 1400, "dhcp": true}').ok()
        node.wait_net(lambda net: net.address("eth0", "dhcp") and net.link("eth0")["mtu"] == 1400)
        node.cli("config", "set", "maculaos.network.interfaces.eth0", '{"addresses": ["192.168.77.9/24"], "gateway": "192.168.77.1", "dns": ["192.168.77.1"]}').ok()


class Claims(NetTest):
    """Another machine takes an address of the node, long after it was found free."""

    def claimant(self, address):
        space = self.lan.space("claimant")
        self.lan.plug(space, "eth0")
        space.ip("link", "set", "eth0", "up")
        space.ip("addr", "add", f"{address}/24", "dev", "eth0")
        return lambda: space.exec("busybox", "arping", "-U", "-c", "1", "-I", "eth0", address, check=False)

    def test_a_fixed_address_is_defended_and_the_other_machine_is_named(self):
        router = self.lan.router()
        router.sysctl("ipv4/neigh/lan0/locktime", 0)
        node = self.lan.node(FIXED)
        node.wait_net(lambda net: net.address("eth0", "configured"))
        self.assertTrue(router.reaches("192.168.77.10"))
        own = node.net().link("eth0")["mac"]
        claim = self.claimant("192.168.77.10")
        with node.events("net.conflict") as events:
            claim()
            events.wait('"claimed"')
        self.assertTrue(node.until(lambda: own in router.ip("neigh", "show", "192.168.77.10").stdout), "the router believes the other machine")
        self.assertTrue(node.net().address("eth0", "configured", "192.168.77.10"))
        self.assertIn("has the address 192.168.77.10, too", node.net().notes())
        self.assertIn("DUPLICATE", node.cli("net", "status").ok().out)

    def test_a_lease_that_another_machine_insists_on_is_given_up_for_another_one(self):
        self.lan.router(dhcp=True)
        node = self.lan.node()
        first = node.wait_net(lambda net: net.address("eth0", "dhcp")).split("/")[0]
        claim = self.claimant(first)
        with node.events("net.conflict") as events:
            claim()
            events.wait('"claimed"')
            claim()
            events.wait('"given_up"')
        second = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        self.assertNotEqual(second.split("/")[0], first)
        self.assertEqual(node.net().notes(), "")

    def test_what_a_node_says_itself_is_no_claim(self):
        self.lan.router(dhcp=True)
        node = self.lan.node()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        node.space.exec("busybox", "arping", "-U", "-c", "1", "-I", "eth0", address.split("/")[0], check=False)
        node.cli("net", "renew", "eth0").ok()
        self.assertEqual((node.net().notes(), node.net().address("eth0", "dhcp")), ("", address))


if __name__ == "__main__":
    unittest.main()
