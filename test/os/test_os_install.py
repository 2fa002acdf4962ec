"""The installer on machines: from the medium to a disk that starts; asked, unasked, refused, and with the plug pulled."""
import os
import re
import unittest

import os_bootstate
from os_case import NODE, Images, OsTest
from os_disk import Disk
from os_machine import Drive, seeded
from os_powercut import Recording

ENTRY = r"Install MaculaOS to a disk"
OFFER = r"Enter: begin +s: a shell +r: restart +p: switch off > "
SILENT = "  install:\n    silent: true\n    device: {device}\n    power_off: true\nhostname: installed\n"
DOWN, MIB, SECTOR = "\x0e", 1 << 20, 512


class Install(OsTest):
    def boot_installer(self, machine):
        """Switches it on and chooses the second entry of the medium's menu."""
        machine.start().console.expect(ENTRY, 120)
        machine.console.send(DOWN + "\r")
        return machine

    def install_silently(self, target, device="auto", name="installer", more="", **options):
        """The machine that has done it, off; `target` is a Disk or Drive."""
        machine = self.machine(self.iso(), target, self.medium(more=SILENT.format(device=device) + more), name=name, **options)
        self.boot_installer(machine).console.expect(r"is installed on /dev/\w+\.", 400, never="macula-install:|Kernel panic")
        self.assertEqual(machine.wait_end(120), "off")
        return machine

    def starts_and_answers(self, disk, name="installed", **options):
        """The disk alone in a machine; what the initramfs says."""
        machine = self.machine(disk, name=name, **options)
        environment = self.up(machine)
        self.assertEqual((environment["mode"], environment["slot"], environment["pending"]), ("disk", "a", "0"))
        self.assertEqual((environment["verity"], environment["persistent"]), ("on", "1"))
        with self.bus(machine) as bus:
            self.assertEqual(bus.json(NODE)["hostname"], "installed")
        return machine

    def test_a_silent_installation_from_the_medium_becomes_a_node_that_answers(self):
        disk = self.empty_disk()
        said = self.install_silently(disk).console.text
        self.assertRegex(said, r"(?s)Making the data partition.*Writing the partition table and the boot sector.*MaculaOS \S+ is installed on")
        machine = self.starts_and_answers(disk)
        about, log = disk.slot_json("a"), machine.console.ok("doas cat /var/lib/maculaos/install/*.log")
        for step in (rf"Installing MaculaOS {re.escape(about['version'])} to /dev/vda$", rf"slot a: sha256 [0-9a-f]{{64}}, root hash {about['root_hash']}$",
                     "the boot loader is on the disk as it was written$", r"Making the data partition \([0-9.]+ [MG]iB\)$"):
            self.assertRegex(log, rf"(?m)^\S+Z {step}")
        self.assertRegex(log.splitlines()[-1], r"^\S+Z the partition table and the boot sector follow as the last step$")
        machine.power_cut()
        self.assertEqual(disk.data_check(), "")
        self.assertGreater(disk.data_size(), disk["data"].size * 95 // 100)

    def test_it_starts_on_every_firmware_and_bus(self):
        for bus, firmware, board in (("virtio", "ovmf", "q35"), ("ide", "ovmf", "pc"), ("nvme", "seabios", "q35"), ("usb", "ovmf", "q35")):
            with self.subTest(bus=bus, firmware=firmware, board=board):
                name = f"{bus}-{firmware}-{board}"
                disk = self.empty_disk(name)
                drive = Drive(disk.path, bus)
                self.install_silently(drive, name=f"installer-{name}", board=board, firmware=firmware)
                self.starts_and_answers(drive, name=f"installed-{name}", board=board, firmware=firmware).stop()

    def test_what_was_installed_under_one_firmware_starts_under_the_other(self):
        disk = self.empty_disk()
        self.install_silently(disk)
        self.starts_and_answers(disk, board="q35", firmware="ovmf")

    def test_a_person_at_the_serial_console_is_asked(self):
        disk = self.empty_disk()
        machine = self.machine(self.iso(), disk)
        console = self.boot_installer(machine).console
        console.expect(OFFER, 240)
        console.line()
        console.expect(r"/dev/vda +4\.0 GiB +nothing known on it")
        for question, answer in ((r"Install to which disk\?[^:]*: $", "sr0"), (r"Install to which disk\?[^:]*: $", "vda"),
                                 (r"Keyboard[^[]*\[us\]: $", "zz"), (r"no layout zz, but these:(?s:.*)\bde\b(?s:.*)Keyboard[^[]*\[us\]: $", ""),
                                 (r"Host name \[[^]]*\]: $", "Not A Name"), (r"Host name \[[^]]*\]: $", "installed"),
                                 (r"Password \(Enter: none\): $", "correct horse"), (r"The same again: $", "correct horse"),
                                 (r"Key \(Enter: none\): $", "back"), (r"Password \(Enter: none\): $", "correct horse"),
                                 (r"The same again: $", "correct horse"), (r"Key \(Enter: none\): $", ""), (r"Network \[1\]: $", ""),
                                 (r"Roles \([^)]*\): $", ""), (r"Time zone[^[]*\[UTC\]: $", "Europe/Berlin"),
                                 (r"Type vda to erase it and install, or quit: $", "vda")):
            console.expect(question, 60)
            console.line(answer)
        console.expect(r"Take the medium out and restart", 400, never="macula-install:")
        console.expect(r"Enter restarts it now: $")
        console.line()
        self.assertEqual(machine.wait_end(120), "reset")
        installed = self.machine(disk, name="installed")
        installed.start().console.log_in_with("correct horse")
        installed.console.take_shell()
        self.assertNotIn("correct horse", machine.log.read_text(errors="replace"))
        self.assertEqual(installed.console.ok("hostname"), "installed")

    def test_ctrl_c_leaves_the_disk_as_it_was_and_the_installer_can_be_begun_again(self):
        disk = self.empty_disk()
        machine = self.machine(self.iso(), disk)
        console = self.boot_installer(machine).console
        console.expect(OFFER, 240)
        console.line()
        console.expect(r"Install to which disk\?[^:]*: $")
        console.send("\x03")
        console.expect("nothing was changed on any disk")
        console.expect(OFFER)
        console.line()
        console.expect(r"Install to which disk\?[^:]*: $")
        console.line("quit")
        console.expect(OFFER)
        console.line("p")
        self.assertEqual(machine.wait_end(60), "off")
        self.assertEqual(disk.read(0, MIB), bytes(MIB))

    def test_disks_that_cannot_be_used_are_refused_with_the_reason(self):
        small, fixed = self.empty_disk("small", 1 << 30), self.empty_disk("fixed")
        machine = self.machine(self.iso("usb"), small, Drive(fixed.path, read_only=True))
        console = self.boot_installer(machine).console
        console.expect(OFFER, 240)
        console.line("s")
        console.expect(r"[$#] ?$")
        console.take_shell()
        for disk, why in (("vda", "too small: 1.3 GiB needed, 1.0 GiB there"), ("vdb", "write-protected"),
                          ("sda", "this installer runs from it"), ("sda2", "name a whole disk"), ("/dev/null", "is no disk"),
                          ("vdz", "there is no disk vdz"), ("auto", "no disk can be installed to")):
            with self.subTest(disk):
                path = f"/dev/{disk}" if disk[:2] in ("sd", "vd") and disk != "vdz" else disk
                code, said = console.run(f"macula-install {path} --yes")
                self.assertIn(why, said)
                self.assertIn(code, (1, 5))
        console.ok("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt")
        code, said = console.run("macula-install /dev/vda --yes")
        self.assertEqual(code, 5, said)
        self.assertIn("mounted at /mnt", said)

    def test_a_silent_installation_that_cannot_be_done_says_why_and_asks(self):
        machine = self.machine(self.iso(), self.empty_disk("one"), self.empty_disk("two"), self.medium(more=SILENT.format(device="auto")))
        console = self.boot_installer(machine).console
        console.expect("more than one disk can be installed to: name one of", 240)
        console.expect(OFFER)

    def test_a_machine_without_a_disk_is_told_so(self):
        machine = self.machine(self.iso(), self.medium(more=SILENT.format(device="auto")))
        console = self.boot_installer(machine).console
        console.expect("no disk can be installed to", 240)
        console.expect(OFFER)

    # ---- power cuts ----
    def is_bootable(self, disk):
        first = disk.read(0, SECTOR)
        return first[:440] != bytes(440) or first[510:] == b"\x55\xaa"

    def is_whole(self, disk):
        """Every part of a new installation, compared with the medium's."""
        parts = disk.partitions()
        self.assertEqual(list(parts), ["bios", "esp", "rootfs-A", "rootfs-B", "data"])
        built = Disk(Images.of("img"))
        about = disk.slot_json("a")
        self.assertEqual(about, built.slot_json("a"))
        self.assertTrue(disk.read(parts["rootfs-A"].start, about["size"]) == built.read(built["rootfs-A"].start, about["size"]))
        states = [os_bootstate.State.decode(disk.esp_read(f"/grub/state-{number}")) for number in (1, 2)]
        self.assertEqual([(s.seq, s.active, s.pending) for s in states], [(1, "a", "-"), (2, "a", "-")])
        self.assertEqual(disk.esp_read("/grub/grub.cfg"), built.esp_read("/grub/grub.cfg"))
        self.assertEqual(disk.read(parts["bios"].start, MIB), built.read(built["bios"].start, MIB))
        self.assertEqual(disk.data_check(), "")
        self.assertIn(b"hostname: installed", disk.data_read("/maculaos/config.yaml"))

    def cut(self, before, record, generator, count):
        """The disk after cuts all over an installation, and at each of the last writes; returns how many were bootable."""
        recording, whole = Recording(record), 0
        last = len(recording.writes)
        moments = [(moment, False) for moment in recording.moments(generator, count)]
        moments += [(moment, torn) for moment in range(last - 8, last + 1) for torn in (False, True)]
        for moment, torn in moments:
            with self.subTest(writes=moment, of=last, torn=torn):
                disk = recording.disk_after(moment, before.path, self.folder / "cut.img", generator, torn)
                if self.is_bootable(disk):
                    whole += 1
                    self.is_whole_or_old(disk, before)
        return whole

    def is_whole_or_old(self, disk, before):
        """A disk that starts is the old one, untouched but perhaps for what was erased in no particular order, or the new one."""
        old = self.is_bootable(before) and disk.read(0, 2 * MIB) == before.read(0, 2 * MIB)
        if old:
            self.assertEqual(disk["data"].uuid, before["data"].uuid)
        else:
            self.is_whole(disk)

    def test_twenty_power_cuts_during_an_installation_leave_nothing_or_all_of_it(self):
        generator = seeded()
        before, target, record = self.empty_disk("before"), self.empty_disk(), self.folder / "disk.record"
        self.install_silently(Drive(target.path, record=record))
        self.assertGreater(self.cut(before, record, generator, 20), 0)
        self.starts_and_answers(Recording(record).disk_after(len(Recording(record).writes), before.path, self.folder / "all.img"))

    def test_power_cuts_during_an_installation_over_an_old_one_leave_the_old_nothing_or_the_new(self):
        generator = seeded()
        before = self.disk("before", 4 << 30)
        target, record = Disk.copy_of(before.path, self.folder / "target.img"), self.folder / "disk.record"
        self.install_silently(Drive(target.path, record=record))
        self.assertGreater(self.cut(before, record, generator, 20), 0)

    def test_after_a_power_cut_the_installer_begins_anew(self):
        generator = seeded()
        disk = self.empty_disk()
        machine = self.machine(self.iso(), disk, self.medium(more=SILENT.format(device="auto")), name="cut")
        self.boot_installer(machine).console.expect("Writing MaculaOS", 240)
        machine.cut_at_random(generator, 8)
        self.assertFalse(self.is_bootable(disk))
        self.install_silently(disk)
        self.starts_and_answers(disk)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    unittest.main()
