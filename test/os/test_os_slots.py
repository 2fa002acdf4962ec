"""Two slots and a boot state: whatever is wrong with one, the other comes up; the state survives what a power cut makes of it."""
import json
import os
import struct
import unittest

from os_bootstate import EMPTY, State, encode_tries, next_boot, state_on, states_on, tries_of, write_state
from os_case import OsTest, quick
from os_slot import rebuild, with_init

NOT_A_HASH = "5a" * 32


class Slots(OsTest):
    def disk_with_both(self):
        """Slot B holds what A holds, and is to be tried next."""
        disk = self.disk()
        disk.copy_slot("a", "b")
        return disk, write_state(disk, pending="b", verity_b=state_on(disk).verity_a)

    def comes_back(self, disk, boots, watchdog=True):
        """B is tried, A comes up after so many boots and knows why."""
        self.assertEqual(next_boot(disk), ("b", True))
        machine = self.machine(disk, watchdog=watchdog)
        count, environment = self.boots_until_up(machine)
        self.assertEqual((environment["slot"], environment["pending"], environment["failed"]), ("a", "0", "b"))
        self.assertEqual(count, boots)
        machine.stop()

    def comes_back_for_good(self, disk):
        """B uses up its three tries."""
        self.comes_back(disk, 4)
        self.assertEqual(next_boot(disk), ("a", False))

    def test_a_good_pending_slot_becomes_the_active_one(self):
        disk, _ = self.disk_with_both()
        machine = self.machine(disk)
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"]), ("b", "1"))
        machine.console.ok("until doas maculaos boot status 2>/dev/null | grep -qi 'active.*b'; do sleep 1; done", 240)
        machine.power_cut()
        self.assertEqual((state_on(disk).active, state_on(disk).pending), ("b", "-"))

    @staticmethod
    def corrupt(disk):
        """The top of the hash tree: GRUB, which does not look at it, loads the kernel, and there every block is wrong."""
        disk.write(disk["rootfs-B"].start + disk.slot_json("b")["data_blocks"] * 4096, b"\x5a" * 4096)

    def test_a_corrupt_slot_falls_back_to_the_other(self):
        disk, _ = self.disk_with_both()
        self.corrupt(disk)
        self.comes_back_for_good(disk)

    @quick
    def test_a_corrupt_slot_gives_way_after_its_last_try(self):
        disk, state = self.disk_with_both()
        self.corrupt(disk)
        disk.esp_overwrite("/grub/tries", encode_tries((state.seq, state.seq, 0, 0)))
        self.comes_back(disk, 2)
        self.assertEqual(next_boot(disk), ("a", False))

    def without_table(self, which):
        """B without one of its squashfs's tables: the directories, or where the small files (/boot/crc32) lie."""
        disk, _ = self.disk_with_both()
        part = disk["rootfs-B"]
        directories, list_of_places = struct.unpack("<QQ", disk.read(part.start + 72, 16))
        places, = struct.unpack("<Q", disk.read(part.start + list_of_places, 8))
        first, end = {"directories": (directories, places), "small files": (places, list_of_places)}[which]
        disk.write(part.start + first, bytes(end - first))
        return disk

    def test_a_slot_whose_directories_are_damaged_gives_way_within_the_same_boot(self):
        self.comes_back(self.without_table("directories"), 1)

    def test_a_slot_whose_checksums_cannot_be_read_gives_way_within_the_same_boot(self):
        self.comes_back(self.without_table("small files"), 1)

    def test_a_slot_with_a_wrong_hash_falls_back_to_the_other(self):
        disk, state = self.disk_with_both()
        write_state(disk, verity_b=NOT_A_HASH + state.verity_b[64:])
        self.comes_back_for_good(disk)

    def test_a_slot_whose_kernel_is_damaged_falls_back_to_the_other(self):
        disk, _ = self.disk_with_both()
        kernel = disk.slot_file("b", "/boot/vmlinuz")
        places = [p for start in range(1 << 20, len(kernel), 1 << 20) if (p := disk.find_in_slot("b", kernel[start:start + 64]))]
        self.assertTrue(places, "the kernel is compressed beyond recognition")
        for place in places:
            disk.write(disk["rootfs-B"].start + place, bytes(64))
        self.comes_back(disk, 1)

    def test_an_active_slot_that_fails_late_gives_way_to_the_other(self):
        disk, _ = self.disk_with_both()
        noise = os.urandom(1 << 20)

        def read_noise(root):
            with_init("cat /noise >/dev/null\nsleep 1000\n")(root)
            (root / "noise").write_bytes(noise)
        write_state(disk, pending="-", verity_a=rebuild(disk, "a", read_noise))
        disk.write(disk["rootfs-A"].start + disk.find_in_slot("a", noise[4096:4160]), bytes(64))
        bios = disk["bios"]
        disk.write(bios.start + bios.size - 512, b"starts=4\n".ljust(512, b"\0"))
        # The fifth start, one that gives up on it, and the other slot.
        count, environment = self.boots_until_up(self.machine(disk, watchdog=True))
        self.assertEqual((count, environment["slot"], environment["pending"]), (3, "b", "1"))

    def test_a_slot_that_is_no_file_system_gives_way_within_the_same_boot(self):
        disk, _ = self.disk_with_both()
        disk.write(disk["rootfs-B"].start, bytes(4096))
        self.comes_back(disk, 1)

    def test_a_slot_that_hangs_falls_back_by_the_watchdog(self):
        disk, _ = self.disk_with_both()
        write_state(disk, verity_b=rebuild(disk, "b", with_init("while :; do sleep 1000; done\n")))
        self.comes_back_for_good(disk)

    def test_without_hardware_the_kernels_own_watchdog_ends_the_hang_of_a_slot(self):
        disk, _ = self.disk_with_both()
        state = write_state(disk, verity_b=rebuild(disk, "b", with_init("while :; do sleep 1000; done\n")))
        disk.esp_overwrite("/grub/tries", encode_tries((state.seq, state.seq, 0, 0)))
        self.comes_back(disk, 2, watchdog=False)
        self.assertEqual(next_boot(disk), ("a", False))

    def test_a_slot_that_panics_falls_back_to_the_other(self):
        disk, _ = self.disk_with_both()
        write_state(disk, verity_b=rebuild(disk, "b", with_init("exit 1\n")))
        self.comes_back_for_good(disk)


