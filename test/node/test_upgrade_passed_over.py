#!/usr/bin/env python3
"""A node that runs another slot than the active one: somebody chose it in the boot menu, or the boot loader passed over a
damaged one."""
import unittest

from upgrade_harness import FIRST, UpgradeTest
from release_maker import make_release
from test_upgrade_kills import STAY


class PassedOver(UpgradeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_release(cls.served / "v0.3.0", "0.3.0", cls.signer)

    def start_first(self, node, failed="", slot="a", version=FIRST, tries_lost=0):
        """What the initramfs says when slot a was started, though b is the active one; or the other way round."""
        node.write("/run/initramfs/boot.env", f"mode=disk\nslot={slot}\npending=0\nfailed={failed}\nversion={version}\npersistent=1\ntries_lost={tries_lost}\n")
        upgrader = node.pids()["upgrader"]
        node.kill_service("upgrader")
        assert node.until(lambda: node.pids().get("upgrader", upgrader) != upgrader and node.upgrade("status").code == 0)
        self.assertEqual(node.status()["version"], version)

    def upgraded(self, **options):
        node = self.node(**options)
        node.start()
        self.addCleanup(node.__exit__, None, None, None)
        node.upgrade("apply").exits(4)
        node.reboot()
        node.wait_for_outcome("confirmed")
        return node

    def offer_the_next(self, node):
        node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.3.0/").ok()

    def go_on_with_the_next(self, node):
        node.upgrade("apply").exits(4)
        node.reboot()
        node.wait_for_outcome("confirmed", 2)
        self.assertEqual(node.status()["version"], "0.3.0")
        self.assertNotIn("problems", node.status())

    def test_a_version_that_somebody_chose_in_the_boot_menu_can_stay(self):
        node = self.upgraded()
        self.start_first(node)
        status = node.status()
        self.assertEqual((status["running"]["state"], status["other"]["state"]), ("standby", "active"))
        self.assertRegex(status["problems"][0], r"slot a .*0\.1\.0.* runs, but slot b .*0\.2\.0.*active.*boot menu.*upgrade confirm")
        self.assertRegex(node.cli("boot", "status").ok().out, "boot confirm")
        before = node.boot()
        self.offer_the_next(node)
        self.assertRegex(node.upgrade("check").ok().out, "upgrade confirm")
        for refused in (("apply",), ("prefetch",), ("rollback", "--yes")):
            self.assertRegex(node.upgrade(*refused).exits(5).err, "upgrade confirm")
        self.assertEqual(node.boot(), before)

        node.upgrade("confirm").ok()
        boot, status = node.boot(), node.status()
        self.assertEqual((boot["active"], boot["seq"]), ("a", before["seq"] + 1))
        self.assertNotIn("pending", boot)
        self.assertNotIn("problems", status)
        self.assertEqual((status["running"]["state"], status["other"]["state"]), ("active", "failed"))
        left = [o for o in node.history() if o["state"] == "rolled_back"]
        self.assertEqual([(o["version"], o["from_version"], o["cause"]) for o in left], [("0.2.0", FIRST, "user")])
        self.assertEqual([r["version"] for r in status["refused"]], ["0.2.0"])
        node.upgrade("confirm").exits(3)
        self.go_on_with_the_next(node)

    def test_killed_at_every_step_of_staying_it_is_done_or_not(self):
        for name in STAY:
            with self.subTest(name):
                node = self.upgraded()
                node.reboot(MACULA_FAULT=name, MACULA_FAULT_ARMED=str(node.path("/armed")))
                self.start_first(node)
                node.runner.lines.drain()
                node.write("/armed", "")
                node.upgrade("confirm", "--timeout", "5s")
                node.runner.wait("unit=upgrader state=waiting", 60)
                node.path("/armed").unlink()
                assert node.until(lambda: node.upgrade("status").code == 0)
                self.assertEqual(node.boot()["active"], "b" if name == STAY[0] else "a")
                node.upgrade("confirm").exits(0 if name == STAY[0] else 3)
                self.assertEqual([o["version"] for o in node.history() if o["state"] == "rolled_back"], ["0.2.0"])
                self.assertEqual([r["version"] for r in node.status()["refused"]], ["0.2.0"])
                node.stop()

    def test_the_boot_state_alone_can_do_it_too(self):
        node = self.upgraded()
        self.start_first(node)
        node.cli("boot", "confirm").ok()
        self.assertEqual(node.boot()["active"], "a")
        node.cli("boot", "confirm").exits(3)
        self.offer_the_next(node)
        self.go_on_with_the_next(node)

    def test_a_damaged_version_is_told_of_once_and_written_over(self):
        node = self.upgraded()
        for _ in range(3):
            self.start_first(node, failed="b")
            node.wait_for_outcome("rolled_back")
        self.assertEqual([(o["state"], o["version"]) for o in node.history()], [("rolled_back", "0.2.0"), ("confirmed", "0.2.0")])
        status = node.status()
        self.assertEqual((status["running"]["state"], status["other"]["state"]), ("standby", "failed"))
        self.assertRegex(status["problems"][0], "slot b .*active.*damaged")
        self.assertEqual(status["last"]["cause"], "start")
        for said in (status["last"], status["refused"][0]):
            self.assertRegex(said["reason"], "kernel or initramfs .*damaged.*confirmed before")
        self.assertEqual(node.boot()["active"], "b")
        self.offer_the_next(node)
        self.go_on_with_the_next(node)

    def test_the_same_version_mends_what_is_damaged(self):
        node = self.upgraded()
        with node.path("/boot/slot-b").open("r+b") as slot:
            slot.seek(5000)
            slot.write(b"decayed")
        self.start_first(node, failed="b")
        node.wait_for_outcome("rolled_back")
        self.assertRegex(node.upgrade("apply").exits(5).err, "damaged.*--force")
        node.upgrade("apply", "--force").exits(4)
        self.assertEqual(node.boot()["active"], "a")
        node.reboot()
        node.wait_for_outcome("confirmed", 3)
        status = node.status()
        self.assertEqual((status["version"], status["running"]["state"]), ("0.2.0", "active"))
        self.assertNotIn("refused", status)

    def test_the_version_that_the_menu_could_not_start_did_not_come_back(self):
        """GRUB says failed=b, too, when somebody chose a damaged version that is not the active one."""
        with self.node() as node:
            self.start_first(node, failed="b")
            self.assertNotIn("refused", node.status())
            self.assertEqual(node.history(), [])

    def test_a_version_on_trial_that_the_menu_started_in_place_of_a_damaged_one_did_not_come_back(self):
        """"Previous version" is the one before then; when that is damaged, the one on trial starts in its place."""
        with self.node(hold="10m") as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            self.assertEqual(node.status()["trial"]["version"], "0.2.0")
            self.start_first(node, failed="a", slot="b", version="0.2.0")
            node.wait_for_outcome("rolled_back")
            self.assertEqual([(o["version"], o["from_version"], o["cause"]) for o in node.history()], [(FIRST, "0.2.0", "start")])
            status = node.status()
            self.assertEqual([r["version"] for r in status["refused"]], [FIRST])
            self.assertRegex(status["problems"][0], r"slot b .*0\.2\.0.* runs, but slot a .*0\.1\.0.*damaged")
            self.assertEqual((node.boot()["active"], node.boot()["pending"]), ("a", "b"))
            node.reboot()  # an ordinary start tries it as before
            self.assertEqual(node.status()["trial"]["version"], "0.2.0")
            self.start_first(node, failed="a", slot="b", version="0.2.0")
            node.upgrade("confirm").ok()
            self.assertEqual(node.boot()["active"], "b")
            self.assertNotIn("problems", node.status())

    def test_the_version_before_that_somebody_chose_in_the_menu_during_a_trial_is_a_rollback_by_a_person(self):
        for tries_lost, cause, reason in ((0, "user", "version before .*boot menu"), (1, "unknown", "without a trace")):
            with self.subTest(cause), self.node(hold="10m") as node:
                node.upgrade("apply").exits(4)
                node.reboot()
                self.assertEqual(node.status()["trial"]["version"], "0.2.0")
                self.start_first(node, tries_lost=tries_lost)
                node.wait_for_outcome("rolled_back")
                status = node.status()
                for said in (status["last"], status["refused"][0]):
                    self.assertEqual((said["version"], said["cause"]), ("0.2.0", cause))
                    self.assertRegex(said["reason"], reason)
                self.assertNotIn("pending", node.boot())
                self.assertNotIn("problems", status)


if __name__ == "__main__":
    unittest.main()
