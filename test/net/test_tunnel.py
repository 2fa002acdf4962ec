#!/usr/bin/python3
"""The WireGuard interface: made from the configuration, with a key that never leaves the node; a tunnel between two nodes."""
import json
import shutil
import subprocess
import unittest

from net_harness import NetTest, kernel_has
from node_harness import Node

HUB = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
SECOND = "yTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
PRESHARED = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
KEY_FILE = "/var/lib/maculaos/identity/wireguard.key"
CONFIG = f"""
maculaos:
  security:
    wireguard:
      port: 51999
      addresses: [10.99.0.2/24]
      peers:
        - {{name: hub, public_key: "{HUB}", preshared_key: "{PRESHARED}", endpoint: "192.0.2.1:51820", keepalive: 25s,
            allowed_ips: [10.99.0.0/24, 10.20.0.0/16]}}
"""


def tunnel(node):
    return next((link for link in node.cli("net", "status", "-o", "json").ok().json()["links"] if link["kind"] == "wireguard"), None)


class Configured(unittest.TestCase):
    """Without a kernel: the node keeps its network in memory."""

    def setUp(self):
        self.node = Node(config=CONFIG)
        self.addCleanup(self.node.__exit__, None)
        self.node.start()

    def test_the_interface_is_as_configured_and_its_key_stays_on_the_node(self):
        link = tunnel(self.node)
        self.assertEqual((link["name"], link["mtu"], link["addresses"][0]["address"]), ("wg-mesh", 1420, "10.99.0.2/24"))
        peer = link["wireguard"]["peers"][0]
        self.assertEqual((link["wireguard"]["port"], peer["name"], peer["public_key"]), (51999, "hub", HUB))
        self.assertEqual((peer["endpoint"], peer["allowed_ips"], peer["preshared"]),
                         ("192.0.2.1:51820", ["10.99.0.0/24", "10.20.0.0/16"], True))
        routes = self.node.cli("net", "status", "-o", "json").ok().json()["routes"]
        self.assertIn("10.20.0.0/16", [route["to"] for route in routes])  # 10.99.0.0/24 is the address' own
        key = self.node.path(KEY_FILE)
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        said = "\n".join([self.node.cli("net", "status").ok().out, self.node.cli("net", "status", "-o", "json").out,
                          self.node.cli("config", "get").ok().out, *self.node.runner.lines.drain()])
        for secret in (key.read_text().strip(), PRESHARED):
            self.assertNotIn(secret, said)
        self.assertIn(link["wireguard"]["public_key"], said)

    def test_a_peer_that_does_not_answer_is_found(self):
        checks = self.node.cli("net", "diag", "-o", "json").json()["checks"]
        check = next(check for check in checks if check["name"] == "tunnel wg-mesh")
        self.assertEqual((check["result"], check["found"]), ("warning", "1 of 1 peers do not answer, among them hub"))

    def test_the_key_outlives_a_restart_and_a_public_key_is_of_it(self):
        before = tunnel(self.node)["wireguard"]["public_key"]
        self.node.stop()
        self.node.start()
        self.assertEqual(tunnel(self.node)["wireguard"]["public_key"], before)
        if shutil.which("wg"):
            derived = subprocess.run(["wg", "pubkey"], input=self.node.read(KEY_FILE), capture_output=True, text=True, check=True)
            self.assertEqual(derived.stdout.strip(), before)

    def test_peers_come_and_go_and_the_interface_with_its_section(self):
        self.node.cli("config", "set", "maculaos.security.wireguard.peers",
                      json.dumps([{"public_key": SECOND, "allowed_ips": ["10.30.0.0/16"]}])).ok()
        self.assertEqual([peer["public_key"] for peer in tunnel(self.node)["wireguard"]["peers"]], [SECOND])
        self.node.cli("config", "set", "maculaos.security.wireguard.enabled", "false").ok()
        self.assertIsNone(tunnel(self.node))

    def test_an_endpoint_that_is_a_name_is_resolved(self):
        for host, wanted in (("localhost", ":51820"), ("nowhere.invalid", None)):
            self.node.cli("config", "set", "maculaos.security.wireguard.peers",
                          json.dumps([{"public_key": SECOND, "endpoint": f"{host}:51820"}])).ok()
            seen = []

            def is_so(host=host, wanted=wanted, seen=seen):
                status = self.node.cli("net", "status", "-o", "json").ok().json()
                peer = next(link for link in status["links"] if link["kind"] == "wireguard")["wireguard"]["peers"][0]
                notes = " / ".join(note["message"] for note in status.get("notes", []))
                seen[:] = [peer, notes]
                return peer.get("endpoint", "").endswith(wanted) if wanted else f"{host}:51820 cannot be resolved" in notes

            self.assertTrue(self.node.until(is_so), seen)

    def test_a_key_of_ones_own(self):
        self.node.write("/etc/own.key", "kPhlLKXTsb6ewV0pVsRqNRFIlyHDCGGlKGX57PSoZ1Q=\n")
        self.node.cli("config", "set", "maculaos.security.wireguard.private_key_file", "/etc/own.key").ok()
        self.assertEqual(self.node.path("/etc/own.key").stat().st_mode & 0o777, 0o600)
        own = tunnel(self.node)["wireguard"]["public_key"]
        self.node.cli("config", "set", "maculaos.security.wireguard.private_key_file", "/etc/none.key").ok()
        notes = self.node.cli("net", "status", "-o", "json").ok().json()["notes"]
        self.assertTrue(any("/etc/none.key cannot be used" in note["message"] for note in notes), notes)
        self.assertTrue(own)

    def test_contradictions_are_refused(self):
        for key, value, expected in (
                ("peers", [{"public_key": HUB}, {"public_key": HUB}], "has this key"),
                ("peers", [{"public_key": HUB, "allowed_ips": ["10.1.0.0/16"]},
                           {"public_key": SECOND, "allowed_ips": ["10.1.0.0/16"]}], "is behind peer 0 already"),
                ("mesh_interface", "eth0", "is an interface of maculaos.network, too")):
            self.node.cli("config", "set", "maculaos.network.interfaces.eth0.dhcp", "true")
            result = self.node.cli("config", "set", f"maculaos.security.wireguard.{key}", json.dumps(value)).exits(5)
            self.assertIn(expected, result.err)


