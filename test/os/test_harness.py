#!/usr/bin/env python3
"""The harness itself: what it says of disks, boot states, keys, machines and power cuts must be true. Takes seconds: its machine is a
boot sector that greets on the serial line, echoes, writes a sector when it reads `w` and resets when it reads `r`."""
import argparse
import contextlib
import dataclasses
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from os_bootstate import State, encode_tries, next_boot, states_on, tries_of, write_state  # noqa: E402
from os_bus import Key  # noqa: E402
from os_console import Failed  # noqa: E402
import os_lanes  # noqa: E402
from os_disk import Disk, tool  # noqa: E402
from os_machine import Drive, Machine, missing_tools  # noqa: E402
from os_powercut import Recording  # noqa: E402

# xor ax,ax; …; print: lodsb, out 0x3f8 until 0; read: wait for 0x3fd bit 0; 'r': out 0x64,0xfe; 'w': int 0x13 writes sector 2
SECTOR = bytes.fromhex("31c08ed88ec0be437cac08c07406baf803eeebf5bafd03eca80174f8baf803ec3c72741a3c777513b80103b90200ba8000bb007ccd13baf803b057eeebd6b0fee664f41b5b316d74696e791b5b306d206c6f67696e3a2000")
MEBI = 1 << 20
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MACULA_BIN_DIR", SOURCE / "build" / "bin"))


