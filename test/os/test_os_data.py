"""The data partition: full, damaged, read-only, cut off. The node comes up and says what is wrong."""
import pathlib
import re
import struct
import tempfile
import unittest

from os_case import NODE, OsTest
from os_disk import tool
from os_machine import Drive, seeded
from os_powercut import Recording

CUTS = 20


class Data(OsTest):
    def test_a_full_data_partition_does_not_stop_the_node(self):
        disk = self.disk()
        machine = self.machine(disk, self.medium())
        self.up(machine)
        self.bus(machine).close()  # a node that has not made its keys has to make them
        machine.console.ok("sync")
        machine.stop()
        with disk.extracted("data", back=True) as file:
            self.fill(file)
        machine = self.machine(disk, name="full")
        environment = self.up(machine)
        self.assertEqual(environment["persistent"], "1")
        self.assertIn("is full, and what was kept back", environment["data_problem"])
        with self.bus(machine) as bus:
            bus.json(NODE)

    def fill(self, file):
        """Files until there is no block left."""
        tool("e2fsck", "-y", file, check=False)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            filler, commands = pathlib.Path(folder) / "filler", pathlib.Path(folder) / "commands"
            for size in (1 << 20, 4096):
                filler.write_bytes(b"x" * size)
                commands.write_text("".join(f"write {filler} fill{size}.{number}\n" for number in range(self.free(file) // size + 1)))
                tool("debugfs", "-w", "-f", commands, file)
        tool("e2fsck", "-fy", file, check=False)
        self.assertEqual(self.free(file), 0)

    @staticmethod
    def free(file):
        said = tool("dumpe2fs", "-h", file).decode()
        count, size = (int(re.search(rf"^{name}: +(\d+)", said, re.M)[1]) for name in ("Free blocks", "Block size"))
        return count * size

    def test_a_damaged_superblock_is_mended_or_named(self):
        disk = self.disk()
        disk.write(disk["data"].start + 1024, bytes(1024))
        machine = self.machine(disk)
        environment = self.up(machine)
        self.assertTrue(environment.get("data_problem") or environment["persistent"] == "1", environment)

    def test_a_damaged_file_system_is_mended_and_the_node_answers(self):
        """What has decayed: both bitmaps of the first group, and the inode of the root directory."""
        disk = self.disk()
        part = disk["data"]
        block, = struct.unpack_from("<I", disk.read(part.start + 1024, 1024), 24)
        size = 1024 << block
        with disk.extracted("data") as file:
            said = tool("debugfs", "-R", "stats", file).decode()
        place = {name: int(re.search(rf"{name} at (\d+)", said)[1]) for name in ("block bitmap", "inode bitmap", "inode table")}
        for name in place:
            disk.write(part.start + place[name] * size, b"\xa5" * 512)
        machine = self.machine(disk, self.medium())
        environment = self.up(machine)
        self.assertEqual((environment["persistent"], environment["data_problem"]), ("1", ""))
        machine.console.ok("grep -q repaired /run/initramfs/log")
        with self.bus(machine) as bus:
            bus.json(NODE)

    def test_a_node_without_its_data_partition_runs_from_memory_and_says_so(self):
        disk = self.disk()
        disk.rename("data", "gone")
        machine = self.machine(disk, self.medium())
        environment = self.up(machine)
        self.assertEqual(environment["persistent"], "0")
        self.assertIn("no data partition", environment["data_problem"])
        with self.bus(machine) as bus:
            bus.json(NODE)

    def test_a_disk_that_cannot_be_written_is_named(self):
        disk = self.disk()
        machine = self.machine(Drive(disk.path, read_only=True))
        environment = self.up(machine)
        self.assertEqual(environment["persistent"], "0")
        self.assertTrue(environment["data_problem"], environment)

    def test_a_node_whose_disk_cannot_be_written_stays_the_same_node_beside_a_large_store(self):
        disk, machine_id = self.disk(), "0123456789abcdef" * 2
        with disk.extracted("data", back=True) as file:
            files = {"maculaos/config.yaml": "hostname: kept-one\nk3os:\n  password: correct horse\n", "maculaos/.configured": "",
                     "maculaos/identity/machine-id": machine_id + "\n", "maculaos/nats/jetstream/block": "x" * (80 << 20)}
            for folder in ("maculaos", "maculaos/identity", "maculaos/nats", "maculaos/nats/jetstream"):
                tool("debugfs", "-w", "-R", f"mkdir {folder}", file)
            for name, text in files.items():
                content = self.folder / "content"
                content.write_text(text)
                tool("debugfs", "-w", "-R", f"write {content} {name}", file)
        machine = self.machine(Drive(disk.path, read_only=True))
        machine.start().console.log_in_with("correct horse")
        machine.console.take_shell()
        environment = self.boot_environment(machine)
        self.assertEqual(environment["persistent"], "0")
        self.assertIn("identity and configuration were read from it", environment["data_problem"])
        self.assertEqual(machine.console.ok("cat /etc/machine-id; hostname; doas ls /var/lib/maculaos/nats/jetstream/block 2>/dev/null || echo no store"),
                         f"{machine_id}\nkept-one\nno store")
        machine.console.ok("doas test -e /var/lib/maculaos/.configured")

    def test_a_data_partition_beyond_reading_leaves_the_console_shut(self):
        disk = self.disk()
        disk.wipe("data")
        machine = self.machine(disk)
        console = machine.start().console
        console.expect(r"could not be read from it, so the console lets nobody in", 240)
        console.expect(r"login: ?$", 240, "not configured")
        console.line("macula")
        console.expect(r"Password: ?$", 60, r"Set up this node\.|\$ ?$")

    def test_a_first_boot_cut_anywhere_is_followed_by_one_that_works(self):
        generator = seeded()
        before, disk = self.disk("before"), self.disk()
        record = self.folder / "first.record"
        machine = self.machine(Drive(disk.path, record=record), self.medium())
        self.up(machine)
        machine.console.ok("sync")
        machine.power_cut()
        recording = Recording(record)
        for number, count in enumerate(recording.moments(generator, CUTS)):
            with self.subTest(cut=number, write=count):
                cut = recording.disk_after(count, before.path, self.folder / "cut.img", generator, torn=number % 2 == 1)
                again = self.machine(cut, self.medium(), name=f"cut-{number}")
                self.up(again)
                with self.bus(again) as bus:
                    bus.json(NODE)
                again.stop()


if __name__ == "__main__":
    unittest.main()
