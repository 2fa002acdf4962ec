"""Power cuts where the boot state is written and where a node is reset: one recorded boot each, cut at many moments, each disk booted.

A stand-in for the system, which says what the initramfs and the boot state gave it and switches off, makes a boot cheap."""
import contextlib
import unittest

from os_bootstate import next_boot, state_on, states_on, tries_of, write_state
from os_case import OsTest
from os_disk import tool
from os_machine import Drive, seeded, turn
from os_powercut import Recording
from os_slot import rebuild, with_init

CUTS, STARTED = 20, 8
SAYS = r"stand-in: slot=([ab]) pending=([01]) persistent=([01]) problem=(.*)$"
STAND_IN = """export PATH=/usr/bin:/usr/sbin
. /run/initramfs/boot.env
{work}
echo "stand-in: slot=$slot pending=$pending persistent=$persistent problem=$data_problem"
sync
busybox poweroff -f
"""
# As many changes of the state as there are cuts; the slot on trial is confirmed in their midst.
CHANGES = """[ "$pending" = 1 ] && [ ! -e /var/lib/changed ] && {
    : >/var/lib/changed
    for n in 1 2 3 4 5; do maculaos boot next recovery && maculaos boot next normal; done || echo "stand-in: cannot"
    maculaos boot confirm || echo "stand-in: cannot"
    for n in 1 2 3 4 5; do maculaos boot next recovery && maculaos boot next normal; done || echo "stand-in: cannot"
}"""


class Turns:
    """Lets other runs have the machine after every few boots, not after each of these short ones."""
    EACH = 5

    def __init__(self):
        self._done, self._stack = 0, contextlib.ExitStack()

    def __enter__(self):
        if self._done % self.EACH == 0:
            self._stack.enter_context(turn())
        self._done += 1

    def __exit__(self, *_):
        if self._done % self.EACH == 0:
            self._stack.close()

    def close(self):
        self._stack.close()


