#!/usr/bin/python3
"""Nodes find each other in the local network by mDNS, and notice that one is gone."""
import json
import os
import signal
import unittest

from net_harness import PATIENCE, NetTest
from net_names import Names, announcement, say, unable_names

CONFIG = """
hostname: edge-{number}
maculaos:
  mesh: {{realm: site-7, roles: {{gateway: true}}}}
  network:
    interfaces:
      eth0: {{addresses: [192.168.77.{address}/24]}}
"""


class NamesTest(NetTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        reason = unable_names()
        if reason and os.environ.get("CI"):
            raise AssertionError(f"these tests must run in CI: {reason}")
        if reason:
            raise unittest.SkipTest(reason)

    def node(self, number, host=None, start=True, daemons=True, **more):
        """A node edge-NUMBER whose avahi-daemon calls itself `host` at first."""
        node = self.lan.node(CONFIG.format(number=number, address=11 + self.lan.nodes), start=False, **more)
        node.names = Names(node.space, node.root)
        node.env.update(node.names.env)
        if daemons:
            node.names.start(host or f"edge-{number}")
        return node.start() if start else node

    def stranger(self, address="192.168.77.200"):
        """A machine without any daemon."""
        space = self.lan.space("stranger")
        self.lan.plug(space, "eth0")
        space.ip("addr", "add", f"{address}/24", "dev", "eth0")
        space.ip("link", "set", "eth0", "up")
        space.ip("route", "add", "224.0.0.0/4", "dev", "eth0")
        return space

    def peers(self, node, wanted, patience=PATIENCE):
        """The first list of peers, by name and without the node itself, for which wanted(peers) is true."""
        last = {}

        def look():
            last.clear()
            last.update(node.cli("net", "peers", "-o", "json").ok().json())
            return wanted(found()) and (found(),)

        def found():
            return {peer["name"]: peer for peer in last.get("peers", []) if not peer.get("self")}

        so = node.until(look, patience)
        if not so:
            raise AssertionError("never so:\n" + json.dumps(last, indent=1))
        return so[0]

    def naming(self, node, wanted, patience=PATIENCE):
        return node.wait_net(lambda net: wanted(net.status.get("naming", {})) and net.status["naming"], patience)


class Peers(NamesTest):
    def test_three_nodes_find_each_other_and_lose_each_other(self):
        first = self.node(1)
        with first.events("net.peer") as events:
            second, third = self.node(2), self.node(3)
            events.wait('"found".*"edge-[23]"')
            events.wait('"found".*"edge-[23]"')
            both = {"edge-2", "edge-3"}  # IPv6 comes a moment later
            peers = self.peers(first, lambda found: both <= set(found) and len(found["edge-2"]["addresses"]) > 1)
            peer = peers["edge-2"]
            self.assertEqual(peer["host"], "edge-2.local")
            self.assertEqual(peer["addresses"][0], "192.168.77.12")
            self.assertIn(":", peer["addresses"][1])
            self.assertEqual((peer["realm"], peer["role"], peer["port"], peer["interface"]),
                             ("site-7", "peer,gateway", 4222, "eth0"))
            self.assertEqual(len(peer["node_id"]), 56)
            self.assertTrue(peer["version"] and peer["since_ms"], peer)
            for node in (second, third):
                self.peers(node, lambda found: len(found) == 2)
            text = first.cli("net", "peers").ok().out
            self.assertIn("edge-3.local", text)
            self.assertIn("this node", text)
            second.names.stop_avahi()
            events.wait('"lost".*"edge-2"')
            self.assertNotIn("edge-2", self.peers(first, lambda found: "edge-3" in found))

    def test_a_peer_that_falls_silent_is_lost_and_found_again(self):
        node, stranger = self.node(1), self.stranger()
        self.naming(node, lambda naming: naming.get("state") == "announced")
        hello = announcement(b"silent", b"silent", "192.168.77.200", [b"version=9"], ttl=4)
        with node.events("net.peer") as events:
            say(stranger, "192.168.77.200", hello)
            events.wait('"found".*"silent"')
            self.assertEqual(self.peers(node, lambda found: found)["silent"]["version"], "9")
            events.wait('"lost".*"silent"')
            self.peers(node, lambda found: not found)
            say(stranger, "192.168.77.200", hello)
            events.wait('"found".*"silent"')

    def test_fifty_peers(self):
        node = self.node(1)
        crowd = self.stranger()
        root = node.root / "crowd"
        root.mkdir()
        names = Names(crowd, root)
        for number in range(50):
            names.announce(f"crowd-{number}")
        names.start("crowd")
        # They are heard over IPv6 and IPv4, one after the other; the IPv4 address stands first when both are there.
        self.peers(node, lambda found: len(found) == 50
                   and all(peer["addresses"][0] == "192.168.77.200" for peer in found.values()))
        names.stop_avahi()
        self.peers(node, lambda found: not found)

    def test_what_hostile_machines_say_of_themselves_is_not_shown(self):
        node, stranger = self.node(1), self.stranger()
        self.naming(node, lambda naming: naming.get("state") == "announced")
        nasty = [b"version=\x1b[31mred", b"role=" + b"r" * 250, b"realm=\xff\xfe", b"node_id=U" + b"a" * 55]
        say(stranger, "192.168.77.200",
            announcement(b"a\x1b[2J\n\xe2\x80\xaeb", b"nasty", "192.168.77.200", nasty),
            announcement(b"empty", b"nasty", "192.168.77.200", []),
            announcement(b"many", b"nasty", "192.168.77.200", [b"k%d=v" % i for i in range(60)] + [b"version=late"]),
            announcement(b"first", b"nasty", "192.168.77.200", [b"version=1", b"VERSION=2", b"realm"]))
        peers = self.peers(node, lambda found: len(found) == 4)
        shown = next(name for name in peers if name.startswith("a"))
        self.assertEqual(shown, "a\\x1b[2J\\n\\xe2\\x80\\xaeb")
        for key in ("version", "role", "realm", "node_id"):
            self.assertNotIn(key, peers[shown])
        self.assertNotIn("version", peers["many"])
        self.assertEqual(peers["first"]["version"], "1")
        self.assertNotIn("\x1b", node.cli("net", "peers").ok().out)

    def test_a_flood_of_names_is_bounded(self):
        node, stranger = self.node(1), self.stranger()
        self.naming(node, lambda naming: naming.get("state") == "announced")
        flood = [announcement(b"flood-%d" % i, b"flood", "192.168.77.200", []) for i in range(700)]

        def is_full(found):
            for start in range(0, len(flood), 50):  # what is too much at once gets lost on the way
                say(stranger, "192.168.77.200", *flood[start:start + 50])
            return len(found) > 505  # the node itself has some of the 512 places
        self.assertLess(len(self.peers(node, is_full)), 512)
        node.runner.wait("too many nodes are announced")
        self.assertEqual(node.net().status["naming"]["state"], "announced")


class OwnName(NamesTest):
    def rivals(self, one, other):
        """Of two that want edge-1 the one that has it, and the one that has a number. Usually the later one gets it; where
        both ask at once (a late IPv6 address makes avahi ask again) the greater address wins: RFC 6762, 8.2."""
        last = [self.naming(node, lambda naming: naming) for node in (one, other)]

        def look():
            last[:] = [node.net().status.get("naming", {}) for node in (one, other)]
            states = [(naming.get("state"), naming.get("host")) for naming in last]
            has, has_not = ("announced", "edge-1.local"), ("conflict", "edge-2.local")  # so avahi counts
            return {(has, has_not): (one, other), (has_not, has): (other, one)}.get(tuple(states))

        pair = one.until(look, PATIENCE)
        self.assertTrue(pair, json.dumps(last, indent=1))
        return pair

    def test_a_name_that_another_machine_has_gets_a_number_and_the_status_says_so(self):
        node = self.node(1)
        self.naming(node, lambda naming: naming.get("state") == "announced" and naming["host"] == "edge-1.local")
        first, second = self.rivals(node, self.node(1, host="edge-1"))
        naming = second.net().status["naming"]
        self.assertIn("another machine is called edge-1.local", naming["problem"])
        self.assertIn("edge-2.local", second.cli("net", "status").ok().out)
        checks = {check["name"]: check for check in second.cli("net", "diag", "-o", "json").json()["checks"]}
        self.assertEqual(checks["name in the local network"]["result"], "warning")
        self.assertIn("hostname", checks["name in the local network"]["remedy"])
        self.peers(first, lambda found: [peer["host"] for peer in found.values()] == ["edge-2.local"])
        # When the other machine has gone the name is asked for again.
        first.names.stop_avahi()
        self.naming(second, lambda naming: naming["state"] == "announced" and naming["host"] == "edge-1.local", PATIENCE + 60)

    def test_the_set_up_page_is_shown_under_the_name_in_use_or_the_address(self):
        def shown(node, wanted, patience=PATIENCE):
            self.assertTrue(node.until(lambda: wanted in node.read("/run/macula/firstboot/console"), patience),
                            node.read("/run/macula/firstboot/console"))

        more = {"services": ("confd", "netd", "firstboot"), "env": {"MACULA_FIRSTBOOT_OUTSIDE": "1", "MACULA_FIRSTBOOT_PORT": "8080"}}
        one, other = self.node(1, **more), self.node(1, host="edge-1", **more)
        addresses = {one: "192.168.77.11", other: "192.168.77.12"}
        first, second = self.rivals(one, other)
        shown(first, f"open http://edge-1.local:8080\n  or http://{addresses[first]}:8080\n")
        shown(second, f"open http://edge-2.local:8080\n  or http://{addresses[second]}:8080\n")
        self.assertIn("http://edge-2.local:8080", second.cli("setup", "status").ok().out)
        first.names.stop_avahi()
        shown(first, f"open http://{addresses[first]}:8080\n  Code: ")
        shown(second, "open http://edge-1.local:8080\n", PATIENCE + 60)  # the name is asked for again now and then

    def test_avahi_calls_the_node_as_the_configuration_does(self):
        node = self.node(1, host="something-else")
        self.naming(node, lambda naming: naming.get("host") == "edge-1.local" and naming["state"] == "announced")
        node.cli("config", "set", "hostname", "edge-9").ok()
        self.naming(node, lambda naming: naming.get("host") == "edge-9.local" and naming["state"] == "announced")

    def test_daemons_come_and_go_and_the_status_says_so(self):
        node = self.node(1, daemons=False)
        naming = self.naming(node, lambda naming: naming.get("problem"))
        self.assertEqual((naming["state"], naming["problem"]), ("off", "there is no D-Bus for the system"))
        self.assertEqual(self.peers(node, lambda found: True), {})
        node.names.start_bus()
        self.naming(node, lambda naming: naming.get("problem") == "avahi-daemon does not run")
        node.names.start_avahi("edge-1")
        self.naming(node, lambda naming: naming["state"] == "announced")
        other = self.node(2)
        self.peers(node, lambda found: "edge-2" in found)
        node.names.stop_avahi(signal.SIGKILL)
        self.naming(node, lambda naming: naming.get("problem") == "avahi-daemon does not run")
        self.assertEqual(self.peers(node, lambda found: True), {})
        node.names.stop_bus()
        self.naming(node, lambda naming: "D-Bus" in naming.get("problem", ""))
        node.names.start("edge-1")
        self.naming(node, lambda naming: naming["state"] == "announced")
        self.peers(node, lambda found: "edge-2" in found)
        self.assertIsNotNone(other)

    def test_an_avahi_daemon_that_hangs_does_not_hold_up_the_network(self):
        node = self.node(1)
        self.naming(node, lambda naming: naming["state"] == "announced")
        node.names.avahi.process.send_signal(signal.SIGSTOP)
        node.cli("config", "set", "hostname", "edge-5").ok()  # asks it something
        node.cli("config", "set", "maculaos.network.interfaces.eth0.mtu", "1400").ok()
        self.assertEqual(node.net().link("eth0")["mtu"], 1400)
        self.naming(node, lambda naming: "no answer came" in naming.get("problem", ""))
        node.names.avahi.process.send_signal(signal.SIGCONT)
        self.naming(node, lambda naming: naming["state"] == "announced" and naming["host"] == "edge-5.local")


if __name__ == "__main__":
    unittest.main()
