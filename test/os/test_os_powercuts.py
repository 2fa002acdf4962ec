"""Upgrades whose power is cut at any moment, over and over on one machine.

Each upgrade is one from version N to N+1 over HTTP; its power is cut once, at a random moment from the wish to the confirmation, both
restarts included. Checked each time, on the disk before it is started again: all that the boot state names was signed, and is there
to the last byte. Then: the machine starts with one of the two versions, its configuration is the one that was confirmed, no job is
stuck, and the upgrade comes to its end without force."""
import collections
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from os_bootstate import EMPTY, state_on, tries_of
from os_case import OsTest, quick
from os_console import PATIENCE, Ended
from os_machine import seeded
from os_minimal import ADDRESS, BIN, Minimal

from release_maker import Signer
from release_server import ReleaseServer

HOST = "10.0.3.2"
FULL_SET = int(os.environ.get("MACULA_OS_CUTS", "200"))


class Clock:
    """How long machines have run since the upgrade was wished for; waiting for our turn does not count."""

    def __init__(self, limit):
        self.limit, self.spent = limit, 0.0

    def run(self, machine):
        """Lets it run; "cut" when the time is over, else how this start ended."""
        began = time.monotonic()
        try:
            machine.process.wait(max(0.0, self.limit - self.spent))
        except subprocess.TimeoutExpired:
            self.spent = self.limit
            machine.power_cut()
            return "cut"
        self.spent += time.monotonic() - began
        return machine.wait_end(10)