class Cuts(OsTest):
    def setUp(self):
        super().setUp()
        self.turns = Turns()
        self.addCleanup(self.turns.close)

    def with_stand_in(self, disk, work=":"):
        """Slot A becomes the stand-in."""
        write_state(disk, verity_a=rebuild(disk, "a", with_init(STAND_IN.format(work=work))))
        return disk

    def says(self, machine):
        """What the stand-in says at the end of a boot: slot, pending, persistent, problem."""
        match = machine.console.expect(SAYS, 120, never="Kernel panic|cannot")
        self.assertEqual(machine.wait_end(60), "off")
        return match.groups()

    def moments(self, recording, partition, generator):
        """Pairs (writes, torn) all over the writes to a partition: every boundary when there are few, and cuts within writes."""
        writes = recording.touching(partition)
        self.assertTrue(writes, f"nothing was written to {partition.name}")
        places = [(n + after, False) for n in writes for after in (0, 1)] + [(n + 1, True) for n in writes if recording.writes[n].length > 512]
        places = sorted(set(places))
        return sorted(generator.sample(places, 3 * CUTS)) if len(places) > 3 * CUTS else places

    def test_a_boot_state_cut_at_any_write_starts_the_slot_that_it_says(self):
        """Each cut is looked at on the disk; a part of them is started, too."""
        generator = seeded()
        before = self.with_stand_in(self.disk("before"), CHANGES)
        before.copy_slot("a", "b")
        first = write_state(before, pending="b", verity_b=state_on(before).verity_a)
        disk, record = before.copy_of(before.path, self.folder / "disk.img"), self.folder / "disk.record"
        machine = self.machine(Drive(disk.path, record=record))
        machine.start()
        self.assertEqual(self.says(machine)[:2], ("b", "1"))
        last = state_on(disk)
        self.assertEqual((last.active, last.pending, last.next), ("b", "-", "normal"))
        recording = Recording(record)
        moments = self.moments(recording, before["esp"], generator)
        self.assertGreaterEqual(len(moments), CUTS)
        started = set(generator.sample(range(len(moments)), STARTED))
        for number, (count, torn) in enumerate(moments):
            with self.subTest(cut=number, writes=count, torn=torn):
                cut = recording.disk_after(count, before.path, self.folder / "cut.img", generator, torn)
                self.assertTrue(any(states_on(cut)))
                state = state_on(cut)
                self.assertTrue(first.seq <= state.seq <= last.seq, state)
                self.assertIsNotNone(tries_of(cut.esp_read("/grub/tries")))
                if number in started:
                    with self.turns:
                        self.starts_as_it_says(cut, state, f"cut-{number}")
        print(f"{len(moments)} cuts, {len(started)} of them started", flush=True)

    def starts_as_it_says(self, disk, state, name):
        machine = self.machine(disk, name=name)
        if state.next == "recovery":
            machine.start().console.expect(r"Recovery> $", 120)
            machine.stop()
        slot, pending = next_boot(disk)
        machine.start()
        self.assertEqual(self.says(machine)[:2], (slot, str(int(pending))))

    # ---- the factory reset ----
    def used(self):
        """A disk whose node was in use: a configuration, keys, k3s state, data of the user."""
        disk = self.with_stand_in(self.disk("before"))
        with disk.extracted("data", back=True) as file:
            content = self.folder / "content"
            content.write_text("hostname: before\n" * 1000)
            for name in ("maculaos", "maculaos/identity", "maculaos/generations", "rancher", "userdata", "home"):
                tool("debugfs", "-w", "-R", f"mkdir {name}", file, check=False)
            for name in ("maculaos/config.yaml", "maculaos/identity/node.nk", "maculaos/generations/1", "rancher/k3s", "userdata/kept", "home/x",
                         *(f"maculaos/generations/more-{n}" for n in range(50))):
                tool("debugfs", "-w", "-R", f"write {content} {name}", file)
        return disk

    def is_reset(self, disk, keep):
        self.assertEqual((state_on(disk).reset, state_on(disk).next), ("none", "normal"))
        self.assertEqual(disk.data_check(), "")
        self.assertNotIn(".reset", disk.data_names("/"))
        for folder, gone in (("/maculaos", "config.yaml"), ("/maculaos/identity", "node.nk"), ("/rancher", "k3s"), ("/home", "x"),
                             ("/maculaos", "generations")):
            self.assertNotIn(gone, disk.data_names(folder), folder)
        self.assertEqual("kept" in disk.data_names("/userdata"), keep)

    def resets(self, disk, name):
        """Boots until the stand-in is there; what it says, and how many boots it took."""
        machine = self.machine(disk, name=name)
        for boots in (1, 2, 3):
            machine.start()
            said, match = machine.console.expect_any({"stand-in": SAYS, "reset": "reset has ended: restarting"}, 180)
            if machine.wait_end(60) == "off" and said == "stand-in":
                return match.groups(), boots
        raise machine.console.failed("the reset did not end")

    def cut_resets(self, keep):
        generator = seeded()
        before = self.used()
        write_state(before, reset="keep" if keep else "all")
        disk, record = before.copy_of(before.path, self.folder / "disk.img"), self.folder / "disk.record"
        machine = self.machine(Drive(disk.path, record=record))
        machine.start().console.expect("reset has ended: restarting", 180)
        self.assertEqual(machine.wait_end(60), "reset")
        recording = Recording(record)
        self.is_reset(disk, keep)
        seen = set()
        for number, count in enumerate(recording.moments(generator, CUTS // 2)):
            with self.subTest(cut=number, writes=count), self.turns:
                cut = recording.disk_after(count, before.path, self.folder / "cut.img", generator, torn=number % 2 == 1)
                (slot, pending, persistent, problem), boots = self.resets(cut, f"cut-{number}")
                self.assertEqual((slot, pending, persistent, problem), ("a", "0", "1", ""))
                self.is_reset(cut, keep)
                seen.add(boots)
        self.assertIn(2, seen)  # interrupted, it went on at the next start

    def test_a_reset_of_the_menu_cut_while_it_makes_a_new_file_system_is_gone_on_with(self):
        """What is beyond repair is made anew; from the boot menu nothing but that has told of the reset before."""
        generator = seeded()
        before = self.with_stand_in(self.disk("before"))
        before.wipe("data")
        before.esp_write("/grub/local.cfg", b"set timeout=0\nset default='reset>reset-all'\n")
        disk, record = before.copy_of(before.path, self.folder / "disk.img"), self.folder / "disk.record"
        machine = self.machine(Drive(disk.path, record=record))
        machine.start().console.expect("a new file system is made", 180)
        machine.console.expect("reset has ended: restarting", 180)
        self.assertEqual(machine.wait_end(60), "reset")
        recording = Recording(record)
        writes = recording.touching(before["data"])
        for number, count in enumerate([writes[0], *sorted(generator.sample(writes, CUTS // 4))]):
            with self.subTest(cut=number, writes=count), self.turns:
                cut = recording.disk_after(count, before.path, self.folder / "cut.img", generator, torn=number % 2 == 1)
                cut.esp_write("/grub/local.cfg", b"set timeout=0\n")  # nobody is at the keyboard any more
                said, boots = self.resets(cut, f"cut-{number}")
                self.assertEqual((said, boots), (("a", "0", "1", ""), 2))
                self.assertEqual((state_on(cut).reset, cut.data_check()), ("none", ""))

    def test_a_factory_reset_cut_anywhere_is_finished_at_the_next_start(self):
        self.cut_resets(keep=False)

    def test_a_factory_reset_that_keeps_data_cut_anywhere_is_finished_at_the_next_start(self):
        self.cut_resets(keep=True)


if __name__ == "__main__":
    unittest.main()
