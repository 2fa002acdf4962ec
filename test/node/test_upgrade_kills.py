#!/usr/bin/env python3
"""Processes killed at every step of an upgrade.

The invariant, checked each time: what runs and what is started next is a version whose signature was valid, no job is
stuck, and the next upgrade works."""
import os
import re
import signal
import subprocess
import unittest

from node_harness import BIN, SOURCE, Background
from upgrade_harness import FIRST, UpgradeNode, UpgradeTest, make_release


def fault_points():
    """Every fault point of the upgrader and its worker, read from the sources: a new one is tried without anybody
    remembering to."""
    names = set()
    for path in (SOURCE / "services/upgrader").glob("*.c"):
        names |= set(re.findall(r'MAC_FAULT_POINT\("(upgrader\.[^"]+)"\)', path.read_text()))
    return sorted(names)


# Those that only a trial or a return comes by; the others lie on the way to an activation.
TRIAL = ("upgrader.trial.started", "upgrader.confirm.before", "upgrader.confirm.written", "upgrader.confirm.recorded")
REJECT = ("upgrader.reject.recorded", "upgrader.reject.written")
RETURN = ("upgrader.return.recorded", "upgrader.return.written")
CANCEL = ("upgrader.trial.withdrawn",)
STAY = ("upgrader.stay.recorded", "upgrader.stay.written", "upgrader.stay.ended")  # test_upgrade_passed_over.py
LONG = ("upgrader.work.checkpoint",)  # an image of some length


