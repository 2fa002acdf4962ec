"""The network of the image, with its own kernel: the node's name by its own avahi-daemon, a WireGuard interface."""
import time
import unittest

from os_case import OsTest

HUB = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
TUNNEL = f"""    wireguard:
      addresses: [10.99.0.2/24]
      peers: [{{name: hub, public_key: "{HUB}", endpoint: "10.0.2.2:51820", allowed_ips: [10.20.0.0/16], keepalive: 25s}}]
"""
NET = "macula.rpc.io.macula.net"


class Network(OsTest):
    def wait(self, bus, subject, wanted, console, seconds=120):
        """The first answer for which wanted(answer) is true; its result."""
        deadline = time.monotonic() + seconds
        while True:
            answer = bus.json(subject)
            found = wanted(answer)
            if found:
                return found
            if time.monotonic() > deadline:
                raise console.failed(f"never so: {answer}")
            console.expect_quiet(1)

    def test_the_node_has_a_name_and_a_tunnel(self):
        machine = self.machine(self.disk(), self.medium(more=TUNNEL))
        self.up(machine)
        with self.bus(machine) as bus:
            naming = self.wait(bus, f"{NET}.status", lambda status: status.get("naming", {}).get("state") == "announced"
                               and status["naming"], machine.console)
            own = self.wait(bus, f"{NET}.peers", lambda answer: answer.get("peers"), machine.console)[0]
            self.assertTrue(own["self"], own)
            self.assertEqual((own["host"], len(own["node_id"])), (naming["host"], 56))
            status = bus.json(f"{NET}.status")
        link = next(link for link in status["links"] if link["name"] == "wg-mesh")
        self.assertEqual((link["kind"], link["addresses"][0]["address"]), ("wireguard", "10.99.0.2/24"))
        self.assertEqual((link["wireguard"]["port"], link["wireguard"]["peers"][0]["endpoint"]), (51820, "10.0.2.2:51820"))
        self.assertIn("10.20.0.0/16", [route["to"] for route in status["routes"]])
        self.assertFalse([note for note in status.get("notes", []) if "wg-mesh" in note["message"]], status.get("notes"))
        for interface in ("default", "e*", "wg-mesh"):
            machine.console.ok(f'[ "$(cat /proc/sys/net/ipv[46]/conf/{interface}/accept_redirects | sort -u)" = 0 ]')

    def test_the_name_comes_back_when_the_bus_that_avahi_needs_has_died(self):
        machine = self.machine(self.disk(), self.medium())
        self.up(machine)
        with self.bus(machine) as bus:

            def announced():
                return self.wait(bus, f"{NET}.status", lambda status: status.get("naming", {}).get("state") == "announced"
                                 and status["naming"]["host"], machine.console)
            host = announced()
            machine.console.ok("bus=$(pgrep -x dbus-daemon) && mdns=$(pgrep -o avahi-daemon) && doas kill -9 $bus")
            # avahi-daemon ends with its bus; both are new then.
            machine.console.ok("until new=$(pgrep -x dbus-daemon) && [ $new != $bus ]; do sleep 1; done", 60)
            machine.console.ok("until new=$(pgrep -o avahi-daemon) && [ $new != $mdns ]; do sleep 1; done", 90)
            self.assertEqual(announced(), host)


if __name__ == "__main__":
    unittest.main()
