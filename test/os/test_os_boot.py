"""The images boot, on every firmware and board, from every kind of disk, and the node answers."""
import unittest

from os_case import NODE, Images, OsTest, quick
from os_disk import Disk
from os_machine import Drive

CONTROL = "macula.rpc.io.macula.config.patch"


class Boot(OsTest):
    @quick
    def test_the_disk_image_boots_and_its_node_answers_the_admin_alone(self):
        disk = self.disk()
        machine = self.machine(disk)
        environment = self.up(machine)
        self.assertEqual((environment["mode"], environment["slot"], environment["pending"]), ("disk", "a", "0"))
        self.assertEqual(environment["verity"], "on")
        with self.bus(machine, self.admin_seed(machine, disk)) as bus:
            self.assertIn("hostname", str(bus.json(NODE)))
        with self.assertRaises((ConnectionError, AssertionError)), self.bus(machine, seconds=0) as nobody:
            nobody.json(CONTROL, b'{"patch_json":"{}"}')

    @quick
    def test_the_iso_boots_live_as_a_cd_under_uefi(self):
        environment = self.up(self.machine(self.iso(), board="q35", firmware="ovmf"))
        self.assertEqual(environment["mode"], "live")

    def test_the_iso_boots_everywhere(self):
        for bus in ("cd", "usb"):
            for firmware in ("seabios", "ovmf"):
                for board in ("pc", "q35"):
                    with self.subTest(bus=bus, firmware=firmware, board=board):
                        machine = self.machine(self.iso(bus), name=f"{bus}-{firmware}-{board}", board=board, firmware=firmware)
                        self.assertEqual(self.up(machine)["mode"], "live")
                        machine.stop()

    def test_the_disk_image_boots_from_every_kind_of_disk(self):
        for bus, firmware, board in (("ide", "seabios", "pc"), ("nvme", "seabios", "q35"), ("usb", "seabios", "q35"),
                                     ("virtio", "ovmf", "pc"), ("ide", "ovmf", "q35"), ("nvme", "ovmf", "q35"), ("usb", "ovmf", "q35")):
            with self.subTest(bus=bus, firmware=firmware, board=board):
                drive = Drive(self.disk().path, bus)
                machine = self.machine(drive, name=f"{bus}-{firmware}-{board}", board=board, firmware=firmware)
                self.assertEqual(self.up(machine)["slot"], "a")
                machine.stop()

    def test_the_qcow2_image_boots(self):
        overlay = Disk.overlay(Images.of("qcow2"), self.folder / "disk.qcow2", "qcow2")
        self.assertEqual(self.up(self.machine(Drive(overlay.path, format="qcow2")))["mode"], "disk")

    def test_it_boots_without_a_network(self):
        self.assertEqual(self.up(self.machine(self.disk(), network=False))["mode"], "disk")

    def test_a_second_disk_with_the_same_names_is_left_alone(self):
        ours, other = self.disk("ours"), self.disk("other")
        before = other.path.read_bytes()[other["data"].start:]
        environment = self.up(self.machine(ours, other))
        self.assertTrue(environment["data"].startswith(environment["disk"]), environment)
        self.assertEqual(other.path.read_bytes()[other["data"].start:], before)

    def test_data_grows_into_a_bigger_disk_at_the_first_boot(self):
        disk = self.disk(size=4 << 30)
        machine = self.machine(disk)
        self.up(machine)
        machine.console.line("sync")
        machine.console.ok("sync")
        machine.power_cut()
        self.assertGreater(disk["data"].start + disk["data"].size, (4 << 30) - (2 << 20))
        self.assertGreater(disk.data_size(), disk["data"].size * 95 // 100)
        self.assertEqual(disk.data_check(), "")


if __name__ == "__main__":
    unittest.main()