class Kills(UpgradeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_release(cls.served / "long", "0.2.0", cls.signer, size=48 << 20)

    def upgraded(self, node):
        """Goes on until the version runs and stays, as people would: by asking again where nothing is under way."""
        for _ in range(6):
            status = node.status()
            if status["version"] == "0.2.0" and "trial" not in status:
                return
            if status.get("job", {}).get("state") == "running":
                node.upgrade("wait", "--timeout", "60s")
            elif status["reboot_required"]:
                node.reboot()
                node.wait_for_outcome("confirmed")
            elif "trial" in status:
                node.wait_for_outcome("confirmed")
            else:
                node.upgrade("apply", "--force")
        self.fail(f"the next upgrade does not work: {node.status()}")

    def check(self, node):
        """What holds at every moment after a power cut."""
        status, boot = node.status(), node.boot()
        self.assertIn(status["version"], (FIRST, "0.2.0"))
        self.assertFalse(boot["lost"])
        for slot in node.cli("boot", "slots", "-o", "json").ok().json():
            self.assertNotIn("problem", slot)
            self.assertIn(slot.get("version", FIRST), (FIRST, "0.2.0"))

    def test_there_are_fault_points(self):
        self.assertGreaterEqual(len(fault_points()), 15)

    def test_killed_at_every_step_up_to_the_activation(self):
        names = [name for name in fault_points() if name not in TRIAL + REJECT + RETURN + CANCEL + STAY + LONG]
        for number, name in enumerate(names):
            with self.subTest(name), self.node() as node:
                node.stop()
                node.start(MACULA_FAULT=name, MACULA_FAULT_ARMED=str(node.path("/armed")))
                node.write("/armed", "")
                node.upgrade("apply", "--timeout", "10s", "--no-wait")
                self.assertTrue(self.died(node), "nothing comes by this point")
                node.path("/armed").unlink()
                node.power_cut() if number % 2 else node.reboot()
                self.check(node)
                self.upgraded(node)

    def test_the_restart_that_was_wanted_is_asked_for_by_the_next_upgrader(self):
        with self.node() as node:
            node.stop()
            node.start(MACULA_FAULT="upgrader.trial.waiting", MACULA_FAULT_ARMED=str(node.path("/armed")))
            node.write("/armed", "")
            node.upgrade("apply", "--reboot", "--no-wait").ok()
            self.assertTrue(self.died(node))
            node.path("/armed").unlink()
            node.runner.wait("a restart was asked for")

    def test_a_restart_that_nobody_wanted_is_not_asked_for(self):
        """Nor is one that has come, and led to another choice in the boot menu."""
        with self.node() as node:
            node.upgrade("apply").exits(4)
            os.kill(node.pids()["upgrader"], signal.SIGKILL)
            said = node.runner.wait("unit=upgrader state=ready|a restart was asked for").string
            self.assertNotIn("asked for", said)
            self.assertTrue(node.status()["reboot_required"])

    def test_a_cancel_holds_when_the_upgrader_is_restarted_at_once(self):
        self.server.fault("*.slot", times=1, cut=1 << 20, stall=60)
        with self.node(more="delta: false") as node:
            node.upgrade("apply", "--no-wait")
            self.assertTrue(self.server.reached.wait(30))
            upgrader = node.pids()["upgrader"]
            node.upgrade("cancel").ok()
            os.kill(upgrader, signal.SIGTERM)
            self.server.heal()
            node.runner.wait("unit=upgrader state=ready")
            node.upgrade("wait", "--timeout", "60s")
            status = node.status()
            self.assertEqual((status["job"]["state"], status["reboot_required"]), ("cancelled", False))

    def long_node(self):
        return UpgradeNode(f"{self.server.url}long/", self.signer, "delta: false\nbandwidth_limit: 24M")

    def test_what_a_long_fetch_has_brought_is_not_fetched_again(self):
        with self.long_node() as node:
            node.stop()
            node.start(MACULA_FAULT=LONG[0], MACULA_FAULT_ARMED=str(node.path("/armed")))
            node.write("/armed", "")
            node.upgrade("apply", "--timeout", "10s", "--no-wait")
            self.assertTrue(self.died(node), "nothing comes by this point")
            node.path("/armed").unlink()
            node.power_cut()
            self.check(node)
            self.upgraded(node)
            _, asked = self.server.asked_for("*.slot")[-1]
            self.assertGreaterEqual(int(re.match(r"bytes=(\d+)-", asked).group(1)), 32 << 20)

    def died(self, node):
        """Waits until the upgrader or its worker was killed by the fault point: true. False: the job has ended without coming by it."""
        said = node.runner.wait(r"unit=upgrader state=waiting|was ended by signal 9|tries a new version|the upgrade failed", 60).string
        return "unit=upgrader state=waiting" in said or "was ended by signal 9" in said

    def start_dying(self, node, name):
        """Starts the machine; the upgrader dies at this fault point once, is started again, and the node is up."""
        node.write("/armed", "")
        node.boots += 1
        node.runner = Background(BIN / "maculaos", "node", "run", env={
            **node.env, "MACULA_BOOT_ID": f"boot-{node.boots}", "MACULA_FAULT": name, "MACULA_FAULT_ARMED": str(node.path("/armed"))})
        seen = node.runner.wait(r"unit=upgrader state=waiting|node ready: (nats://\S+)", 60)
        if seen.group(1):
            node.url = seen.group(1)
            node.runner.wait(r"unit=upgrader state=waiting", 60)
        node.path("/armed").unlink()
        if not seen.group(1):
            node.url = node.runner.wait(r"node ready: (nats://\S+)", 60).group(1)

    def test_killed_at_every_step_of_a_trial(self):
        for name in TRIAL:
            with self.subTest(name), self.node() as node:
                node.upgrade("apply").exits(4)
                node.stop()
                self.start_dying(node, name)
                node.power_cut()
                self.check(node)
                self.upgraded(node)

    def test_killed_at_every_step_of_a_rejection_and_a_return(self):
        for name in REJECT + RETURN:
            with self.subTest(name), self.node(hold="10m") as node:
                node.upgrade("apply").exits(4)
                node.reboot(MACULA_FAULT=name, MACULA_FAULT_ARMED=str(node.path("/armed")))
                if name in REJECT:
                    node.write("/armed", "")
                    node.upgrade("rollback", "--yes", "--timeout", "5s")
                    node.runner.wait(r"unit=upgrader state=waiting", 60)
                    node.path("/armed").unlink()
                else:
                    node.upgrade("rollback", "--yes")
                    node.stop()
                    self.start_dying(node, name)
                node.power_cut()
                if "trial" in node.status():  # the rejection was not on the disk yet
                    node.upgrade("rollback", "--yes")
                    node.reboot()
                node.wait_for_outcome("rolled_back")
                self.assertEqual(node.status()["version"], FIRST)
                self.check(node)
                node.cli("config", "set", "maculaos.upgrade.health_hold", "200ms").ok()
                self.upgraded(node)

    def test_the_bus_server_dies_while_it_is_written(self):
        self.server.fault("*.slot", cut=500000, stall=2)
        with self.node(more="delta: false") as node:
            node.upgrade("apply", "--no-wait").ok()
            self.assertTrue(self.server.reached.wait(30))
            os.kill(node.pids()["nats-server"], signal.SIGKILL)
            node.runner.wait(r"unit=nats-server state=ready")
            node.runner.wait(r"tries a new version", 60)
            self.upgraded(node)

    def kill_the_worker(self, node):
        workers = subprocess.run(["pgrep", "-P", str(node.pids()["upgrader"])], capture_output=True, text=True, check=False).stdout.split()
        self.assertEqual(len(workers), 1)
        os.kill(int(workers[0]), signal.SIGKILL)

    def test_a_worker_that_is_killed_is_begun_again(self):
        self.server.fault("*.slot", times=1, cut=500000, stall=60)
        with self.node(more="delta: false") as node:
            node.upgrade("apply", "--no-wait").ok()
            self.assertTrue(self.server.reached.wait(30))
            self.kill_the_worker(node)
            node.runner.wait(r"waits to try again.*signal 9.*begun again \(1 of 3\)")
            node.upgrade("wait").exits(4)
            self.assertEqual(node.history(), [])
            self.upgraded(node)

    def test_a_worker_that_was_killed_goes_on_where_it_was(self):
        with self.long_node() as node:
            node.stop()
            node.start(MACULA_FAULT=LONG[0], MACULA_FAULT_ARMED=str(node.path("/armed")))
            node.write("/armed", "")
            node.upgrade("apply", "--no-wait").ok()
            node.runner.wait(r"signal 9.*begun again \(1 of 3\)", 60)
            node.upgrade("wait", "--timeout", "60s").exits(4)
            _, asked = self.server.asked_for("*.slot")[-1]
            self.assertGreaterEqual(int(re.match(r"bytes=(\d+)-", asked).group(1)), 32 << 20)

    def test_workers_that_are_killed_one_after_the_other_fail_the_job(self):
        for name in ("upgrader.work.cleared", "upgrader.work.before-seal"):
            with self.subTest(name), self.node(more="delta: false") as node:
                node.stop()
                node.start(MACULA_FAULT=name, MACULA_FAULT_ARMED=str(node.path("/armed")))
                node.write("/armed", "")
                failed = node.upgrade("apply").exits(1).err
                self.assertRegex(failed, r"ended by signal 9 .*begun again 3 times without coming further")
                self.assertRegex(node.history()[0]["reason"], "signal 9")
                self.assert_untouched(node)
                node.path("/armed").unlink()
                self.upgraded(node)

    def test_a_worker_that_was_killed_is_not_begun_again_after_a_cancel(self):
        self.server.fault("*.slot", times=1, cut=500000, stall=60)
        with self.node(more="delta: false") as node:
            node.stop()
            node.start(MACULA_UPGRADE_RETRY_MS="600000")
            node.upgrade("apply", "--no-wait").ok()
            self.assertTrue(self.server.reached.wait(30))
            self.kill_the_worker(node)
            node.runner.wait("waits to try again.*signal 9")
            self.assertRegex(node.upgrade("status").ok().out, r"under way.*signal 9.*begun again \(1 of 3\)")
            node.upgrade("cancel").ok()
            self.assertEqual(node.status()["job"]["state"], "cancelled")
            self.assertEqual([o["state"] for o in node.history()], ["cancelled"])
            node.reboot()
            self.upgraded(node)


if __name__ == "__main__":
    unittest.main(verbosity=2)
