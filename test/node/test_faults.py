#!/usr/bin/env python3
"""Processes that are killed, disks that are full or read-only, clocks that jump: nothing is lost, half done or stuck."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

from node_harness import BIN, SANITIZED, SOURCE, Background, Node


def fault_points():
    """Every fault point of confd, read from its sources: a new one is tried without anybody remembering to."""
    names = set()
    for path in (SOURCE / "services/confd").glob("*.c"):
        names |= set(re.findall(r'MAC_FAULT_POINT\("(confd\.[^"]+)"\)', path.read_text()))
    return sorted(names)


class Kills(unittest.TestCase):
    def test_the_server_dies_and_everything_comes_back(self):
        with Node(config="hostname: a\n") as node:
            pids = node.pids()
            os.kill(pids["nats-server"], signal.SIGKILL)
            pid = node.runner.wait(r"unit=nats-server state=ready .*pid=(\d+)").group(1)
            self.assertNotEqual(int(pid), pids["nats-server"])
            node.runner.wait(r"service=confd .*the bus is back")
            node.cli("config", "set", "hostname", "b", "--timeout", "30s").ok()
            self.assertEqual(node.read("/etc/hostname"), "b\n")

    def test_confd_dies_and_is_started_again(self):
        with Node(config="hostname: a\n") as node:
            os.kill(node.pids()["confd"], signal.SIGKILL)
            node.runner.wait(r"unit=confd state=ready")
            self.assertEqual(node.get("hostname"), "a")

    def test_there_are_fault_points(self):
        self.assertGreaterEqual(len(fault_points()), 5)

    def test_confd_killed_at_every_persisted_step_leaves_one_generation_or_the_other(self):
        for name in fault_points():
            with self.subTest(name), Node(config="hostname: old\n") as node:
                generation = node.generation()
                node.stop()
                node.start(MACULA_FAULT=name, MACULA_FAULT_ARMED=str(node.path("/armed")))
                node.write("/armed", "")
                interrupted = node.cli("config", "set", "hostname", "new", "--timeout", "5s")
                self.assertNotEqual(interrupted.code, 0, "the point was not reached")
                node.path("/armed").unlink()
                node.kill()
                node.start()
                found = (node.get("hostname"), node.read("/etc/hostname").strip())
                self.assertIn(found, (("old", "old"), ("new", "new")))
                self.assertGreaterEqual(node.generation(), generation)
                self.assertNotIn("applying", [k for k, v in node.cli("config", "status", "-o", "json").json().items() if v is True])
                node.cli("config", "set", "hostname", "after").ok()
                self.assertEqual(node.read("/etc/hostname"), "after\n")


@unittest.skipUnless(os.getuid() == 0, "mounting a small file system needs root")
class Disks(unittest.TestCase):
    def mounted(self, node, options, where="/var/lib/maculaos"):
        state = node.path(where)
        state.mkdir(parents=True, exist_ok=True)
        if os.system(f"mount {options} '{state}'") != 0:
            self.skipTest("mounting is not permitted here")
        self.addCleanup(lambda: os.system(f"umount -l '{state}'"))
        return state

    def fill(self, directory, leave=0):
        """All of the disk but so many bytes."""
        filler = directory / "filler"
        with open(filler, "ab", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"x" * 4096)
            except OSError:
                stream.truncate(max(0, stream.tell() - leave))
        return filler

    def test_a_full_disk_is_said_and_nothing_is_lost(self):
        node = Node()
        state = self.mounted(node, "-t tmpfs -o size=8m tmpfs")
        node.write("/var/lib/maculaos/config.yaml", "hostname: roomy\n")
        with node:
            filler = self.fill(state)
            result = node.cli("config", "set", "hostname", "cramped")
            self.assertEqual(result.code, 1)
            self.assertRegex(result.err, "the disk of /var/lib/maculaos is full: .* free some space")
            self.assertEqual(node.get("hostname"), "roomy")
            filler.unlink()
            node.cli("config", "set", "hostname", "cramped").ok()
            self.assertEqual(node.read("/etc/hostname"), "cramped\n")

    def test_a_disk_that_gets_full_while_it_happens_takes_the_change_back(self):
        node = Node()
        root = self.mounted(node, "-t tmpfs -o size=16m tmpfs", "")
        node.write("/var/lib/maculaos/config.yaml", "hostname: roomy\n")
        with node:
            node.cli("config", "set", "maculaos.timezone", "UTC").ok()  # from here on there is room set aside
            outcomes = set()
            for leave in (0, 20, 40, 60, 80, 100, 120, 160, 200, 240):
                with self.subTest(leave=leave):
                    filler = self.fill(root, leave << 10)
                    changes = node.cli("config", "patch", json.dumps({"hostname": "cramped", "write_files": [
                        {"path": "/etc/large", "content": "y" * 60000}]}))
                    outcomes.add(changes.code)
                    current = "cramped" if changes.code == 0 else "roomy"
                    self.assertEqual((node.get("hostname"), node.read("/etc/hostname")), (current, current + "\n"), changes.err)
                    filler.unlink()
                    status = node.cli("config", "status").ok().out
                    self.assertNotIn("edited", status)
                    self.assertIn(node.cli("config", "patch", '{"hostname": "roomy", "write_files": null}').code, (0, 3))
                    self.assertFalse(node.path("/etc/large").exists())
            self.assertIn(9, outcomes)  # taken back
            node.stop()
            node.start()
            self.assertEqual((node.get("hostname"), node.read("/etc/hostname")), ("roomy", "roomy\n"))

    def test_a_full_disk_bars_no_way_back(self):
        node = Node()
        state = self.mounted(node, "-t tmpfs -o size=12m tmpfs")
        node.write("/var/lib/maculaos/config.yaml", "hostname: roomy\n")
        with node:
            node.cli("config", "set", "hostname", "filling").ok()
            self.fill(state)
            node.cli("config", "rollback").ok()
            self.assertEqual((node.get("hostname"), node.read("/etc/hostname")), ("roomy", "roomy\n"))

    def test_a_node_that_starts_on_a_full_disk_answers_and_takes_changes_when_there_is_room(self):
        node = Node()
        state = self.mounted(node, "-t tmpfs -o size=12m tmpfs")
        node.write("/var/lib/maculaos/config.yaml", "hostname: roomy\n")
        with node:
            node.cli("config", "set", "hostname", "roomier").ok()
            node.stop()
            filler = self.fill(state)
            node.start()
            self.assertEqual(node.get("hostname"), "roomier")
            self.assertEqual(node.cli("config", "set", "hostname", "cramped").code, 1)
            filler.unlink()
            node.cli("config", "set", "hostname", "roomy").ok()

    def test_a_disk_that_becomes_read_only_is_said(self):
        """As ext4 does of itself when it finds damage, also while files are open for writing."""
        node = Node()
        image = node.path("/disk.img")
        image.write_bytes(b"")
        os.truncate(image, 32 << 20)
        if os.system(f"mkfs.ext4 -q -F '{image}'") != 0:
            self.skipTest("mkfs.ext4 is not there")
        state = self.mounted(node, f"-o loop,errors=remount-ro '{image}'")
        device = subprocess.run(["findmnt", "-no", "SOURCE", state], capture_output=True, text=True, check=True).stdout.strip()
        node.write("/var/lib/maculaos/config.yaml", "hostname: writable\n")
        with node:
            pathlib.Path("/sys/fs/ext4", pathlib.Path(device).name, "trigger_fs_error").write_text("tried by a test\n")
            result = node.cli("config", "set", "hostname", "other")
            self.assertEqual(result.code, 1)
            self.assertRegex(result.err, "(?i)read-only")
            self.assertEqual((node.get("hostname"), node.read("/etc/hostname")), ("writable", "writable\n"))


LIBFAKETIME = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


@unittest.skipUnless(LIBFAKETIME, "libfaketime (package faketime) is not there")
@unittest.skipIf(SANITIZED, "a sanitizer wants to be the first library")
class Clocks(unittest.TestCase):
    """The clock of confd and all others jumps; the time since the boot goes on, as it does on a machine."""

    def setUp(self):
        self.clock = tempfile.NamedTemporaryFile("w")
        self.addCleanup(self.clock.close)
        self.jump("+0")
        self.env = {"LD_PRELOAD": str(LIBFAKETIME[0]), "FAKETIME_TIMESTAMP_FILE": self.clock.name, "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def jump(self, offset):
        self.clock.seek(0)
        self.clock.truncate()
        self.clock.write(offset + "\n")
        self.clock.flush()

    def test_a_clock_that_jumps_neither_loses_nor_confirms_anything(self):
        for offset in ("-400d", "+4000d"):
            with self.subTest(offset), Node(config="hostname: a\n", env=self.env) as node, \
                    Background(BIN / "maculaos", "events", "config.*", "-o", "json", "--progress", "plain", env=node.env) as events:
                events.wait("^listening")
                node.cli("config", "set", "hostname", "b").ok()
                node.cli("config", "set", "hostname", "c", "--confirm", "3s").ok()
                self.jump(offset)
                self.assertEqual(node.get("hostname"), "c")
                events.wait("config.reverted")  # in time: that of the boot, which did not jump
                self.assertEqual(node.get("hostname"), "b")
                node.cli("config", "set", "hostname", "d").ok()
                history = node.cli("config", "history", "-o", "json").ok().json()["generations"]
                numbers = [generation["number"] for generation in history]
                self.assertEqual(numbers, [4, 3, 2, 1])  # nothing of before was thrown away for its age
                self.assertEqual(history[0]["state"], "current")
                years = {abs(int(g["time_ms"]) // 1000 - time.time()) > 300 * 86400 for g in history}
                self.assertEqual(years, {True, False})  # the clock did jump
                node.stop()
                self.jump("+0")
                node.start()
                self.assertEqual((node.get("hostname"), node.read("/etc/hostname")), ("d", "d\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
