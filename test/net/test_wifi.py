#!/usr/bin/python3
"""Wi-Fi: networks of the configuration, what can be heard, and names that want to do harm.

No machine of the tests has a radio. What needs one speaks with a stand-in for wpa_supplicant on its control socket
(stand_in_supplicant.py); whether wpa_supplicant itself takes what netd tells it is asked of the real one, with its
driver for wired interfaces."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import tempfile
import unittest

from net_harness import NetTest
from setup_page import Page

STAND_IN = pathlib.Path(__file__).resolve().with_name("stand_in_supplicant.py")
DEPOT = {"ssid": b"depot".hex(), "bssid": "02:00:00:00:00:01", "level": -47, "flags": "[WPA2-PSK-CCMP][ESS]",
         "psk": "correct-horse"}
YARD = {"ssid": b"yard".hex(), "bssid": "02:00:00:00:00:02", "level": -80, "freq": 5180, "flags": "[ESS]"}
JOINS = "maculaos:\n  wifi: [{name: depot, passphrase: correct-horse}]\n"


class Wifi(NetTest):
    def setUp(self):
        super().setUp()
        self.scene = pathlib.Path(tempfile.mkdtemp(prefix="macula-wifi-"))
        self.addCleanup(shutil.rmtree, self.scene, ignore_errors=True)
        self.router = self.lan.router(dhcp=True)

    def air(self, *networks):
        (self.scene / "air.json").write_text(json.dumps(networks))

    def asked(self):
        return (self.scene / "asked").read_text().splitlines()

    def node(self, config="maculaos: {}\n", program=None, driver=None, interfaces=("wlan0",), **more):
        """A node whose wlan0 counts as a radio."""
        if not program:
            program = self.scene / "wpa_supplicant"
            program.write_text(f"#!/bin/sh\nMACULA_STAND_IN={self.scene} exec {STAND_IN} \"$@\"\n")
            program.chmod(0o755)
        env = {"MACULA_WIRELESS": "wlan0", "MACULA_SUPPLICANT": str(program)}
        if driver:
            env["MACULA_SUPPLICANT_DRIVER"] = driver
        node = self.lan.node(config, interfaces, env=env, **more)
        node.wait_net(lambda net: (net.link("wlan0") or {}).get("kind") == "wifi")
        return node

    @staticmethod
    def wifi(net):
        return (net.link("wlan0") or {}).get("wifi", {})


class Joining(Wifi):
    def test_a_node_joins_the_network_of_its_configuration_and_gets_an_address(self):
        self.air(YARD, DEPOT)
        node = self.node(JOINS)
        node.wait_net(lambda net: self.wifi(net).get("signal_dbm") == -47)
        wifi = self.wifi(node.net())
        self.assertEqual((wifi["connected"], wifi["name"], wifi["bssid"]), (True, "depot", "02:00:00:00:00:01"))
        node.wait_net(lambda net: net.address("wlan0", "dhcp"))
        self.assertIn('wlan0 Wi-Fi "depot", -47 dBm', node.cli("net", "status").ok().out)

    def test_a_wrong_passphrase_is_said_and_the_right_one_mends_it(self):
        self.air({**DEPOT, "psk": "another-horse"})
        node = self.node(JOINS)
        node.wait_net(lambda net: 'the Wi-Fi "depot" refuses the passphrase' in net.notes())
        node.cli("config", "set", "maculaos.wifi[0].passphrase", "another-horse").ok()
        node.wait_net(lambda net: self.wifi(net).get("connected"))
        self.assertEqual(node.net().notes(), "")

    def test_the_preferred_network_is_told_with_the_higher_priority(self):
        self.air(YARD, DEPOT)
        node = self.node("maculaos:\n  wifi: [{name: yard}, {name: depot, passphrase: correct-horse}]\n")
        self.assertEqual(node.wait_net(lambda net: self.wifi(net).get("name")), "yard")
        self.assertIn("SET_NETWORK 0 key_mgmt NONE", self.asked())

    def test_what_is_joined_no_more_is_let_go(self):
        self.air(DEPOT)
        node = self.node(JOINS, interfaces=("wlan0", "eth0"))
        node.wait_net(lambda net: net.address("wlan0", "dhcp") and net.address("eth0", "dhcp"))
        node.cli("config", "set", "maculaos.wifi", "[]").ok()
        node.wait_net(lambda net: not self.wifi(net) and not net.address("wlan0", "dhcp"))

    def test_a_network_for_another_interface_is_not_joined(self):
        self.air(DEPOT)
        node = self.node("maculaos:\n  wifi: [{name: depot, passphrase: correct-horse, interface: wlan7}]\n")
        node.wait_net(lambda net: net.link("wlan0"))
        self.assertFalse(node.net().link("wlan0")["managed"])

    @staticmethod
    def processes():
        for place in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                yield int(place.name), (place / "cmdline").read_bytes()

    def test_the_process_that_is_killed_comes_back_and_so_does_the_network(self):
        self.air(DEPOT)
        node = self.node(JOINS)
        node.wait_net(lambda net: self.wifi(net).get("connected"))
        first = self.asked().count("ATTACH")
        events = node.events("net.wifi")
        directory = f"{node.root}/run/macula/net/wifi".encode()
        pids = [pid for pid, words in self.processes() if directory in words and b"stand_in" in words]
        os.kill(*pids, signal.SIGKILL)
        events.wait('"connected"')
        self.assertGreater(self.asked().count("ATTACH"), first)

    def test_no_passphrase_is_in_a_log_or_a_file_beside_the_configuration(self):
        self.air({**DEPOT, "psk": "another-horse"})
        node = self.node(JOINS)
        node.wait_net(lambda net: "refuses the passphrase" in net.notes())
        found = node.space.exec("grep", "-rl", "correct-horse", node.root / "run", node.root / "var", check=False).stdout
        self.assertEqual([path for path in found.split() if not path.endswith("/config.yaml")], [])
        self.assertNotIn("correct-horse", "\n".join(node.runner.lines.drain()))

    def test_without_the_program_it_is_said_and_the_rest_works(self):
        node = self.node(JOINS, program="/nowhere/wpa_supplicant")
        node.wait_net(lambda net: "wlan0: Wi-Fi needs the program wpa_supplicant" in net.notes())
        node.wait_net(lambda net: net.address("wlan0", "dhcp"))


class NetPage(Page):
    """A browser within the network of the node."""

    def connect(self):
        connection = super().connect()
        connection.sock = self.node.space.connect(connection.host, connection.port)
        return connection


class Choosing(Wifi):
    def page(self):
        """The network page of a node that is being set up, after what can be heard has come."""
        node = self.node(services=("confd", "netd", "firstboot"))
        page = NetPage(node)
        page.get("/")
        page.enter()
        with self.subTest("the first look asks"):
            page.get("/network")
        node.cli("net", "scan").ok()  # who asks while it looks already gets the same answer, at the same time
        page.get("/network")
        return page

    def test_what_was_found_is_on_the_page_to_choose_from(self):
        self.air(YARD, DEPOT)
        page = self.page()
        self.assertIn("<dt>depot</dt><dd>-47 dBm, with a password</dd><dt>yard</dt><dd>-80 dBm, open</dd>", page.last.text)
        self.assertIn('<datalist id="wifi_name-list"><option value="depot"><option value="yard"></datalist>', page.last.text)

    def test_names_that_want_to_do_harm_are_text_and_no_choice_when_they_are_not_what_they_seem(self):
        names = [b"</dd><script>alert(1)</script>", b"\x1b[31mred", b"\xff", b'" onfocus="x']
        self.air(*[{**YARD, "ssid": name.hex(), "bssid": f"02:00:00:00:01:{i:02x}"} for i, name in enumerate(names)])
        text = self.page().last.text
        self.assertNotIn("<script>alert", text)
        self.assertNotIn('" onfocus', text)
        self.assertIn(r"<dt>\x1b[31mred</dt>", text)
        self.assertEqual(re.findall(r'<option value="([^"]*)">', text.split('id="wifi_name-list"')[1].split("</datalist>")[0]),
                         ["&quot; onfocus=&quot;x", "&lt;/dd&gt;&lt;script&gt;alert(1)&lt;/script&gt;"])

    def test_a_password_is_forgotten_when_the_network_is_said_to_be_open(self):
        self.air(YARD)
        page = self.page()
        page.post("/network", net_mode="wifi", wifi_name="yard", wifi_passphrase="correct-horse")
        self.assertIn("One is set", page.get("/network").text)
        answer = page.post("/network", net_mode="wifi", wifi_name="yard", wifi_passphrase="other-horse", wifi_open="yes")
        self.assertIn("an open network has no password", answer.errors()["wifi_passphrase"])
        page.post("/network", net_mode="wifi", wifi_name="yard", wifi_passphrase="", wifi_open="yes")
        self.assertNotIn("One is set", page.get("/network").text)


class Scanning(Wifi):
    def test_what_can_be_heard_is_shown_the_strongest_first(self):
        self.air(YARD, DEPOT, {**DEPOT, "bssid": "02:00:00:00:00:09", "level": -70}, {**YARD, "ssid": "", "level": -20})
        node = self.node()
        networks = node.cli("net", "scan", "-o", "json").ok().json()["networks"]
        self.assertEqual([(n["name"], n["signal_dbm"], n.get("secured", False)) for n in networks],
                         [("depot", -47, True), ("yard", -80, False)])
        self.assertRegex(node.cli("net", "scan", "wlan0").ok().out, r"depot\s+-47 dBm\s+yes\s+wlan0")

    def test_an_open_network_with_the_name_of_a_secured_one_is_another(self):
        self.air(DEPOT, {**DEPOT, "bssid": "02:00:00:00:66:66", "level": -30, "flags": "[ESS]"})
        networks = self.node().cli("net", "scan", "-o", "json").ok().json()["networks"]
        self.assertEqual([(n["name"], n.get("secured", False)) for n in networks], [("depot", False), ("depot", True)])

    def test_names_that_want_to_do_harm_are_shown_harmless(self):
        names = [b"\x1b[2J\x1b[31mred", b"line\nNETWORK", b"\xff\xfe\x00bad", "turn\u202eround".encode(), b"<b>&\"'"]
        self.air(*[{**YARD, "ssid": name.hex(), "bssid": f"02:00:00:00:01:{i:02x}", "level": -50 - i}
                   for i, name in enumerate(names)])
        node = self.node()
        answer = node.cli("net", "scan", "-o", "json").ok()
        self.assertEqual([n["name"] for n in answer.json()["networks"]],
                         [r"\x1b[2J\x1b[31mred", r"line\nNETWORK", r"\xff\xfe\x00bad", r"turn\xe2\x80\xaeround", "<b>&\"'"])
        shown = node.cli("net", "scan").ok().out
        self.assertFalse(any(c in shown for c in "\x1b\u202e\x00"), shown)
        self.assertEqual(len(shown.strip().splitlines()), 1 + len(names), shown)

    def test_four_hundred_networks_are_no_trouble(self):
        self.air(*[{**YARD, "ssid": f"net-{i}".encode().hex(), "bssid": f"02:00:00:00:{i // 256:02x}:{i % 256:02x}",
                    "level": -30 - i // 10} for i in range(400)])
        self.assertEqual(len(self.node().cli("net", "scan", "-o", "json").ok().json()["networks"]), 256)

    def test_who_asks_for_an_interface_that_is_no_radio_is_told(self):
        self.air()
        node = self.node()
        self.assertIn("lo is no Wi-Fi interface", node.cli("net", "scan", "lo").exits(1).err)
        self.assertIn("No Wi-Fi network can be heard", node.cli("net", "scan").ok().out)


ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("")
s.connect(sys.argv[1])
for command in sys.argv[2:]:
    s.send(command.encode())
    print(s.recv(4096).decode().strip())
"""


