#!/usr/bin/python3
"""The set-up of a node that gets a fixed address: what does not work here is not kept, unless it is meant for elsewhere."""
import unittest

from net_harness import NetTest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjkxFNOtbnvj4WVzUCrF me"


def fixed(address, gateway, *more):
    return "\n".join(("net_mode=static", "net_interface=eth0", f"net_address={address}", f"net_gateway={gateway}", f"ssh_keys={KEY}",
                      *more)) + "\n"


class SetUp(NetTest):
    def setUp(self):
        super().setUp()
        self.router = self.lan.router(dhcp=True)
        self.node = self.lan.node(services=("confd", "netd", "firstboot"), env={"MACULA_NETD_PROVE_MS": "3000"})
        self.addCleanup(self.node.stop)
        self.node.wait_net(lambda net: net.gateway() and net.address("eth0", "dhcp"))
        self.assertTrue(self.node.space.reaches("192.168.77.1"))

    def finish(self, answers):
        return self.node.cli("setup", "--answers", "-", "--finish", "--no-reboot", stdin=answers)

    def test_an_address_for_another_network_is_taken_where_that_is_said(self):
        refused = self.finish(fixed("10.44.0.2/24", "10.44.0.1"))
        self.assertNotEqual(refused.code, 0)
        self.assertIn("no longer reaches the IPv4 gateway", refused.err)
        self.assertIn("For another network than this one (net_elsewhere)", refused.err)
        self.assertNotIn("--confirm", refused.err)
        self.assertFalse(self.node.path("/var/lib/maculaos/.configured").exists())
        self.node.wait_net(lambda net: net.address("eth0", "dhcp"))
        self.finish(fixed("10.44.0.2/24", "10.44.0.1", "net_elsewhere=yes")).ok()
        self.node.wait_net(lambda net: net.address("eth0", "configured", "10.44.0.2/24"))
        self.assertTrue(self.node.path("/var/lib/maculaos/.configured").exists())
        self.assertNotIn("pending", self.node.cli("config", "status", "-o", "json").ok().json())

    def test_the_same_answers_are_tried_anew_when_the_network_has_been_mended(self):
        answers = fixed("192.168.77.9/24", "192.168.77.254", "net_dns=192.168.77.1")
        self.assertIn("no longer reaches the IPv4 gateway", self.finish(answers).err)
        self.router.ip("addr", "add", "192.168.77.254/24", "dev", "lan0")
        self.assertTrue(self.node.space.reaches("192.168.77.254"))
        self.finish(answers).ok()
        self.node.wait_net(lambda net: net.gateway() == "192.168.77.254")


if __name__ == "__main__":
    unittest.main()