class BootState(OsTest):
    """What is wrong with the boot state is said, and mended by the next change, as docs/boot-state.md promises."""

    def boots(self, disk, **expected):
        """A machine that is up with slot a; `expected`: what else the initramfs says of this start."""
        machine = self.machine(disk, name=f"machine-{len(self.machines)}")
        environment = self.up(machine)
        for key, value in {"slot": "a", "pending": "0", "failed": "", "state_lost": "0", "tries_lost": "0", **expected}.items():
            self.assertEqual(environment[key], value, environment)
        return machine

    @staticmethod
    def status(machine):
        return json.loads(machine.console.run("doas maculaos boot status -o json | tr -d '\\n'; echo")[1])

    def told_at_login(self, machine):
        return machine.console.ok("until [ -s /run/motd ]; do sleep 0.5; done; cat /run/motd", 120)

    def changed(self, machine, disk, changes=("recovery",)):
        """Changes of the state that succeeded are on the disk when the power goes; the last one is for the recovery."""
        for mode in changes:
            machine.console.ok(f"doas maculaos boot next {mode}")
        machine.power_cut()
        state = state_on(disk)
        self.assertEqual((state.active, state.pending, state.next, state.reset), ("a", "-", "recovery", "none"))
        about = disk.slot_json("a")
        self.assertEqual(state.verity_a, f"{about['root_hash']}:{about['data_blocks']:010}")

    def test_one_garbage_copy_of_the_state_is_no_matter(self):
        for number in (1, 2):
            with self.subTest(copy=number):
                disk = self.disk()
                for _ in range(2):
                    write_state(disk)  # both copies are whole now, whatever the image came with
                disk.esp_overwrite(f"/grub/state-{number}", b"\xa5" * 1024)
                machine = self.boots(disk)
                status = self.status(machine)
                self.assertFalse(status["lost"])
                self.assertRegex("; ".join(status["damage"]), rf"^state-{number}: [^;]*$")
                self.changed(machine, disk)
                self.assertTrue(all(states_on(disk)), "the change goes over the garbage")

    def test_without_any_state_it_boots_and_mends_it(self):
        disk = self.disk()
        for file in ("/grub/state-1", "/grub/state-2"):
            disk.esp_overwrite(file, b"\xa5" * 1024)
        machine = self.boots(disk, state_lost="1", verity="on")
        self.assertIn("the boot state was lost", self.told_at_login(machine))
        status = self.status(machine)
        self.assertTrue(status["lost"])
        self.assertEqual(len(status["damage"]), 2)
        self.changed(machine, disk, ("recovery", "normal", "recovery"))
        self.assertTrue(all(states_on(disk)))

    def test_without_the_files_of_the_state_it_boots_and_says_which_are_missing(self):
        disk = self.disk()
        for file in ("/grub/state-1", "/grub/state-2"):
            disk.esp_delete(file)
        machine = self.boots(disk, state_lost="1", verity="on")
        self.assertIn("the boot state was lost", self.told_at_login(machine))
        code, said = machine.console.run("doas maculaos boot next recovery")
        self.assertNotEqual(code, 0)
        self.assertRegex(said, "state-[12]")

    def test_garbage_tries_boot_the_active_slot(self):
        disk = self.disk()
        disk.copy_slot("a", "b")
        write_state(disk, pending="b", verity_b=state_on(disk).verity_a)
        disk.esp_overwrite("/grub/tries", b"\xa5" * 1024)
        machine = self.boots(disk, tries_lost="1")
        self.assertRegex("; ".join(self.status(machine)["damage"]), "^tries: ")
        machine.console.run("doas maculaos boot confirm")  # it makes them readable, whatever it says of the slot
        self.assertEqual((self.status(machine)["damage"], self.status(machine)["tries_left"]), ([], 3))
        machine.power_cut()
        self.assertEqual(tries_of(disk.esp_read("/grub/tries")), [0, 0, 0, 0])
        self.assertEqual(next_boot(disk), ("b", True))

    def test_a_full_esp_is_no_matter(self):
        disk = self.disk()
        disk.esp_fill()
        self.changed(self.boots(disk), disk)

    def test_a_state_cut_at_any_byte_says_one_of_the_two(self):
        disk = self.disk()
        write_state(disk, next="recovery")
        old = disk.esp_read("/grub/state-1"), disk.esp_read("/grub/state-2")
        before = state_on(disk)
        after = write_state(disk, next="normal")
        new = disk.esp_read("/grub/state-1"), disk.esp_read("/grub/state-2")
        which = 0 if old[0] != new[0] else 1
        for byte in range(1025):
            copies = [State.decode(old[1 - which]), State.decode(new[which][:byte] + old[which][byte:])]
            self.assertIn(max((c for c in copies if c), key=lambda c: c.seq), (before, after), byte)

    def test_every_state_file_on_a_new_disk_is_whole(self):
        disk = self.disk()
        state = state_on(disk)
        self.assertEqual((state.active, state.pending, state.next, state.reset), ("a", "-", "normal", "none"))
        self.assertNotEqual(state.verity_a, EMPTY)
        said = disk.slot_json("a")
        self.assertEqual(state.verity_a, f"{said['root_hash']}:{said['data_blocks']:010}")
        self.assertTrue(any(states_on(disk)))
        self.assertEqual(len(disk.esp_read("/grub/tries")), len(encode_tries()))


if __name__ == "__main__":
    unittest.main()
