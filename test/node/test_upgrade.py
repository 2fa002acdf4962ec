#!/usr/bin/env python3
"""Upgrades of a node: found, fetched, verified, tried, kept or given back."""
import contextlib
import json
import shlex
import sqlite3
import subprocess
import unittest

from node_harness import RawClient
from upgrade_harness import BIN, FIRST, UpgradeNode, UpgradeTest
from release_maker import Signer, make_release


class Upgrades(UpgradeTest):
    def test_the_bare_subject_answers_what_the_node_knows(self):
        with self.node() as node, RawClient(node.url) as client:
            _, answer = client.request("macula.rpc.io.macula.upgrade")
            status = json.loads(answer)
            self.assertEqual(status["version"], FIRST)
            self.assertEqual(status["running"], {"slot": "a", "state": "active", "version": FIRST})

    def test_a_version_is_applied_tried_and_kept(self):
        with self.node() as node:
            release = node.upgrade("check", "-o", "json").ok().json()
            self.assertEqual((release["version"], release["newer"], release["signed_by"]),
                             ("0.2.0", True, self.signer.fingerprint))
            node.upgrade("apply").exits(4)
            status = node.status()
            self.assertTrue(status["reboot_required"])
            self.assertEqual(status["other"]["version"], "0.2.0")
            self.assertEqual(status["version"], FIRST)
            node.reboot()
            node.wait_for_outcome("confirmed")
            status = node.status()
            self.assertEqual((status["version"], status["running"]["state"], status["other"]["version"]),
                             ("0.2.0", "active", FIRST))
            self.assertEqual(node.boot()["active"], "b")
            node.upgrade("check").exits(3)
            node.upgrade("apply").exits(3)

    def test_it_goes_back_and_forth(self):
        with self.node() as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.upgrade("rollback", "--yes", "--reason", "the radio is deaf").exits(4)
            node.reboot()
            node.wait_for_outcome("rolled_back")
            self.assertEqual(node.status()["version"], FIRST)
            node.upgrade("apply", "--force").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed", 2)
            self.assertEqual(node.status()["version"], "0.2.0")

    @staticmethod
    def use_up_the_tries(node):
        node.stop()
        tries = node.path("/boot/esp/grub/tries").read_bytes()
        seq = node.boot()["seq"]
        for name in (b"t1", b"t2", b"t3"):
            at = tries.index(name + b"=") + 3
            tries = tries[:at] + b"%010d" % seq + tries[at + 10:]
        node.path("/boot/esp/grub/tries").write_bytes(tries)

    def test_why_a_version_never_got_to_its_services_is_told_as_the_initramfs_has_noted_it(self):
        for cause, text, reason in (("panic", "Fatal exception", "panic: .*: Fatal exception"), ("hang", "", "^hang$"),
                                    ("verity", "data block 7 is corrupted", "verity: .*data block 7"), ("", "", "in its initramfs, without")):
            with self.subTest(cause), self.node() as node:
                node.upgrade("apply").exits(4)
                self.use_up_the_tries(node)
                node.write("/boot/trial-note", f"trial_slot=b\ntrial_stage=initramfs\ntrial_cause={cause}\ntrial_text='{text}'\n")
                node.reboot()
                node.wait_for_outcome("rolled_back")
                status = node.status()
                for said in (status["last"], status["refused"][0]):
                    self.assertRegex(said["reason"], reason)
                    self.assertEqual(said["cause"], cause or "unknown")

    def test_a_version_that_never_gets_to_its_services_comes_back_and_is_remembered(self):
        with self.node() as node:
            node.upgrade("apply").exits(4)
            self.use_up_the_tries(node)
            node.reboot()
            node.wait_for_outcome("rolled_back")
            status = node.status()
            self.assertEqual(status["version"], FIRST)
            self.assertEqual(status["refused"][0]["version"], "0.2.0")
            self.assertIn("did not get as far as its services", status["last"]["reason"])
            self.assertEqual(status["last"]["cause"], "start")
            self.assertNotIn("pending", node.boot())
            self.assertIn("was tried here and came back", node.upgrade("apply").exits(5).err)
            node.upgrade("apply", "--force").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            self.assertNotIn("refused", node.status())

    def test_a_trial_that_is_rejected_comes_back_with_its_configuration(self):
        with self.node(hold="10m") as node:
            node.cli("config", "set", "hostname", "before").ok()
            node.upgrade("apply").exits(4)
            node.reboot()
            self.assertEqual(node.status()["trial"]["version"], "0.2.0")
            node.cli("config", "set", "hostname", "during").ok()
            node.upgrade("rollback", "--yes", "--reason", "it is too slow")
            node.reboot()
            node.wait_for_outcome("rolled_back")
            status = node.status()
            self.assertEqual(status["version"], FIRST)
            self.assertRegex(status["last"]["reason"], "rolled back by .*: it is too slow")
            self.assertEqual((status["last"]["cause"], node.get("hostname")), ("user", "before"))

    def assert_rejected(self, node):
        """What is told while the version that was rejected waits for its restart."""
        status = node.status()
        trial, said = status["trial"], r"0\.2\.0 runs, but it was rejected .*it is too slow.* brings back version 0\.1\.0"
        self.assertEqual((status["version"], trial["version"], trial["from_version"]), ("0.2.0", "0.2.0", FIRST))
        self.assertEqual((trial["rejected"], trial["cause"]), (True, "user"))
        self.assertRegex(trial["reason"], "^rolled back by .*: it is too slow$")
        self.assertRegex(trial["waiting_for"], said)
        self.assertEqual((status["running"]["state"], status["other"]["state"]), ("failed", "active"))
        self.assertNotIn("problems", status)
        out = node.upgrade("status").ok().out
        self.assertRegex(out, f"rejected +version {said}")
        self.assertNotRegex(out, "stays unless|boot menu|upgrade confirm")
        self.assertNotIn("pending", node.boot())
        self.assertEqual(node.history(), [])

    def test_a_version_that_was_rejected_says_so_until_it_is_restarted(self):
        with self.node(hold="10m") as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            self.assertIs(node.status()["trial"]["rejected"], False)
            self.assertRegex(node.upgrade("status").ok().out, r"0\.2\.0 stays unless its checks fail")
            node.upgrade("rollback", "--yes", "--reason", "it is too slow")
            self.assert_rejected(node)
            for refused in (("confirm",), ("apply",), ("rollback", "--yes")):
                self.assertRegex(node.upgrade(*refused).exits(5).err, "was rejected .*it is too slow.* brings back version 0.1.0")
            node.runner.lines.drain()
            node.kill_service("upgrader")
            node.runner.wait("unit=upgrader state=ready")
            self.assert_rejected(node)
            node.reboot()
            node.wait_for_outcome("rolled_back")
            status = node.status()
            self.assertEqual((status["version"], status["last"]["cause"]), (FIRST, "user"))
            self.assertNotIn("trial", status)

    def test_a_rejection_that_was_cut_short_is_brought_to_its_end(self):
        with self.node(hold="10m") as node:
            node.upgrade("apply").exits(4)
            node.reboot(MACULA_FAULT="upgrader.reject.recorded", MACULA_FAULT_ARMED=str(node.path("/armed")))
            node.write("/armed", "")
            node.upgrade("rollback", "--yes", "--reason", "it is too slow", "--timeout", "5s")
            node.runner.wait("unit=upgrader state=waiting", 60)
            node.path("/armed").unlink()
            assert node.until(lambda: node.upgrade("status").code == 0)
            self.assert_rejected(node)

    def test_a_version_that_changed_the_stores_comes_back_to_those_of_before(self):
        """With a table more the version before goes on; with anything else changed it gets the copies."""
        stores = ("/var/lib/maculaos/generations/confd.db", "/var/lib/maculaos/upgrade/upgrade.db")
        changes = {"a table more": "CREATE TABLE of_the_new_version(x); PRAGMA user_version=99",
                   "another form": "ALTER TABLE {table} RENAME TO of_the_new_version; PRAGMA user_version=99; PRAGMA application_id=99"}
        for name, sql in changes.items():
            with self.subTest(name), self.node(hold="10m") as node:
                node.cli("config", "set", "hostname", "before").ok()
                node.upgrade("apply").exits(4)
                node.stop()
                if name == "another form":
                    for store in stores:
                        with contextlib.closing(sqlite3.connect(node.path(store))) as one, \
                                contextlib.closing(sqlite3.connect(f"{node.path(store)}.before")) as copy:
                            one.backup(copy)
                node.reboot()
                self.assertEqual(node.status()["trial"]["version"], "0.2.0")
                node.cli("config", "set", "hostname", "during").ok()
                node.upgrade("rollback", "--yes", "--reason", "it is too slow")
                node.stop()
                for store in stores:
                    table = "head" if "confd" in store else "message"
                    with contextlib.closing(sqlite3.connect(node.path(store))) as one:
                        one.executescript(sql.format(table=table))
                node.reboot()
                node.wait_for_outcome("rolled_back")
                status = node.status()
                self.assertEqual((status["version"], node.get("hostname")), (FIRST, "before"))
                self.assertRegex(status["last"]["reason"], "rolled back by .*: it is too slow")
                self.assertEqual(status["refused"][0]["version"], "0.2.0")
                self.assertNotIn("pending", node.cli("config", "status", "-o", "json").ok().json())
                node.upgrade("apply", "--force").exits(4)

    def test_a_version_that_is_not_well_goes_back_by_itself_and_says_which_check_failed(self):
        check = {"name": "shop", "type": "tcp", "address": "127.0.0.1:9", "interval": "300ms", "timeout": "200ms", "failures": 1,
                 "gates_upgrade": True}
        with self.node() as node:
            node.cli("config", "patch", json.dumps({"maculaos": {
                "upgrade": {"health_hold": "1s", "health_timeout": "3s"}, "health": {"checks": [check]}}})).ok()
            node.upgrade("apply").exits(4)
            runner = node.reboot().runner
            runner.wait("the new version may not stay", 90)
            runner.wait("a restart was asked for")
            self.assertRegex(node.cli("node", "info").ok().out, "may not stay")
            node.reboot()
            node.wait_for_outcome("rolled_back")
            status = node.status()
            self.assertEqual(status["version"], FIRST)
            self.assertRegex(status["last"]["reason"], "unhealthy: .*shop")
            self.assertEqual(status["last"]["cause"], "unhealthy")
            self.assertIn("was tried here and came back", node.upgrade("apply").exits(5).err)

    def test_the_keys_of_the_image_are_trusted_and_a_new_one_comes_with_an_image_that_the_old_one_signed(self):
        newer = Signer(self.work, "newer")
        self.addCleanup(newer.close)
        make_release(self.served / "v0.3.0", "0.3.0", newer)
        with UpgradeNode(f"{self.server.url}v0.2.0/") as node:
            self.assertIn("no key", node.upgrade("apply").exits(5).err)
            node.write("/usr/share/maculaos/keys/release.asc", self.signer.public.read_text())
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.3.0/").ok()
            self.assertIn("does not know the key", node.upgrade("apply").exits(5).err)
            node.write("/usr/share/maculaos/keys/newer.asc", newer.public.read_text())  # as its image would
            node.upgrade("apply").exits(4)

    def test_a_prefetched_version_needs_no_network_to_be_applied(self):
        with self.node() as node:
            node.upgrade("prefetch").ok()
            self.assertFalse(node.status()["reboot_required"])
            before = len(self.server.asked_for("*.slot"))
            node.upgrade("apply").exits(4)
            self.assertEqual(len(self.server.asked_for("*.slot")), before)

    def test_from_a_directory(self):
        with self.node() as node:
            node.upgrade("--from", self.served / "v0.2.0").exits(4)
            self.assertEqual(node.status()["other"]["version"], "0.2.0")
            node.upgrade("cancel").ok()
            self.assertNotIn("pending", node.boot())
            node.reboot()
            self.assertEqual(node.status()["version"], FIRST)

    def test_plan_and_check_judge_a_directory_as_apply_does(self):
        stick, lower = self.work / "ada's stick", self.work / "lower"
        make_release(stick, "0.3.0-rc.1", self.signer, channel="beta")
        make_release(lower, "0.0.9", self.signer)
        with self.node() as node:
            for verb in ("plan", "check"):
                self.assertNotIn("not applied", node.upgrade(verb, "--from", stick).ok().out, verb)
                self.assertIn("0.0.9 is lower than", node.upgrade(verb, "--from", lower).ok().out, verb)
            # What it says to type is what applies this directory.
            said = node.upgrade("check", "--from", stick).ok().out
            self.assertIn("Apply it with: maculaos upgrade apply\n", node.upgrade("check").ok().out)
            command = shlex.split(said.partition("Apply it with: maculaos upgrade ")[2])
            self.assertEqual(command, ["apply", "--from", str(stick.resolve())])
            node.upgrade(*command).exits(4)
            self.assertEqual(node.status()["other"]["version"], "0.3.0-rc.1")

    def test_the_example_of_the_help_restarts_into_what_it_applied(self):
        with self.node() as node:
            text = node.cli("upgrade", "--help").ok().out
            line = next(line.strip() for line in text.splitlines() if "--apply" in line and "reboot" in line)
            shell = ["sh", "-c", line.replace("maculaos ", f"{BIN}/maculaos ")]
            done = subprocess.run(shell, env=node.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(node.cli("node", "info", "-o", "json").json()["last_stop"]["reason"], "new version")

    def test_from_a_forge(self):
        make_release(self.served / "v0.3.0-rc.1", "0.3.0-rc.1", self.signer, channel="beta")
        with self.node() as node:
            node.cli("config", "patch", json.dumps({"maculaos": {"upgrade": {
                "url": "github://macula-io/macula-os", "github_api": self.server.url}}})).ok()
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.2.0")
            node.upgrade("set-channel", "beta").ok()
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.3.0-rc.1")
            node.upgrade("apply").exits(4)
            self.assertEqual(node.status()["other"]["version"], "0.3.0-rc.1")

    def test_what_was_found_before_is_not_offered_to_a_version_that_is_newer(self):
        make_release(self.work / "stick", "0.9.0", self.signer)
        with self.node(hold="10m") as node:
            node.upgrade("check").ok()
            self.assertEqual(node.status()["available"]["version"], "0.2.0")
            node.upgrade("apply", "--from", self.work / "stick").exits(4)
            node.reboot()
            self.assertEqual(node.status()["trial"]["version"], "0.9.0")
            self.assertNotIn("available", node.status())

    def test_where_nothing_is_under_way_there_is_nothing_to_do(self):
        with self.node() as node:
            for verb in ("pause", "resume", "cancel", "wait"):
                self.assertIn("no upgrade is under way", node.upgrade(verb).exits(3).err, verb)
            node.upgrade("set-channel", "beta").ok()
            self.assertEqual(node.status()["channel"], "beta")
            self.assertIn("has no command fly; see", node.upgrade("fly").exits(2).err)

    def test_pause_resume_and_cancel(self):
        self.server.fault("*.slot", cut=500000, stall=60)
        with self.node() as node:
            node.upgrade("apply", "--no-wait", "--job", "mine").ok()
            self.assertTrue(self.server.reached.wait(30))
            self.assertIn("another upgrade is under way", node.upgrade("apply").exits(5).err)
            node.upgrade("pause").ok()
            self.assertIn("upgrade resume", node.upgrade("wait").exits(8).err)
            self.assertEqual(node.status()["job"]["state"], "paused")
            self.server.heal()
            node.reboot()
            self.assertEqual(node.status()["job"]["state"], "paused")
            node.upgrade("resume").ok()
            node.upgrade("wait").exits(4)
            self.assertEqual(node.upgrade("apply", "--no-wait", "--job", "mine", "-o", "json").ok().json()["state"], "succeeded")
            node.upgrade("cancel").ok()
            self.assert_untouched(node)

    def test_a_pending_change_of_the_configuration_comes_first(self):
        with self.node() as node:
            node.cli("config", "set", "hostname", "other", "--confirm", "5m").ok()
            self.assertIn("waits to be confirmed", node.upgrade("apply").exits(5).err)
            node.cli("config", "confirm").ok()
            node.upgrade("apply").exits(4)

    def changed_while_it_is_fetched(self, node):
        """A change of the configuration waits for its confirmation when the image is there. How often the release was read."""
        self.server.fault("*.slot", times=1, cut=500000, stall=60)
        node.upgrade("apply", "--no-wait").ok()
        self.assertTrue(self.server.reached.wait(30))
        node.cli("config", "set", "hostname", "other", "--confirm", "5m").ok()
        self.server.heal()
        node.runner.wait("waits to try again.*waits to be confirmed")
        return len(self.server.asked_for("release.json"))

    def test_a_change_of_the_configuration_meanwhile_is_waited_for(self):
        with self.node() as node:
            node.stop()
            node.start(MACULA_UPGRADE_ATTEMPTS="9")
            read = self.changed_while_it_is_fetched(node)
            node.runner.wait("waits to try again.*waits to be confirmed")
            self.assertIn("waits to be confirmed", node.status()["job"]["progress"]["message"])
            node.cli("config", "confirm").ok()
            node.upgrade("wait").exits(4)
            self.assertEqual(len(self.server.asked_for("release.json")), read)

    def test_a_change_that_nobody_confirms_is_not_waited_for_without_end(self):
        with self.node() as node:
            self.changed_while_it_is_fetched(node)
            self.assertIn("waits to be confirmed", node.upgrade("wait").exits(5).err)
            node.cli("config", "confirm").ok()
            node.upgrade("apply").exits(4)

    def test_workloads_may_look_but_not_change(self):
        with self.node() as node:
            node.anonymous("upgrade", "status").ok()
            node.anonymous("upgrade", "check").ok()
            node.anonymous("upgrade", "check", "--from", self.served / "v0.2.0").exits(6)
            node.anonymous("upgrade", "apply").exits(6)
            self.assert_untouched(node)

    def test_the_policy_applies_by_itself(self):
        with self.node(more="auto_apply: true") as node:
            node.stop()
            node.start(MACULA_UPGRADE_CHECK_MS="200")
            watcher = node.events("upgrade.activated")
            if not node.status()["reboot_required"]:
                watcher.wait("0.2.0")
            watcher.close()
            self.assertTrue(node.status()["reboot_required"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
