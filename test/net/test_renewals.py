#!/usr/bin/python3
"""`maculaos net renew` waits until DHCP has answered, and says what has come of it."""
import pathlib
import unittest

from net_harness import NetTest

STAND_IN = pathlib.Path(__file__).with_name("stand_in_dhcp.py")
FIXED = "maculaos: {network: {interfaces: {eth0: {addresses: [192.168.77.10/24]}}}}\n"


class Renewals(NetTest):
    def refusing_server(self, times):
        router = self.lan.router()
        server = router.background("python3", STAND_IN, str(times))
        self.addCleanup(server.close)
        server.wait("ready")

    def asking(self, interfaces=("eth0",)):
        """A node that asks for addresses on every one of its interfaces."""
        node = self.lan.node(interfaces=interfaces)
        node.wait_net(lambda net: net.status.get("dhcp_clients") == len(interfaces))
        return node

    def test_it_ends_when_the_lease_is_there_and_says_which(self):
        router = self.lan.router()
        node = self.asking()
        self.assertIsNone(node.net().address("eth0", "dhcp"))
        self.lan.dhcp(router)
        renewed = node.cli("net", "renew").ok()
        address = node.net().address("eth0", "dhcp")
        self.assertIsNotNone(address)
        self.assertEqual(renewed.out, f"eth0 has {address} for 2 min, from 192.168.77.1\n")
        answer = node.cli("net", "renew", "eth0", "-o", "json").ok().json()
        lease = next(link["lease"] for link in answer["links"] if link["name"] == "eth0")
        self.assertEqual(lease["address"], address)

    def test_without_an_answer_it_names_the_interface_and_the_lease_that_still_holds(self):
        router = self.lan.router(dhcp=True)
        node = self.lan.node()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp"))
        router.server.stop()
        refused = node.cli("net", "renew", "eth0").exits(8)
        self.assertRegex(refused.err, rf"eth0 has no answer from any DHCP server; .* holds: {address}, for \d+ s; "
                                      r"`maculaos net diag`")
        self.assertEqual(node.net().address("eth0", "dhcp"), address)

    def test_of_two_interfaces_it_says_which_has_an_answer(self):
        self.lan.router(dhcp=True)
        self.lan.switch.ip("link", "add", "sw1", "type", "bridge", "forward_delay", "0")
        self.lan.switch.ip("link", "set", "sw1", "up")
        node = self.asking(("eth0", "eth1"))
        self.lan.switch.ip("link", "set", self.lan.cables[node.space.name, "eth1"], "master", "sw1")
        refused = node.cli("net", "renew").exits(8)
        self.assertRegex(refused.err, r"eth0 has 192\.168\.77\.\d+/24")
        self.assertIn("eth1 has no answer from any DHCP server", refused.err)
        self.assertIn("1 of 2 interfaces have got no lease", refused.err)

    def test_a_refusal_is_waited_out_until_there_is_another_lease(self):
        self.refusing_server(times=1)
        node = self.lan.node(FIXED)
        node.cli("config", "set", "maculaos.network.interfaces.eth0", '{"dhcp": true}').ok()
        self.assertEqual(node.cli("net", "renew").ok().out, "eth0 has 192.168.77.60/24 for 5 min, from 192.168.77.1\n")

    def test_a_server_that_only_refuses_is_told_of(self):
        self.refusing_server(times=1000)
        node = self.asking()
        refused = node.cli("net", "renew").exits(8)
        self.assertIn("eth0 has no answer from a DHCP server but a refusal (NAK)", refused.err)

    def test_whoever_stops_waiting_is_in_nobodys_way(self):
        router = self.lan.router()
        node = self.asking()
        node.cli("net", "renew", "eth0", "--timeout", "1s").exits(8)
        self.lan.dhcp(router)
        self.assertIn("eth0 has 192.168.77.", node.cli("net", "renew", "eth0").ok().out)

    def test_what_cannot_be_asked_for_is_said_at_once(self):
        self.lan.router(dhcp=True)
        node = self.lan.node(FIXED, interfaces=("eth0", "eth1"))
        node.wait_net(lambda net: net.address("eth0", "configured") and net.address("eth1", "dhcp"))
        self.assertIn("eth0 does not get its address by DHCP", node.cli("net", "renew", "eth0").exits(3).err)
        self.lan.unplug(node.space, "eth1")
        node.wait_net(lambda net: not net.link("eth1").get("carrier"))
        self.assertIn("eth1 has no cable", node.cli("net", "renew", "eth1").exits(3).err)
        for nothing in ((), ("",)):
            self.assertIn("no interface that is up and has a cable gets its", node.cli("net", "renew", *nothing).exits(3).err)
        node.cli("net", "down", "eth1", "--force").ok()
        self.assertIn("eth1 is held down", node.cli("net", "renew", "eth1").exits(3).err)

    def test_interfaces_of_others_are_told_from_those_that_are_not_there(self):
        node = self.asking()
        node.space.ip("link", "add", "cni0", "type", "bridge")
        node.wait_net(lambda net: net.link("cni0"))
        for verb in ("renew", "up", "down"):
            self.assertIn("alone: it is the machine's own", node.cli("net", verb, "lo").exits(1).err)
            self.assertIn("interfaces does not name it", node.cli("net", verb, "cni0").exits(1).err)
            self.assertIn('there is no interface "eth7"', node.cli("net", verb, "eth7").exits(1).err)


if __name__ == "__main__":
    unittest.main()
