#!/usr/bin/env python3
"""Processes that are killed, disks that are full or read-only, clocks that jump: nothing is lost, half done or stuck."""
import os
import pathlib
import re
import signal
import unittest

from node_harness import BIN, SOURCE, Background, Node


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
                node.cli("config", "set", "hostname", "new", "--timeout", "5s")
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
    def mounted(self, node, options):
        state = node.path("/var/lib/maculaos")
        state.mkdir(parents=True, exist_ok=True)
        if os.system(f"mount -t tmpfs -o {options} tmpfs '{state}'") != 0:
            self.skipTest("mounting is not permitted here")
        self.addCleanup(lambda: os.system(f"umount -l '{state}'"))
        return state

    def test_a_full_disk_is_said_and_nothing_is_lost(self):
        node = Node()
        state = self.mounted(node, "size=2m")
        node.write("/var/lib/maculaos/config.yaml", "hostname: roomy\n")
        with node:
            filler = state / "filler"
            with open(filler, "wb", buffering=0) as stream:
                try:
                    while True:
                        stream.write(b"x" * 4096)
                except OSError:
                    pass
            result = node.cli("config", "set", "hostname", "cramped")
            self.assertNotEqual(result.code, 0)
            self.assertRegex(result.err, "(?i)full|space")
            self.assertEqual(node.get("hostname"), "roomy")
            filler.unlink()
            node.cli("config", "set", "hostname", "cramped").ok()
            self.assertEqual(node.read("/etc/hostname"), "cramped\n")

    def test_a_read_only_state_directory_is_said(self):
        node = Node()
        state = self.mounted(node, "size=8m")
        node.write("/var/lib/maculaos/config.yaml", "hostname: writable\n")
        with node:
            if os.system(f"mount -o remount,ro '{state}'") != 0:
                self.skipTest("the state directory cannot be remounted while files are open for writing")
            result = node.cli("config", "set", "hostname", "other")
            self.assertNotEqual(result.code, 0)
            self.assertRegex(result.err, "(?i)read-only")
            self.assertEqual(node.get("hostname"), "writable")
            os.system(f"mount -o remount,rw '{state}'")


if __name__ == "__main__":
    unittest.main(verbosity=2)