def partitioned(path):
    """A disk with the layout of a node, its ESP and data formatted."""
    disk = Disk.empty(path, 128 * MEBI)
    table = ("label: gpt\nstart=2048, size=2048, name=bios\nstart=4096, size=73728, name=esp\nstart=77824, size=8192, name=rootfs-A\n"
             "start=86016, size=8192, name=rootfs-B\nstart=94208, size=65536, name=data\n")
    tool("sfdisk", "-q", path, stdin=table.encode())
    esp, data = disk["esp"], disk["data"]
    tool("mkfs.fat", "-F", "32", "-s", "1", "--offset", esp.start // 512, path, esp.size // 1024)
    with disk.extracted("data", back=True) as file:
        tool("mkfs.ext4", "-q", "-F", file)
    assert data.size == 32 * MEBI
    tool("mmd", "-i", f"{path}@@{esp.start}", "::/grub")
    disk.esp_write("/grub/state-1", State().encode())
    disk.esp_write("/grub/state-2", bytes(1024))
    disk.esp_write("/grub/tries", encode_tries())
    return disk


class Folder(unittest.TestCase):
    def setUp(self):
        reason = missing_tools()
        if reason and os.environ.get("CI") != "true":
            self.skipTest(f"missing: {', '.join(reason)}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="macula-harness-"))
        self.addCleanup(shutil.rmtree, self.folder)


class Disks(Folder):
    def test_partitions_are_found_by_name_and_a_damaged_table_is_noticed(self):
        disk = partitioned(self.folder / "disk.img")
        self.assertEqual(list(disk.partitions()), ["bios", "esp", "rootfs-A", "rootfs-B", "data"])
        self.assertEqual((disk["esp"].start, disk["esp"].number), (4096 * 512, 2))
        disk.flip(1024 + 60)
        with self.assertRaisesRegex(AssertionError, "wrong checksum"):
            disk.partitions()

    def test_a_file_of_the_esp_is_overwritten_where_it_lies(self):
        disk = partitioned(self.folder / "disk.img")
        before = disk.path.read_bytes()
        disk.esp_overwrite("/grub/tries", encode_tries((7, 7, 7, 0)))
        after = disk.path.read_bytes()
        self.assertEqual(tries_of(disk.esp_read("/grub/tries")), [7, 7, 7, 0])
        changed = [number for number in range(0, len(before), 512) if before[number:number + 512] != after[number:number + 512]]
        self.assertEqual(len(changed), 1)

    def test_a_full_esp_has_no_room_for_a_byte(self):
        disk = partitioned(self.folder / "disk.img")
        disk.esp_fill()
        with self.assertRaisesRegex(AssertionError, "mcopy"):
            disk.esp_write("/grub/more", b"x")
        self.assertEqual(disk.esp_read("/grub/state-1"), State().encode())

    def test_files_of_the_data_partition_are_read_and_written_while_it_is_off(self):
        disk = partitioned(self.folder / "disk.img")
        disk.data_write("/note", b"kept\n")
        self.assertEqual(disk.data_read("/note"), b"kept\n")
        self.assertEqual(disk.data_names("/"), ["lost+found", "note"])
        self.assertEqual(disk.data_check(), "")
        self.assertEqual(disk.data_size(), disk["data"].size)
        with self.assertRaisesRegex(AssertionError, "no /nothing"):
            disk.data_read("/nothing")
        with disk.extracted("data", back=True) as file:
            tool("debugfs", "-w", "-R", "clri /note", file)
        self.assertIn("note", disk.data_check())

    def test_a_slot_is_copied_with_its_trailer_and_bytes_are_found_in_it(self):
        disk = partitioned(self.folder / "disk.img")
        part = disk["rootfs-A"]
        disk.write(part.start + MEBI, b"the kernel")
        disk.write(part.start + part.size - 4096, b'{"version":"1"}')
        self.assertIsNone(disk.slot_json("b"))
        disk.copy_slot("a", "b")
        self.assertEqual(disk.slot_json("b"), {"version": "1"})
        self.assertEqual(disk.find_in_slot("b", b"the kernel"), MEBI)

    def test_a_snapshot_brings_back_what_was(self):
        disk = Disk.empty(self.folder / "disk.img", MEBI)
        back = disk.snapshot()
        disk.flip(77)
        back()
        self.assertEqual(disk.read(77, 1), b"\0")


class BootState(Folder):
    def test_a_state_is_read_back_and_any_changed_byte_makes_it_invalid(self):
        state = State(seq=9, active="b", pending="a", next="install", reset="all")
        block = state.encode()
        self.assertEqual(len(block), 1024)
        self.assertEqual(State.decode(block), state)
        for number in range(block.index(b"end=") + len("end=0000000000\n")):
            self.assertIsNone(State.decode(block[:number] + bytes([block[number] ^ 1]) + block[number + 1:]), number)

    def test_a_new_state_goes_over_the_older_copy_and_the_newer_one_counts(self):
        disk = partitioned(self.folder / "disk.img")
        self.assertEqual(next_boot(disk), ("a", False))
        write_state(disk, pending="b")
        self.assertEqual([state.seq for state in states_on(disk)], [1, 2])
        self.assertEqual(next_boot(disk), ("b", True))
        disk.esp_overwrite("/grub/tries", encode_tries((2, 2, 2, 0)))
        self.assertEqual(next_boot(disk), ("a", False))
        write_state(disk, active="b", pending="-")
        self.assertEqual([state.seq for state in states_on(disk)], [3, 2])
        self.assertEqual(next_boot(disk), ("b", False))

    def test_a_state_cut_at_any_byte_leaves_the_one_before_or_the_whole_new_one(self):
        old, new = dataclasses.replace(State(seq=1)), State(seq=3, active="b")
        for number in range(1025):
            block = new.encode()[:number] + old.encode()[number:]
            self.assertIn(State.decode(block), (None, old, new), number)


class Suite(Folder):
    """The two that know the boot state, written apart from each other, read the same."""

    def setUp(self):
        super().setUp()
        self.grub = self.folder / "boot" / "esp" / "grub"
        self.grub.mkdir(parents=True)

    def status(self):
        done = subprocess.run([BIN / "maculaos", "boot", "status", "-o", "json"], capture_output=True, text=True, check=True,
                              env={**os.environ, "MACULA_ROOT": str(self.folder)})
        return json.loads(done.stdout)

    def test_the_command_line_reads_what_the_harness_wrote(self):
        (self.grub / "state-1").write_bytes(State(seq=41, active="b", pending="a", next="recovery", reset="keep",
                                                    verity_a="1" * 64 + ":0000000007").encode())
        (self.grub / "state-2").write_bytes(State(seq=40).encode())
        (self.grub / "tries").write_bytes(encode_tries((41, 41, 0, 0)))
        said = self.status()
        self.assertEqual([said[key] for key in ("seq", "active", "pending", "next", "reset", "tries_left", "lost", "damage")],
                         [41, "b", "a", "recovery", "keep", 1, False, []])

    def test_the_harness_reads_what_the_command_line_wrote(self):
        for name, block in (("state-1", State(seq=7).encode()), ("state-2", State(seq=6).encode()), ("tries", encode_tries())):
            (self.grub / name).write_bytes(block)
        subprocess.run([BIN / "maculaos", "boot", "next", "recovery"], capture_output=True, check=True,
                       env={**os.environ, "MACULA_ROOT": str(self.folder)})
        self.assertEqual(State.decode((self.grub / "state-1").read_bytes()), State(seq=7))
        self.assertEqual(State.decode((self.grub / "state-2").read_bytes()), State(seq=8, next="recovery"))


class Keys(Folder):
    def test_a_seed_gives_its_public_key(self):
        key = Key("SUAGMJH5XLGZKQQWAWKRZJIGMOU4HPFUYLXJMXOO5NLFEO2OOQJ5LPRDPM")
        self.assertTrue(key.public().startswith("U"))
        self.assertEqual(len(key.public()), 56)
        self.assertEqual(len(key.sign(b"nonce")), 86)

    def test_a_new_key_is_whole_and_new(self):
        key = Key.new()
        self.assertEqual(Key(key.seed).public(), key.public())
        self.assertNotEqual(Key.new().public(), key.public())

    def test_a_seed_with_a_wrong_letter_is_refused(self):
        with self.assertRaisesRegex(ValueError, "not the seed"):
            Key("SUAGMJH5XLGZKQQWAWKRZJIGMOU4HPFUYLXJMXOO5NLFEO2OOQJ5LPRDPA")


class Reports(unittest.TestCase):
    """What `run` says of tests, and what it counts."""

    class Parts(unittest.TestCase):
        def test_of_two_parts(self):
            for good in (True, False):
                with self.subTest(good=good):
                    self.assertTrue(good)

        def test_of_a_part_and_more(self):
            with self.subTest("part"):
                self.fail("the part")
            self.fail("the rest")

        def test_of_good_parts(self):
            with self.subTest("part"):
                pass

        def test_that_kills_its_lane(self):
            os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def runner():
        loader = importlib.machinery.SourceFileLoader("os_run", str(pathlib.Path(__file__).with_name("run")))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("os_run", loader))
        loader.exec_module(module)
        return module

    def in_lanes(self, *names):
        """What two lanes say of these, sorted, and whether all is well."""
        before = signal.getsignal(signal.SIGTERM)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            lines, well = os_lanes.run([self.Parts(name) for name in names], 2, self.runner().Report)
        return sorted((line["test"], line["outcome"]) for line in lines), well

    def report(self, name):
        """(lines of the results, what was printed, whether it was successful) of a run of one of these."""
        report, said = self.runner().Report(), io.StringIO()
        with contextlib.redirect_stdout(said):
            unittest.TestSuite([self.Parts(name)]).run(report)
        return [(line["test"], line["outcome"]) for line in report.lines], said.getvalue(), report.wasSuccessful()

    def test_a_test_whose_part_fails_has_failed(self):
        lines, said, well = self.report("test_of_two_parts")
        self.assertEqual((lines, well), ([("test_of_two_parts", "FAILED")], False))
        self.assertRegex(said, r"(?s)good=False.*False is not true.*FAILED +test_of_two_parts .*1 of its parts")

    def test_a_test_that_fails_in_a_part_and_beside_it_is_counted_once(self):
        lines, said, well = self.report("test_of_a_part_and_more")
        self.assertEqual((lines, well), ([("test_of_a_part_and_more", "FAILED")], False))
        self.assertRegex(said, r"(?s)the part.*the rest")

    def test_a_test_whose_parts_are_good_has_passed(self):
        self.assertEqual(self.report("test_of_good_parts")[0::2], ([("test_of_good_parts", "passed")], True))

    def test_lanes_run_each_test_once(self):
        self.assertEqual(self.in_lanes(*["test_of_good_parts"] * 5), ([("test_of_good_parts", "passed")] * 5, True))

    def test_a_failure_in_a_lane_fails_the_run(self):
        self.assertEqual(self.in_lanes("test_of_two_parts", "test_of_good_parts"),
                         ([("test_of_good_parts", "passed"), ("test_of_two_parts", "FAILED")], False))

    def test_a_lane_that_dies_fails_the_run(self):
        self.assertEqual(self.in_lanes("test_that_kills_its_lane", "test_of_good_parts"),
                         ([("test_of_good_parts", "passed"), ("test_that_kills_its_lane", "FAILED")], False))

    def test_a_long_test_runs_when_it_is_named_and_with_no_pattern(self):
        def names(*words):
            arguments = argparse.Namespace(names=list(words), quick=False, list=False)
            return [test._testMethodName for test in self.runner().chosen(arguments)]
        long = "test_two_hundred_upgrades_survive_a_power_cut_at_any_moment"
        self.assertEqual(names(long), [long])
        self.assertEqual([name for name in (*names(), *names("test_*power*")) if name == long], [])
        with self.assertRaisesRegex(SystemExit, "no test is called test_two_h"):
            names("test_two_h*")


class Machines(Folder):
    def machine(self, **more):
        disk = Disk.empty(self.folder / "disk.img", MEBI)
        disk.write(0, SECTOR.ljust(510, b"\0") + b"\x55\xaa")
        machine = Machine(self.folder / "machine", [Drive(disk.path, **more)], memory=64)
        self.addCleanup(machine.stop)
        return machine.start(), disk

    def test_the_console_is_heard_without_escapes_and_typed_at(self):
        machine, _ = self.machine()
        machine.console.expect(r"^tiny login: $", 60)
        machine.console.send("ab")
        machine.console.expect("ab", 60)

    def test_what_is_not_said_fails_with_the_last_lines_and_the_log(self):
        machine, _ = self.machine(bus="ide")
        machine.console.expect("login:", 60)
        machine.console.send("so it is")
        machine.console.expect("is$", 60)
        with self.assertRaisesRegex(Failed, r"(?s)did not say 'never'.*serial.log.*so it is"):
            machine.console.expect("never", 0.5)
        with self.assertRaisesRegex(Failed, "said 'tiny' while 'never'"):
            machine.console.send("tiny")
            machine.console.expect("never", 60, never="tiny")

    def test_a_reset_ends_the_boot_and_the_next_one_starts_anew(self):
        machine, _ = self.machine()
        machine.console.expect("login:", 60)
        machine.console.send("r")
        self.assertEqual(machine.wait_end(60), "reset")
        machine.start().console.expect("login:", 60)
        self.assertEqual(machine.boots, 2)

    def test_a_power_cut_keeps_what_was_written_and_the_record_replays_it(self):
        machine, disk = self.machine(record=self.folder / "writes.record")
        machine.console.expect("login:", 60)
        self.assertEqual(disk.read(512, 2), b"\0\0")
        before = self.folder / "before.img"
        shutil.copyfile(disk.path, before)
        machine.console.send("w")
        machine.console.expect("W", 60)
        machine.power_cut()
        self.assertEqual(disk.read(512, 64), SECTOR[:64])
        record = Recording(self.folder / "writes.record")
        self.assertEqual([(w.offset, w.length) for w in record.writes if w.length], [(512, 512)])
        nothing = record.disk_after(0, before, self.folder / "nothing.img")
        self.assertEqual(nothing.read(512, 2), b"\0\0")
        whole = record.disk_after(len(record.writes), before, self.folder / "whole.img")
        self.assertEqual(whole.read(512, 64), SECTOR[:64])
        kept = {record.disk_after(1, before, self.folder / f"{seed}.img", random.Random(seed)).read(512, 2) != b"\0\0"
                for seed in range(8)}
        self.assertEqual(kept, {False, True})


if __name__ == "__main__":
    unittest.main()
