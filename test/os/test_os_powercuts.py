"""Upgrades whose power is cut at any moment, over and over on one machine.

Each upgrade is one from version N to N+1 over HTTP; its power is cut at a random moment from the wish to the confirmation, both
restarts included, and while it starts again and goes on with what was cut, and once more, until it is through or somebody would have to
ask for it anew. Checked after each cut, on the disk before it is started again: all that the boot state names was signed, and is there
to the last byte. In the end: the machine starts with one of the two versions, its configuration is the one that was confirmed, no job
is stuck, and the upgrade comes to its end without force."""
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import sqlite3
import subprocess
import tempfile
import time

from os_bootstate import EMPTY, state_on, tries_of
from os_case import long
from os_console import Ended
from os_disk import tool
from os_machine import seeded
from os_powercut import Recording
from os_upgrading import Upgrading

CHAIN = 5  # so many cuts of one upgrade at most: after five starts that the node never answered the recovery waits for a person
TURN = 3   # so many upgrades before another machine may run
RECORDED_SET, RECORDED_STARTS = 200, 3
FULL_SET = int(os.environ.get("MACULA_OS_CUT_UPGRADES", "200"))


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


class PowerCuts(Upgrading):
    # ---- the machine ----
    def switched_on(self):
        """Starts it and waits for its node; what the initramfs has said."""
        machine = self.one
        for _ in range(4):
            machine.start()
            try:
                return self.node_answers()
            except Ended:
                self.assertEqual(machine.wait_end(30), "reset")
        raise machine.console.failed("did not come up in four starts")

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

    def check_data(self, disk, generation):
        """The data partition is whole once its journal is replayed; the configuration in force is the confirmed one."""
        self.assertEqual(disk.data_check(), "")
        for name, sql, expected in (("generations/confd.db", "SELECT current, pending, applying FROM head", [(generation, 0, 0)]),
                                    ("upgrade/upgrade.db", "SELECT count(*) > -1 FROM outcome", [(1,)])):
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                copy = pathlib.Path(folder) / "copy.db"
                copy.write_bytes(disk.data_read(f"/maculaos/{name}"))
                with contextlib.suppress(AssertionError):  # none when the service had ended
                    copy.with_name("copy.db-wal").write_bytes(disk.data_read(f"/maculaos/{name}-wal"))
                with contextlib.closing(sqlite3.connect(copy)) as base:
                    self.assertEqual(base.execute("PRAGMA integrity_check").fetchall(), [("ok",)], name)
                    self.assertEqual(base.execute(sql).fetchall(), expected, name)

    def come_to_its_end(self, version, before, generation, environment):
        """What a person, or the policy, does after a power cut: looks, and asks again where nothing is under way."""
        self.assertIn(environment["version"], (before, version))
        self.assertEqual((environment["problem"], environment["lost"]), ("", "00"))
        for _ in range(8):
            with self.restarts_itself():
                if self.came_to_its_end(version, generation):
                    return
        self.fail(f"the next upgrade does not come to its end: {self.asked('upgrade', 'status')}")

    @contextlib.contextmanager
    def restarts_itself(self):
        """An apply that was to restart the machine does so when it is through, also after a power cut and whoever is looking just
        then: what asks it meanwhile has no answer, or half of one."""
        try:
            yield
        except (Ended, json.JSONDecodeError):
            self.assertEqual(self.one.wait_end(180), "reset")
            self.switched_on()

    def came_to_its_end(self, version, generation):
        """One look, and what follows from it; true when the version runs and stays."""
        status, config = self.asked("upgrade", "status"), self.asked("config", "status")
        self.assertEqual(status.get("refused", []), [])
        self.assertEqual(config["generation"], generation, config)
        self.assertNotIn("pending", config)
        if status["version"] == version and "trial" not in status and not status.get("reboot_required"):
            self.assertEqual(status["running"]["state"], "active")
            self.assertNotIn(status.get("job", {}).get("state"), ("running", "queued"))
            return True
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
        return False

    def until_cut(self, seconds):
        """Lets it run and restart itself as it likes until its power goes after so many seconds; how long that was."""
        clock = Clock(seconds)
        while True:
            if not self.one.process:
                self.one.start()
            how = clock.run(self.one)
            if how == "cut":
                return clock.spent
            self.assertEqual(how, "reset")

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

    def may_be_cut_again(self, disk, where):
        """Something is under way, and the version on trial has another start than the one that the cut would use up."""
        if where in ("confirmed", "not begun"):
            return False
        state, tries = state_on(disk), tries_of(disk.esp_read("/grub/tries"))
        return state.pending == "-" or tries[:3].count(state.seq) < 2

    def chain(self, disk, version):
        """One upgrade whose power goes again and again, also while it starts again after the cut before. Where the cuts fell."""
        fell = []
        full = " --full" if self.generator.random() < 0.5 else ""  # all of it has to be fetched, now and then
        self.one.console.line(f"maculaos upgrade apply --reboot --no-wait --progress none{full} >/dev/null 2>&1")
        while len(fell) < CHAIN:
            spent = self.until_cut(self.generator.uniform(0, self.whole * (0.6 if fell else 1.0)))
            where = self.check_disk(disk) or ("confirmed" if self.version_on(disk) == version else "not begun")
            if not fell:
                # The machine is now faster, now slower: so that about one first cut in five falls after the end.
                self.whole *= 0.9 if where == "confirmed" else 1.03
            fell.append(where)
            print(f"        {version}: cut after {spent:.1f} s, {fell[-1]}", flush=True)
            if not self.may_be_cut_again(disk, fell[-1]):
                break
        return fell

    def cuts(self, upgrades):
        """So many upgrades, each with its power cut once at least."""
        self.generator, disk = seeded(), self.prepared()
        seen, chains = collections.Counter(), 0
        self.one.keeps_turn = True
        self.switched_on()
        generation = self.asked("config", "status")["generation"]
        self.minimal.release("next", "1.0.1")
        self.whole = self.measured("1.0.1")  # seconds
        print(f"        an upgrade takes {self.whole:.0f} s", flush=True)
        while chains < upgrades:
            chains += 1
            before, version = f"1.0.{chains}", f"1.0.{chains + 1}"
            self.minimal.release("next", version)
            seen.update(self.chain(disk, version))
            if chains % TURN == 0:
                self.check_data(disk, generation)
                self.one.keeps_turn = False
                self.one.stop()
                self.one.keeps_turn = True
            environment = self.switched_on()
            self.come_to_its_end(version, before, generation, environment)
            print(f"        {sum(seen.values())} cuts, {chains} upgrades; started {environment['version']}", flush=True)
        self.one.power_cut()
        self.check_data(disk, generation)
        print(f"        {sum(seen.values())} cuts of {chains} upgrades: "
              + ", ".join(f"{count} {where}" for where, count in seen.most_common()), flush=True)
        (self.folder / "cuts.json").write_text(json.dumps(seen, indent=1) + "\n")

    # ---- the same upgrade, cut again and again ----
    def recorded(self, name, do):
        """One boot of the machine, written down write by write; the disk before it, and the record."""
        drive, before = self.one.drives[0], self.folder / f"{name}-before.img"
        tool("cp", "--sparse=always", "--reflink=auto", drive.path, before)
        drive.record = self.folder / f"{name}.record"
        environment = self.switched_on()
        do(environment)
        drive.record = None
        return before, Recording(self.folder / f"{name}.record")

    def two_boots(self):
        def apply(_):
            self.one.console.line("maculaos upgrade apply --reboot --no-wait --full --progress none >/dev/null 2>&1")
            self.assertEqual(self.one.wait_end(400), "reset")

        def confirm(environment):
            self.assertEqual((environment["version"], environment["pending"]), ("1.0.1", "1"))
            self.one.console.ok("until [ -z \"$(maculaos upgrade status -o json | grep '\"trial\"')\" ]; do sleep 0.3; done; sync", 200)
            self.one.power_cut()
        return [self.recorded("applied", apply), self.recorded("tried", confirm)]

    def test_whatever_a_disk_has_lost_of_an_upgrade_it_starts_only_what_was_signed(self):
        """Not what was written but what was flushed is sure: of the rest each write is there by chance, or in part."""
        generator, disk = seeded(), self.prepared()
        self.one.keeps_turn = True
        self.switched_on()
        generation = self.asked("config", "status")["generation"]
        self.one.console.ok("sync")
        self.one.power_cut()
        self.minimal.release("next", "1.0.1")
        boots = self.two_boots()
        self.one.keeps_turn = False
        self.one.stop()
        seen, tried = collections.Counter(), []
        for before, recording in boots:
            moments = recording.moments(generator, RECORDED_SET // 2)
            for write in recording.touching(disk["esp"]):  # the boot state itself: before, in the middle, after
                moments += [write, write + 1, write + 1]
            for number, moment in enumerate(moments):
                torn = number % 2 == 1
                seed = generator.randrange(1 << 32)
                cut = recording.disk_after(moment, before, self.folder / "cut.img", random.Random(seed), torn)
                seen[self.check_disk(cut) or ("confirmed" if self.version_on(cut) == "1.0.1" else "not begun")] += 1
                if number % 10 == 0:
                    self.check_data(cut, generation)
                tried.append((recording, moment, before, seed, torn))
        print(f"        {sum(seen.values())} cuts: " + ", ".join(f"{count} {where}" for where, count in seen.most_common()), flush=True)
        (self.folder / "recorded.json").write_text(json.dumps(seen, indent=1) + "\n")
        for recording, moment, before, seed, torn in generator.sample(tried, RECORDED_STARTS):
            with self.subTest(moment=moment, seed=seed, torn=torn):
                recording.disk_after(moment, before, disk.path, random.Random(seed), torn)
                self.come_to_its_end("1.0.1", "1.0.0", generation, self.switched_on())
                self.one.stop()

    def version_on(self, disk):
        state = state_on(disk)
        return self.minimal.releases[getattr(state, f"verity_{state.active}").split(":")[0]][0]

    def test_ten_upgrades_survive_a_power_cut_at_any_moment(self):
        self.cuts(10)

    @long
    def test_two_hundred_upgrades_survive_a_power_cut_at_any_moment(self):
        """MACULA_OS_CUT_UPGRADES: another number"""
        self.cuts(FULL_SET)


if __name__ == "__main__":
    import unittest
    unittest.main()
