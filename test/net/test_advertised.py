#!/usr/bin/python3
"""Name servers that routers advertise for IPv6 (RDNSS), and their search domains (DNSSL)."""
import ipaddress
import struct
import unittest

from net_harness import NetTest

ROUTER = """
import socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
index = socket.if_nametoindex("lan0")
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::2") + struct.pack("@i", index))
advert = bytes.fromhex(sys.argv[1])
def send():
    s.sendto(advert, ("ff02::1", 0, 0, index))
send()
print("advertised", flush=True)
while True:
    packet, source = s.recvfrom(2000)
    if packet[0] == 133:
        print("asked by", source[0].split("%")[0], flush=True)
        send()
"""


def rdnss(lifetime, *servers):
    return struct.pack("!BBHI", 25, 1 + 2 * len(servers), 0, lifetime) + b"".join(ipaddress.ip_address(s).packed for s in servers)


def dnssl(lifetime, *domains):
    wire = b"".join(b"".join(bytes([len(label)]) + label.encode() for label in domain.split(".")) + b"\0" for domain in domains)
    wire += bytes(-len(wire) % 8)
    return struct.pack("!BBHI", 31, 1 + len(wire) // 8, 0, lifetime) + wire


def advertisement(*options):
    """Of a router that is no default gateway."""
    return struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0) + b"".join(options)


class Advertised(NetTest):
    def setUp(self):
        super().setUp()
        self.speaker = None
        self.addCleanup(self.silence)
        self.router = self.lan.router()
        self.node = self.lan.node("maculaos:\n  network:\n    interfaces:\n      eth0: {addresses: [192.168.77.10/24]}\n")
        self.node.wait_net(lambda net: net.address("eth0", "link_local", "fe80") and net.link("eth0")["carrier"])

    def advertise(self, *options):
        """From now on, also when it is asked: the router says nothing else any more."""
        self.silence()
        self.speaker = self.router.background("python3", "-c", ROUTER, advertisement(*options).hex())
        self.speaker.wait("advertised")
        return self.speaker

    def silence(self):
        if self.speaker:
            self.speaker.close()
        self.speaker = None

    def servers(self, wanted):
        self.node.wait_net(lambda net: net.status.get("resolver", {}).get("servers", []) == wanted)
        self.assertEqual([line.split()[1] for line in self.node.read("/etc/resolv.conf").splitlines()
                          if line.startswith("nameserver")], wanted)

    def test_an_advertised_server_is_used_until_its_time_is_over(self):
        self.advertise(rdnss(4, "fd77::53"))
        self.servers(["fd77::53"])
        self.servers([])

    def test_a_server_is_taken_back(self):
        self.advertise(rdnss(600, "fd77::53", "fd77::54"))
        self.servers(["fd77::53", "fd77::54"])
        self.advertise(rdnss(0, "fd77::53"))
        self.servers(["fd77::54"])

    def test_fixed_servers_come_first(self):
        self.node.cli("config", "set", "maculaos.network.interfaces.eth0.dns", '["192.168.77.1"]')
        self.advertise(rdnss(600, "fd77::53"))
        self.servers(["192.168.77.1", "fd77::53"])

    def test_a_netd_that_starts_anew_asks_the_router(self):
        self.node.space.sysctl("ipv6/conf/eth0/router_solicitations", 0)  # not the kernel
        router = self.advertise(rdnss(600, "fd77::53"))
        self.servers(["fd77::53"])
        own = next(a for a in self.node.space.addresses("eth0") if a.startswith("fe80")).split("/")[0]
        self.node.kill_netd()
        router.wait(f"asked by {own}$")
        self.servers(["fd77::53"])

    def test_what_is_no_machine_is_left_out(self):
        self.advertise(rdnss(600, "::", "ff02::1", "::1"), b"\x19\x01" + bytes(6), rdnss(600, *(f"fd77::{n}" for n in range(1, 9))))
        self.servers(["fd77::1", "fd77::2", "fd77::3"])

    def test_a_server_of_the_link_itself_is_used_with_the_link_and_answers(self):
        """As home routers advertise themselves: fe80::, which is nothing without the interface."""
        link = next(a for a in self.router.addresses("lan0") if a.startswith("fe80")).split("/")[0]
        self.lan.dhcp(self.router)
        self.advertise(rdnss(600, link))
        self.servers([f"{link}%eth0"])
        checks = self.node.cli("net", "diag", "-o", "json").json()["checks"]
        found = [check for check in checks if link in check["name"] + check.get("found", "")]
        self.assertEqual([check.get("result") for check in found], ["ok"], checks)

    def test_search_domains_come_and_go_and_what_is_none_is_left_out(self):
        self.advertise(dnssl(600, "plant.example", "depot.example"), dnssl(600, "bad domain"), dnssl(600, "a\nnameserver 6.6.6.6"))
        self.node.wait_net(lambda net: net.status.get("resolver", {}).get("search") == ["plant.example", "depot.example"])
        self.assertIn("search plant.example depot.example\n", self.node.read("/etc/resolv.conf"))
        self.advertise(dnssl(0, "plant.example"), dnssl(3, "yard.example"))
        self.node.wait_net(lambda net: net.status["resolver"].get("search") == ["depot.example", "yard.example"])
        self.node.wait_net(lambda net: net.status["resolver"].get("search") == ["depot.example"])


