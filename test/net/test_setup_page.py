#!/usr/bin/python3
"""The page of the first boot, asked from the machines beside the node."""
import json
import re
import unittest

from net_harness import NetTest

CONSOLE = "/run/macula/firstboot/console"
WRONG = ("-d", "code=AAA-AAA")


class SetupPageTest(NetTest):
    def node(self, *addresses):
        config = f"maculaos:\n  network:\n    interfaces:\n      eth0: {{addresses: {str(list(addresses))}}}\n"
        node = self.lan.node(config, services=("confd", "netd", "firstboot"), env={"MACULA_FIRSTBOOT_OUTSIDE": "1"})
        for address in addresses:
            node.wait_net(lambda net, a=address: net.address("eth0", "configured", a.split("/")[0]))
        node.port = node.until(lambda: (found := re.search(r"http://\S+:(\d+)", node.read(CONSOLE))) and found.group(1))
        return node

    def near(self, name, *addresses):
        """A machine in the same network."""
        space = self.lan.space(name)
        self.lan.plug(space, "eth0")
        space.ip("link", "set", "eth0", "up")
        for address in addresses:
            space.ip("addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        return space

    def ask(self, space, node, address, *more, path="/"):
        """The status of the answer; 0 when none comes."""
        host = f"[{address}]" if ":" in address else address
        return int(space.exec("curl", "-s", "-g", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *more,
                              f"http://{host}:{node.port}{path}", check=False).stdout)

    def code(self, node):
        return re.search(r"Code: (\S+)", node.read(CONSOLE)).group(1)

    def wait_open(self, space, node, address):
        self.assertTrue(node.until(lambda: self.ask(space, node, address) == 200))

    def test_a_neighbour_that_guesses_the_code_blocks_only_himself(self):
        node = self.node("192.168.77.9/24", "fd77::9/64")
        owner, evil = self.near("owner", "192.168.77.5/24", "fd77::5/64"), self.near("evil", "fd77::666/64")
        self.wait_open(owner, node, "fd77::9")
        for _ in range(8):
            self.assertIn(self.ask(evil, node, "fd77::9", *WRONG, path="/session"), (403, 429))
        self.assertEqual(self.ask(owner, node, "fd77::9", *WRONG, path="/session"), 403)
        self.assertEqual(self.ask(owner, node, "fd77::9", "-d", f"code={self.code(node)}", path="/session"), 303)

    def test_who_guesses_from_many_addresses_does_not_keep_the_owner_out(self):
        node = self.node("192.168.77.9/24")
        owner = self.near("owner", "192.168.77.5/24")
        evil = self.near("evil", *(f"192.168.77.{number}/24" for number in range(100, 131)))
        self.wait_open(owner, node, "192.168.77.9")
        found = []
        for number in range(100, 131):
            guess = f"curl -s -o /dev/null -w '%{{http_code}}\\n' --interface 192.168.77.{number} -d code=AAA-AAA " \
                    f"http://192.168.77.9:{node.port}/session"
            found += evil.exec("sh", "-c", f"{guess}; {guess}; {guess}").stdout.split()
        self.assertGreater(found.count("403"), 60)
        self.assertEqual(self.ask(owner, node, "192.168.77.9", "-d", f"code={self.code(node)}", path="/session"), 303)

    def warnings(self, node):
        answers = [{"name": "role_gateway", "value": "yes"}, {"name": "realm", "value": "io.macula"}]
        steps = node.cli("call", "firstboot.submit", json.dumps({"step": "mesh", "answers": answers})).ok().json()["steps"]
        return next(step for step in steps if step["name"] == "mesh").get("warnings", [])

    def test_an_address_behind_the_nat_of_a_carrier_is_neither_public_nor_shown(self):
        node = self.node("100.64.3.9/24", "192.168.77.9/24")
        self.assertTrue(node.until(lambda: "http://192.168.77.9:" in node.read(CONSOLE)), node.read(CONSOLE))
        self.assertNotIn("100.64.3.9", node.read(CONSOLE))
        self.assertRegex(" ".join(self.warnings(node)), "no public address")


if __name__ == "__main__":
    unittest.main(verbosity=2)
