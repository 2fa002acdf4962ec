#!/usr/bin/env python3
"""What the node applies by itself, and what it remembers of what people have decided."""
import datetime
import os
import signal
import unittest

from upgrade_harness import BIN, FIRST, Background, ReleaseServer, Signer, UpgradeTest, make_release


class Policy(UpgradeTest):
    def looked(self, node, times):
        for _ in range(times):
            node.runner.wait("looked for a newer version")

    def test_a_version_that_somebody_went_back_from_is_not_applied_again(self):
        with self.node() as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.upgrade("rollback", "--yes", "--reason", "the shop is broken").exits(4)
            told = node.events("upgrade.rolled_back", count=1)
            node.stop()
            told.close()
            node.reboot()
            node.wait_for_outcome("rolled_back")
            status = node.status()
            self.assertEqual((status["version"], status["last"]["version"], status["last"]["cause"]), (FIRST, "0.2.0", "user"))
            self.assertRegex(status["last"]["reason"], "^rolled back by .*: the shop is broken$")
            self.assertEqual([r["version"] for r in status["refused"]], ["0.2.0"])
            node.cli("config", "set", "maculaos.upgrade.auto_apply", "true").ok()
            node.stop()
            node.start(MACULA_UPGRADE_CHECK_MS="100")
            self.looked(node, 3)
            self.assert_untouched(node)
            self.assertIn("the shop is broken", node.upgrade("apply").exits(5).err)
            node.upgrade("apply", "--force").exits(4)

    def test_an_image_that_is_wrong_is_not_fetched_again_and_again(self):
        self.server.fault("*.slot", times=None, change=1 << 20)
        with self.node(more="auto_apply: true\ndelta: false") as node:
            node.stop()
            node.start(MACULA_UPGRADE_CHECK_MS="100")
            node.wait_for_outcome("failed")
            asked = len(self.server.asked_for("*.slot"))
            self.looked(node, 4)
            self.assertEqual(len(self.server.asked_for("*.slot")), asked)
            self.assertEqual([o["state"] for o in node.history()], ["failed"])
            # Another image under the same name is another matter.
            good = make_release(self.served / "again", "0.2.0", self.signer, data=os.urandom(3 << 20), sequence=2000002)
            self.server.heal()
            watcher = node.events("upgrade.activated", count=1)
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}{good.name}/").ok()
            watcher.wait("0.2.0")
            watcher.close()

    def test_a_version_that_somebody_has_cancelled_is_not_applied_at_once(self):
        for when in ("during its job", "before its start"):
            with self.subTest(when), self.node(more="delta: false") as node:
                node.upgrade("check").ok()
                if when == "during its job":
                    self.server.fault("*.slot", times=1, cut=1 << 20, stall=60)
                    node.upgrade("apply", "--no-wait").ok()
                    self.assertTrue(self.server.reached.wait(30))
                    node.upgrade("cancel").ok()
                    self.server.heal()
                    node.wait_for_outcome("cancelled")
                else:
                    node.upgrade("apply").exits(4)
                    node.upgrade("cancel").ok()
                node.cli("config", "set", "maculaos.upgrade.auto_apply", "true").ok()
                node.stop()
                node.start(MACULA_UPGRADE_CHECK_MS="100")
                self.looked(node, 3)
                self.assert_untouched(node)

    def test_a_change_of_the_configuration_that_waits_keeps_it_from_beginning(self):
        with self.node() as node:
            node.stop()
            node.start(MACULA_UPGRADE_CHECK_MS="100")
            node.cli("config", "set", "maculaos.upgrade.auto_apply", "true", "--confirm", "5m").ok()
            node.runner.wait("not applied by itself now.*waits to be confirmed")
            self.assertNotIn("job", node.status())
            watcher = node.events("upgrade.activated", count=1)
            node.cli("config", "confirm").ok()
            watcher.wait("0.2.0")
            watcher.close()

    def test_the_restart_waits_for_the_window_that_is_open(self):
        """The window closes while the image comes: it is written, and tried when the window is open again."""
        now = datetime.datetime.now()
        with self.node(more="auto_apply: true\ndelta: false") as node:
            node.stop()
            self.server.fault("*.slot", times=1, cut=1 << 20, stall=60)
            node.start(MACULA_UPGRADE_CHECK_MS="100")
            self.assertTrue(self.server.reached.wait(30))
            away = (now + datetime.timedelta(hours=12)).strftime("%H:%M")
            node.cli("config", "set", "maculaos.upgrade.window", f"{away}-{away[:3]}59").ok()
            self.server.heal()
            said = node.runner.wait("tried when the window is open|the next start tries a new version").string
            self.assertIn("window", said)
            status = node.status()
            self.assertEqual((status["reboot_required"], status["other"]["state"]), (False, "standby"))
            asked = len(self.server.asked_for("*.slot"))
            watcher = node.events("upgrade.activated", count=1)
            node.cli("config", "set", "maculaos.upgrade.window", "").ok()
            watcher.wait("0.2.0")
            watcher.close()
            self.assertEqual(len(self.server.asked_for("*.slot")), asked)

    def test_a_version_that_is_none_is_refused(self):
        with self.node() as node:
            for version in ("0.9", "v0.2.0", "latest"):
                for verb in ("apply", "prefetch"):
                    self.assertIn(version, node.upgrade(verb, version).exits(5).err)
            self.assert_untouched(node)
            node.upgrade("apply", "0.2.0").exits(4)

    def test_what_was_fetched_ahead_is_shown(self):
        with self.node() as node:
            node.upgrade("prefetch").ok()
            other = node.status()["other"]
            self.assertEqual((other["state"], other["version"]), ("standby", "0.2.0"))
            self.server.fault("*", times=None, status=503)  # and is applied without a network
            node.upgrade("apply").exits(4)
            self.assertEqual(len(self.server.asked_for("*.slot")), 1)

    def test_what_was_fetched_ahead_is_worth_what_its_signature_is_worth_now(self):
        """Without a network only what the keys of now have been asked about is applied."""
        other = Signer(self.work, "other-of-now")
        self.addCleanup(other.close)
        changes = {"verify_signature": lambda node: node.cli("config", "set", "maculaos.upgrade.verify_signature", "true").ok(),
                   "another key": lambda node: node.write("/etc/macula/release.asc", other.public.read_text())}
        for name, change in changes.items():
            with self.subTest(name), self.node(more="verify_signature: false" if name == "verify_signature" else "") as node:
                self.server.heal()
                node.upgrade("prefetch").ok()
                change(node)
                self.server.fault("*", times=None, status=503)
                self.assertIn("503", node.upgrade("apply", "--timeout", "60s").exits(7).err)
                self.assert_untouched(node)

    def test_a_trial_that_is_taken_back_before_its_start_is_recorded(self):
        with self.node() as node:
            node.upgrade("apply").exits(4)
            watcher = node.events("upgrade.cancelled", count=1)
            node.upgrade("cancel").ok()
            watcher.wait("0.2.0")
            watcher.close()
            self.assertEqual((node.status()["last"]["state"], node.status()["last"]["version"]), ("cancelled", "0.2.0"))

    def test_in_full_means_in_full(self):
        with self.node() as node:
            node.upgrade("apply").exits(4)
            node.upgrade("cancel").ok()
            before = len(self.server.asked_for("*.slot"))
            node.upgrade("apply", "--full").exits(4)
            self.assertEqual([ranges for _, ranges in self.server.asked_for("*.slot")[before:]], [None])