class Dhcp6(NetTest):
    """A router that says there is a DHCPv6 server: dnsmasq is both."""

    def serve(self, *options):
        self.router = self.lan.router()
        self.lan.dhcp(self.router, "--enable-ra", "--dhcp-option=option6:dns-server,[fd77::1]",
                      "--dhcp-option=option6:domain-search,plant.example", *options)
        return self.lan.node()

    def managed(self):
        return self.serve("--dhcp-range=fd77::100,fd77::1ff,64,2m")

    def test_a_node_gets_its_address_and_what_comes_with_it(self):
        node = self.managed()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp", "fd77::1"))
        self.assertRegex(address, r"^fd77::1[0-9a-f]{2}/128$")
        node.wait_net(lambda net: "fd77::1" in net.status["resolver"].get("servers", []))
        self.assertIn("plant.example", node.net().status["resolver"]["search"])
        self.assertTrue(self.router.reaches(address.split("/")[0]))
        self.assertTrue(any(r["to"] == "default" and r.get("ipv6") for r in node.net().status["routes"]))

    def test_only_name_servers_are_asked_for_where_the_router_says_so(self):
        node = self.serve("--dhcp-range=fd77::,ra-stateless,64,2m")
        node.wait_net(lambda net: net.address("eth0", "advertised", "fd77:"))
        node.wait_net(lambda net: "plant.example" in net.status["resolver"].get("search", []))
        self.assertIsNone(node.net().address("eth0", "dhcp", "fd77:"))

    def test_a_restart_of_netd_keeps_the_address(self):
        node = self.managed()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp", "fd77::1"))
        with node.space.background("ip", "monitor", "address") as watcher:
            node.kill_netd()
            node.wait_net(lambda net: "fd77::1" in net.status.get("resolver", {}).get("servers", []) and net.address("eth0", "dhcp", address))
            self.assertEqual([line for line in watcher.lines.drain() if line.startswith("Deleted") and "fd77::1" in line], [])

    def test_the_server_vanishes_and_the_address_holds_for_its_time(self):
        node = self.managed()
        address = node.wait_net(lambda net: net.address("eth0", "dhcp", "fd77::1"))
        self.router.server.stop()
        self.lan.unplug(node.space, "eth0")
        node.wait_net(lambda net: not net.link("eth0")["carrier"])
        self.lan.replug(node.space, "eth0")  # it is asked for again, and nobody answers
        node.wait_net(lambda net: net.link("eth0")["carrier"])
        self.assertEqual(node.net().address("eth0", "dhcp", "fd77::1"), address)
        self.assertTrue(self.router.reaches(address.split("/")[0]))

    def test_fixed_addresses_are_enough(self):
        node = self.managed()
        node.wait_net(lambda net: net.address("eth0", "dhcp", "fd77::1"))
        node.cli("config", "set", "maculaos.network.interfaces.eth0", '{"dhcp": true, "addresses": ["fd77::10/64"]}').ok()
        self.assertIsNone(node.net().address("eth0", "dhcp", "fd77::1"))
        self.assertEqual(node.net().address("eth0", "configured", "fd77"), "fd77::10/64")


if __name__ == "__main__":
    unittest.main()
