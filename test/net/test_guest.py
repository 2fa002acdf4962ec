#!/usr/bin/python3
"""netd on a system that somebody else looks after: what the configuration does not name stays as it is."""
import json
import unittest

from net_harness import PATIENCE, NetTest

SITE = """
import socket
s = socket.create_server(("", 8443))
print("listening", flush=True)
while True:
    s.accept()[0].close()
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection(("192.168.77.10", 8443), float(sys.argv[1]))
    print("open")
except OSError:
    print("closed")
"""
THEIRS = "# NetworkManager's\nnameserver 192.0.2.53\n"


class Guest(NetTest):
    """A server with a fixed address and a site, a second interface that nobody uses, and a DHCP server in reach of both."""

    def setUp(self):
        super().setUp()
        self.router = self.lan.router(dhcp=True)
        self.node = self.lan.node(interfaces=("eth0", "eth1"), start=False, env={"MACULA_GUEST": "1"})
        self.space = self.node.space
        self.space.ip("addr", "add", "192.168.77.10/24", "dev", "eth0")
        self.space.ip("link", "set", "eth0", "up")
        self.space.ip("route", "add", "default", "via", "192.168.77.1")
        self.node.write("/etc/resolv.conf", THEIRS)
        site = self.space.background("python3", "-c", SITE)
        self.addCleanup(site.close)
        site.wait("listening")
        # What an earlier version has loaded without being asked to.
        self.space.exec("nft", "-f", "-", input="table inet macula { chain input { type filter hook input priority 0; policy drop; }; }")
        self.node.start()
        self.addCleanup(self.node.stop)

    def site(self, patience=PATIENCE):
        return self.router.exec("python3", "-c", CONNECT, patience).stdout.strip()

    def tables(self):
        return self.space.exec("nft", "list", "tables").stdout

    def patch(self, **maculaos):
        return self.node.cli("config", "patch", json.dumps({"maculaos": maculaos})).ok()

    def test_nothing_that_works_changes(self):
        net = self.node.wait_net(lambda net: net if net.notes() else None)
        self.assertEqual(net.status["firewall"]["state"], "off")
        self.assertEqual(net.status.get("dhcp_clients", 0), 0)
        for left in "the firewall", "interfaces that maculaos.network.interfaces does not name", "/etc/resolv.conf":
            self.assertIn(f"{left} is left" if left[0] in "t/" else f"{left} are left", net.notes())
            self.node.runner.lines.wait_once("left alone on a system that is not ours.*" + left.replace(".", r"\."))
        self.assertEqual(self.site(), "open")
        self.assertNotIn("macula", self.tables())
        self.assertEqual(self.space.addresses("eth1"), [])
        self.assertEqual([a for a in self.space.addresses("eth0") if "." in a], ["192.168.77.10/24"])
        self.assertEqual(self.node.read("/etc/resolv.conf"), THEIRS)
        diag = self.node.cli("net", "diag", "-o", "json").json()
        self.assertFalse([c for c in diag["checks"] if c.get("name") in ("interfaces", "name server") and c["result"] != "skipped"])

    def test_what_the_configuration_names_is_netds(self):
        self.patch(network={"interfaces": {"eth1": {"dhcp": True}}})
        self.node.wait_net(lambda net: net.address("eth1", "dhcp"))
        self.assertTrue(self.node.until(lambda: "nameserver 192.168.77.1\n" in self.node.read("/etc/resolv.conf")))
        self.assertIn("192.168.77.10/24", self.space.addresses("eth0"))
        self.assertEqual(self.site(), "open")
        self.assertNotIn("/etc/resolv.conf", self.node.net().notes())
        self.patch(security={"firewall": {}})
        self.assertEqual(self.node.net().status["firewall"]["state"], "loaded")
        self.assertEqual(self.site(1.5), "closed")
        self.patch(security=None)  # and it goes with the section
        self.assertEqual(self.node.net().status["firewall"]["state"], "off")
        self.assertNotIn("macula", self.tables())
        self.assertEqual(self.site(), "open")

    def test_where_dhcp_is_asked_for_all_wired_interfaces_get_it(self):
        self.patch(network={"dhcp": True})
        self.node.wait_net(lambda net: net.address("eth0", "dhcp") and net.address("eth1", "dhcp"))


if __name__ == "__main__":
    unittest.main()