@unittest.skipUnless(shutil.which("wpa_supplicant"), "wpa_supplicant is not installed (scripts/install-dependencies net)")
class Real(Wifi):
    def node(self, config="maculaos: {}\n", **_):
        return super().node(config, program="wpa_supplicant", driver="wired")

    def test_wpa_supplicant_joins_what_netd_tells_it(self):
        node = self.node("maculaos:\n  wifi: [{name: yard}]\n")
        self.assertEqual(node.wait_net(lambda net: self.wifi(net).get("name")), "yard")
        self.assertEqual(node.net().notes(), "")

    def test_every_character_of_a_name_and_a_passphrase_comes_as_it_is(self):
        node = self.node("maculaos:\n  wifi:\n    - {name: 'de\"pot ', passphrase: 'cor\"rect\\ horse'}\n    - {name: café}\n"
                         "    - {name: key, passphrase: %s}\n" % ("0123456789abcdef" * 4))
        node.wait_net(lambda net: "connected" in self.wifi(net))

        def ask(*commands, check=True):
            return node.space.exec("python3", "-c", ASK, node.root / "run/macula/net/wifi/wlan0", *commands, check=check).stdout

        # A wire is joined with the first network already, while netd tells of the others, maybe a process that began anew.
        self.assertTrue(node.until(lambda: "2\tkey\tany" in ask("LIST_NETWORKS", check=False)))
        told = ask("LIST_NETWORKS", "GET_NETWORK 0 key_mgmt", "GET_NETWORK 0 psk", "GET_NETWORK 1 key_mgmt")
        self.assertIn('0\tde\\"pot \tany', told)
        self.assertIn("1\tcaf\\xc3\\xa9\tany", told)
        self.assertIn("2\tkey\tany", told)
        self.assertIn("\nWPA-PSK WPA-PSK-SHA256 SAE\n*\nNONE", told)
        self.assertEqual(node.net().notes(), "")


if __name__ == "__main__":
    unittest.main()