class Tunnel(NetTest):
    def setUp(self):
        if not kernel_has("wireguard"):
            self.skipTest("this kernel has no WireGuard")
        super().setUp()

    def node(self, number, **more):
        return self.lan.node(json.dumps({"maculaos": {
            "network": {"interfaces": {"eth0": {"addresses": [f"192.168.77.{number}/24"]}}},
            "security": {"wireguard": {"addresses": [f"10.99.0.{number}/24", f"fd99::{number}/64"], **more}}}}))

    def peer(self, node, number, endpoint=True):
        return {"name": f"node-{number}", "public_key": tunnel(node)["wireguard"]["public_key"], "preshared_key": PRESHARED,
                "allowed_ips": [f"10.99.0.{number}/32", f"fd99::{number}/128", f"10.{number}.0.0/16"],
                **({"endpoint": f"192.168.77.{number}:51820"} if endpoint else {})}

    def connect(self):
        first, second = self.node(11), self.node(12)
        peers = [self.peer(second, 12)], [self.peer(first, 11, endpoint=False)]
        first.cli("config", "set", "maculaos.security.wireguard.peers", json.dumps(peers[0])).ok()
        second.cli("config", "set", "maculaos.security.wireguard.peers", json.dumps(peers[1])).ok()
        return first, second

    def test_two_nodes_reach_each_other_through_the_tunnel(self):
        first, second = self.connect()
        self.assertTrue(first.space.reaches("10.99.0.12"))
        self.assertTrue(first.space.reaches("fd99::12"))
        self.assertTrue(second.space.reaches("10.99.0.11"))
        peer = tunnel(second)["wireguard"]["peers"][0]
        self.assertEqual(peer["endpoint"], "192.168.77.11:51820")  # it has found out
        self.assertTrue(peer["handshake_ms"] and peer["rx_bytes"] and peer["preshared"], peer)
        if shutil.which("wg"):  # a foreign witness
            shown = first.space.exec("wg", "show", "wg-mesh", "dump").stdout.split("\n")
            key, public, port, _ = shown[0].split("\t")
            self.assertEqual((key, public, port), (first.read(KEY_FILE).strip(), tunnel(first)["wireguard"]["public_key"], "51820"))
            self.assertIn(PRESHARED, shown[1])
            self.assertIn("10.99.0.12/32,fd99::12/128,10.12.0.0/16", shown[1])

    def test_a_change_of_one_peer_leaves_the_others_connected(self):
        first, second = self.connect()
        self.assertTrue(first.space.reaches("10.99.0.12"))
        handshake = tunnel(first)["wireguard"]["peers"][0]["handshake_ms"]
        first.cli("config", "set", "maculaos.security.wireguard.peers",
                  json.dumps([self.peer(second, 12), {"public_key": HUB, "allowed_ips": ["10.50.0.0/16"]}])).ok()
        peers = {peer["public_key"]: peer for peer in tunnel(first)["wireguard"]["peers"]}
        self.assertEqual(peers[tunnel(second)["wireguard"]["public_key"]]["handshake_ms"], handshake)
        self.assertEqual(peers[HUB]["allowed_ips"], ["10.50.0.0/16"])

    def test_what_somebody_changes_is_mended_and_netd_may_die(self):
        first, _ = self.connect()
        self.assertTrue(first.space.reaches("10.99.0.12"))
        first.kill_netd()
        self.assertTrue(first.space.reaches("10.99.0.12"))
        first.wait_net(lambda net: net.link("wg-mesh"))
        first.space.ip("link", "del", "wg-mesh")
        self.assertTrue(first.space.reaches("10.99.0.12"))

    def test_a_peer_with_many_networks_and_many_peers(self):
        first = self.node(11)
        peers = [{"public_key": HUB, "allowed_ips": [f"fd00:{i:x}::/64" for i in range(256)]}]
        peers += [{"public_key": HUB[:1] + f"{i:03d}" + HUB[4:], "allowed_ips": [f"10.200.{i}.0/24"]} for i in range(60)]
        first.cli("config", "set", "maculaos.security.wireguard.peers", json.dumps(peers)).ok()
        found = tunnel(first)["wireguard"]["peers"]
        self.assertEqual((len(found), max(len(peer["allowed_ips"]) for peer in found)), (61, 256))
        self.assertEqual(first.net().notes(), "")


if __name__ == "__main__":
    unittest.main()
