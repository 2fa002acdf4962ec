#!/usr/bin/env python3
"""A version that may not stay goes back, whatever is in its way: a full disk, a configuration that nobody can take back."""
import json
import os
import shutil
import unittest

from upgrade_harness import FIRST, UpgradeTest

CHECK = {"name": "shop", "type": "tcp", "address": "127.0.0.1:9", "interval": "300ms", "timeout": "200ms", "failures": 1,
         "gates_upgrade": True}


@unittest.skipUnless(os.getuid() == 0, "mounting a small file system needs root")
class FullDisks(UpgradeTest):
    """The data partition is full, and stays so; the boot state is on another one."""

    def small(self, **options):
        node = self.node(**options)
        config, state = node.read("/var/lib/maculaos/config.yaml"), node.path("/var/lib/maculaos")
        if os.system(f"mount -t tmpfs -o size=24m tmpfs '{state}'") != 0:
            self.skipTest("mounting is not permitted here")
        self.addCleanup(shutil.rmtree, node.root, ignore_errors=True)  # of the place where it was mounted
        self.addCleanup(lambda: os.system(f"umount -l '{state}'"))
        node.write("/var/lib/maculaos/config.yaml", config)
        return node

    def fill(self, node):
        filler = node.path("/var/lib/maculaos/filler")
        for piece in (1 << 20, 4096):
            with open(filler, "ab", buffering=0) as stream:
                try:
                    while stream.write(b"x" * piece) == piece:
                        pass
                except OSError:
                    pass

    def assert_goes_back(self, node, cause):
        node.runner.wait_once("the new version may not stay", 90)
        node.runner.wait_once("a restart was asked for")
        self.assertNotIn("pending", node.boot())
        self.assertTrue(node.status()["trial"]["rejected"])
        node.stop()
        self.fill(node)  # what the services have given back at their end
        node.reboot()
        status = node.status()
        self.assertEqual((status["version"], status["running"]["state"]), (FIRST, "active"))
        node.path("/var/lib/maculaos/filler").unlink()
        node.reboot()
        node.wait_for_outcome("rolled_back")
        self.assertEqual([(o["version"], o["cause"]) for o in node.history()], [("0.2.0", cause)])
        self.assertEqual([r["version"] for r in node.status()["refused"]], ["0.2.0"])

    def test_an_unhealthy_version_goes_back_from_a_full_disk(self):
        with self.small() as node:
            node.cli("config", "patch", json.dumps({"maculaos": {
                "upgrade": {"health_hold": "1s", "health_timeout": "5s"}, "health": {"checks": [CHECK]}}})).ok()
            node.upgrade("apply").exits(4)
            node.reboot()
            self.fill(node)
            self.assert_goes_back(node, "unhealthy")

    def test_a_person_has_a_version_go_back_from_a_full_disk(self):
        with self.small(hold="10m") as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            self.fill(node)
            node.upgrade("rollback", "--yes", "--reason", "it is too slow")
            self.assert_goes_back(node, "user")

    def test_without_the_room_that_is_set_aside_only_the_reason_is_lost(self):
        with self.small(hold="10m") as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            for reserve in node.path("/var/lib/maculaos").glob("*/reserve"):
                reserve.unlink()
            self.fill(node)
            node.upgrade("rollback", "--yes", "--reason", "it is too slow")
            node.runner.wait("a restart was asked for")
            node.kill_service("upgrader")
            node.runner.wait("waits for its restart")
            self.assert_goes_back(node, "unknown")


class Configurations(UpgradeTest):
    """The configuration of before cannot be taken back."""

    def come_back(self, node, block, **env):
        node.cli("config", "patch", '{"write_files": [{"path": "/etc/shop/list", "content": "tea"}]}').ok()
        node.upgrade("apply").exits(4)
        node.reboot()
        node.cli("config", "patch", '{"hostname": "during", "write_files": null}').ok()
        node.upgrade("rollback", "--yes", "--reason", "it is too slow")
        block(node)
        node.reboot(**env)
        self.assertEqual(node.status()["version"], FIRST)

    def stand_in_the_way(self, node):
        """Too large to be kept, which is seen when it is about to be replaced: the change is tried and undone."""
        node.write("/etc/shop/list", "")
        os.truncate(node.path("/etc/shop/list"), 1 << 30)

    def test_one_that_was_tried_and_undone_is_tried_once(self):
        with self.node(hold="10m") as node:
            self.come_back(node, self.stand_in_the_way)
            node.wait_for_outcome("rolled_back")
            last = node.status()["last"]
            self.assertEqual((last["version"], last["cause"]), ("0.2.0", "user"))
            self.assertRegex(last["reason"], "it is too slow .*generation [0-9]+, could not be taken back: .*/etc/shop")
            self.assertEqual(node.get("hostname"), "during")
            asked = node.generation()
            node.upgrade("apply", "--force").exits(4)
            node.reboot()
            self.assertEqual((node.status()["trial"]["version"], node.generation()), ("0.2.0", asked))

    def take_the_room(self, node):
        """Where room is set aside before a change, there is something else: none is begun."""
        reserve = node.path("/var/lib/maculaos/generations/reserve")
        reserve.unlink()
        reserve.mkdir()

    def test_one_that_never_works_is_given_up(self):
        with self.node(hold="10m") as node:
            self.come_back(node, self.take_the_room)
            node.wait_for_outcome("rolled_back")
            self.assertRegex(node.status()["last"]["reason"], "could not be taken back: .*reserve")

    def test_an_upgrade_meanwhile_is_not_taken_for_the_return(self):
        with self.node(hold="10m") as node:
            self.come_back(node, self.take_the_room, MACULA_UPGRADE_RETRY_MS="2000")
            node.runner.wait("the configuration cannot be taken back yet")
            node.upgrade("apply", "--force", "--job", "again").exits(4)
            node.path("/var/lib/maculaos/generations/reserve").rmdir()  # so that another attempt would succeed
            self.assertRegex(node.status()["last"]["reason"], "could not be taken back: another version was activated")
            node.reboot()
            node.cli("config", "set", "maculaos.upgrade.health_hold", "100ms").ok()
            node.wait_for_outcome("confirmed")
            self.assertEqual([(o["state"], o.get("job")) for o in node.history()][0], ("confirmed", "again"))
            self.assertEqual([o["state"] for o in node.history()], ["confirmed", "rolled_back"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