class PowerCuts(OsTest):
    def setUp(self):
        super().setUp()
        if not (BIN / "macula-release").exists():
            self.skipTest(f"{BIN}/macula-release was not built (make build)")
        if os.geteuid():
            self.skipTest("files of the slot keep their owners: needs root")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="macula-os-cuts-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.signer = Signer(self.work)
        self.addCleanup(self.signer.close)
        self.server = ReleaseServer(self.work)
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)

    # ---- the machine ----
    def switched_on(self):
        """Starts it and waits for its node; what the initramfs has said. It keeps its turn until the power is cut."""
        machine = self.one
        machine.keeps_turn = True
        for _ in range(4):
            machine.start()
            try:
                said = machine.console.expect(r"stand-in: slot=(\w) pending=(\d) failed=(\w?) version=(\S*) problem=(.*) lost=(\d\d)", 240)
                machine.console.line()
                machine.console.expect(r"# ?$", 60)
                machine.console.take_shell()
                machine.console.ok("until maculaos upgrade status >/dev/null 2>&1; do sleep 0.3; done", 180)
                return dict(zip(("slot", "pending", "failed", "version", "problem", "lost"), said.groups()))
            except Ended:
                self.assertEqual(machine.wait_end(30), "reset")
        raise machine.console.failed("did not come up in four starts")

    def asked(self, *words):
        return json.loads(self.one.console.ok(f"maculaos {' '.join(words)} -o json | tr -d '\\n'; echo", 120))

    def prepared(self):
        disk = self.disk()
        self.minimal = Minimal(disk, self.work, self.signer)
        self.minimal.install("1.0.0")
        key = "".join(f"        {line}\n" for line in self.signer.public.read_text().splitlines())
        medium = self.medium(more=f"  upgrade:\n    url: http://{HOST}:{self.server.port}/next/\n    auto_check: false\n"
                                  f"    health_hold: 1s\n    health_timeout: 300s\n    signing_keys:\n      - |\n{key}")
        self.one = self.machine(disk, medium, network=False, options=[
            "-netdev", f"user,id=wide,net=10.0.3.0/24,dhcpstart={ADDRESS}", "-device", "virtio-net-pci,netdev=wide,romfile="])
        return disk

    # ---- what holds at every moment ----
    def check_disk(self, disk):
        """Where the cut fell, after everything that the boot state names was compared with what was signed."""
        state, tries = state_on(disk), tries_of(disk.esp_read("/grub/tries"))
        self.assertIsNotNone(state, "the boot state is lost")
        self.assertIsNotNone(tries, "the tries are lost")
        for slot in "ab":
            token = getattr(state, f"verity_{slot}")
            if token == EMPTY:
                continue
            self.assertIn(token.split(":")[0], self.minimal.releases, f"slot {slot} names something that was never signed")
            _, size, digest = self.minimal.releases[token.split(":")[0]]
            self.assertEqual(hashlib.sha256(disk.read(disk[f"rootfs-{slot.upper()}"].start, size)).hexdigest(), digest, f"slot {slot}")
        self.assertNotEqual(getattr(state, f"verity_{state.active}"), EMPTY)
        if state.pending != "-":
            return "waiting for its first start" if state.seq not in tries[:3] else "on trial"
        return "" if EMPTY not in (state.verity_a, state.verity_b) else "being written"

    def come_to_its_end(self, version, before, generation, environment):
        """What a person, or the policy, does after a power cut: looks, and asks again where nothing is under way."""
        self.assertIn(environment["version"], (before, version))
        self.assertEqual((environment["problem"], environment["lost"]), ("", "00"))
        for _ in range(8):
            status, config = self.asked("upgrade", "status"), self.asked("config", "status")
            self.assertEqual(status.get("refused", []), [])
            self.assertEqual(config["generation"], generation, config)
            self.assertNotIn("pending", config)
            if status["version"] == version and "trial" not in status and not status.get("reboot_required"):
                self.assertEqual(status["running"]["state"], "active")
                self.assertNotIn(status.get("job", {}).get("state"), ("running", "queued"))
                return
            if status.get("job", {}).get("state") == "running":
                self.one.console.run("maculaos upgrade wait --timeout 200s >/dev/null 2>&1", 240)
            elif "trial" in status:
                self.one.console.ok("until [ -z \"$(maculaos upgrade status -o json | grep '\"trial\"')\" ]; do sleep 0.5; done", 200)
            elif status.get("reboot_required"):
                self.one.console.line("maculaos node reboot --reason upgrade --yes")
                self.assertEqual(self.one.wait_end(180), "reset")
                self.switched_on()
            else:
                self.one.console.run("maculaos upgrade apply --progress none --timeout 200s >/tmp/apply 2>&1; cat /tmp/apply", 240)
        self.fail(f"the next upgrade does not come to its end: {status}")

    def upgrade(self, version, seconds):
        """Has it upgrade itself; its power goes after so many seconds unless it is through before. How it ended, and the clock."""
        clock = Clock(seconds)
        self.one.console.line("maculaos upgrade apply --reboot --no-wait --progress none >/dev/null 2>&1")
        while True:
            how = clock.run(self.one)
            if how != "reset":
                return how, clock
            self.one.start()

    def measured(self, version):
        """One upgrade that nobody disturbs: how long it takes until it is confirmed, its two starts included."""
        began = time.monotonic()
        self.one.console.line("maculaos upgrade apply --reboot --no-wait --progress none >/dev/null 2>&1")
        self.assertEqual(self.one.wait_end(300), "reset")
        spent = time.monotonic() - began
        environment = self.switched_on()
        self.assertEqual((environment["version"], environment["pending"]), (version, "1"))
        self.one.console.ok("until [ -z \"$(maculaos upgrade status -o json | grep '\"trial\"')\" ]; do sleep 0.3; done", 200)
        return spent + self.one.seconds()

    def cuts(self, count):
        generator, disk = seeded(), self.prepared()
        seen = collections.Counter()
        self.switched_on()
        generation = self.asked("config", "status")["generation"]
        before, whole = "1.0.0", None
        for number in range(1, count + 2):
            version = f"1.0.{number}"
            self.minimal.release("next", version)
            if whole is None:
                whole = self.measured(version)
                print(f"        an upgrade takes {whole:.0f} s", flush=True)
                before = version
                continue
            moment = generator.uniform(0, whole)
            how, clock = self.upgrade(version, moment)
            self.assertEqual(how, "cut")
            where = self.check_disk(disk) or ("confirmed" if self.version_on(disk) == version else "not begun")
            seen[where] += 1
            environment = self.switched_on()
            print(f"        {number - 1}: cut after {clock.spent:.1f} s, {where}; started {environment['version']}", flush=True)
            self.come_to_its_end(version, before, generation, environment)
            before = version
            if number % 10 == 0:
                self.one.power_cut()
                self.assertEqual(disk.data_check(), "")
                self.switched_on()
        self.one.power_cut()
        print(f"        {sum(seen.values())} cuts: " + ", ".join(f"{count} {where}" for where, count in seen.most_common()), flush=True)
        (self.folder / "cuts.json").write_text(json.dumps(seen, indent=1) + "\n")

    def version_on(self, disk):
        state = state_on(disk)
        return self.minimal.releases[getattr(state, f"verity_{state.active}").split(":")[0]][0]

    def test_ten_upgrades_survive_a_power_cut_at_any_moment(self):
        self.cuts(10)

    def test_two_hundred_upgrades_survive_a_power_cut_at_any_moment(self):
        """MACULA_OS_CUTS: another number"""
        self.cuts(FULL_SET)


if __name__ == "__main__":
    import unittest
    unittest.main()