class Sources(UpgradeTest):
    """A node that runs 0.7.0, and a next version of which it has the most already."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        base = os.urandom(6 << 20)
        make_release(cls.served / "v0.7.0", "0.7.0", cls.signer, data=base)
        make_release(cls.served / "v0.8.0", "0.8.0", cls.signer, data=base[:3 << 20] + os.urandom(100000) + base[3 << 20:])

    def on_the_first(self, node):
        node.upgrade("apply").exits(4)
        node.reboot()
        node.wait_for_outcome("confirmed")
        node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.8.0/").ok()

    def test_an_image_that_does_not_come_ends_the_job_whatever_is_here_already(self):
        with self.node("0.7.0") as node:
            self.on_the_first(node)
            self.server.fault("*.slot", times=None, status=503)
            node.upgrade("apply", "--timeout", "60s").exits(7)
            self.server.heal()
            node.upgrade("apply").exits(4)

    def test_without_its_index_the_whole_image_is_fetched(self):
        for status in (503, 429):
            with self.subTest(status), self.node("0.7.0") as node:
                self.server.heal()
                self.on_the_first(node)
                self.server.fault("*.chunks", times=None, status=status)
                node.upgrade("apply", "--timeout", "60s").exits(4)

    def test_a_server_without_ranges_sends_the_whole_image(self):
        with self.node("0.7.0") as node:
            self.on_the_first(node)
            self.server.ranges = False
            node.upgrade("apply").exits(4)

    def test_a_plan_says_how_long_it_takes_once_that_can_be_known(self):
        with self.node("0.7.0", more="delta: false") as node:
            self.assertNotIn("seconds", node.upgrade("plan", "-o", "json").ok().json())
            self.on_the_first(node)
            self.assertIn("seconds", node.upgrade("plan", "-o", "json").ok().json())
            self.assertNotIn("seconds", node.upgrade("plan", "--from", self.served / "v0.8.0", "-o", "json").ok().json())
            node.cli("config", "set", "maculaos.upgrade.bandwidth_limit", "1k").ok()
            self.assertGreater(node.upgrade("plan", "-o", "json").ok().json()["seconds"], 6000)  # the limit, when it is less

    def test_plans_for_anybody_are_made_one_at_a_time(self):
        with self.node() as node:
            self.server.fault("release.json", times=1, cut=1, stall=30)
            first = Background(BIN / "maculaos", "upgrade", "plan", env=node.env)
            self.assertTrue(self.server.reached.wait(30))
            self.assertIn("another plan", node.upgrade("plan").exits(1).err)
            self.server.heal()
            first.process.wait(30)
            first.close()
            node.upgrade("plan").ok()

    def test_an_upgrader_that_ends_while_it_is_asked_leaves_in_order(self):
        """It waits for its workers: what comes of them would be nobody's memory any more."""
        for asked, stalled in (("check", "release.json"), ("plan", "release.json"), ("plan", "*.chunks")):
            with self.subTest(asked, stalled=stalled), self.node() as node:
                node.stop()
                node.start(MALLOC_PERTURB_="85")
                self.server.reached.clear()
                self.server.released.clear()
                self.server.fault(stalled, times=1, cut=1, stall=30)
                with Background(BIN / "maculaos", "upgrade", asked, "--timeout", "10s", env=node.env) as question:
                    self.assertTrue(self.server.reached.wait(30))
                    os.kill(node.pids()["upgrader"], signal.SIGTERM)
                    question.process.wait(30)  # it is answered, at the latest when its upgrader leaves the bus
                    self.server.heal()
                    self.assertRegex(node.runner.wait("unit=upgrader state=(waiting|stopped|failed|restart)").string, "why=.*ended")

    def test_an_upgrader_that_ends_while_a_directory_is_looked_into_leaves_in_order(self):
        with self.node() as node:
            node.stop()
            released = node.path("/released")
            os.mkfifo(released)
            node.write("/bin/gpgv", f"#!/bin/sh\n: >{node.path('/looked')}\nexec cat {released}\n")
            node.path("/bin/gpgv").chmod(0o755)
            node.start(MALLOC_PERTURB_="85", PATH=f"{node.path('/bin')}:{os.environ['PATH']}")
            with Background(BIN / "maculaos", "upgrade", "check", "--from", self.served / "v0.2.0", "--timeout", "10s",
                            env=node.env) as question:
                self.assertTrue(node.until(node.path("/looked").exists))
                os.kill(node.pids()["upgrader"], signal.SIGTERM)
                question.process.wait(30)
                os.close(os.open(released, os.O_RDWR))
                self.assertRegex(node.runner.wait("unit=upgrader state=(waiting|stopped|failed|restart)").string, "why=.*ended")

    def test_a_mirror_stands_in_for_a_wrong_image(self):
        with ReleaseServer(self.served) as mirror, self.node(more=f"delta: false\nmirrors: [{mirror.url}v0.2.0/]") as node:
            self.server.fault("*.slot", times=None, change=1 << 20)
            node.upgrade("apply").exits(4)
            self.assertTrue(mirror.asked_for("*.slot"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
