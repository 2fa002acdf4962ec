#!/usr/bin/python3
"""What the initramfs notes of a version on trial, start by start: lib/trial.sh with a file for the disk, and the last words given."""
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
START = r"""
note() {{ :; }}
tell() {{ :; }}
log=/dev/null crash_memory=''
. {lib}/trial.sh
trial_place() {{ trial_device={disk} trial_sector=2; }}
crash_read() {{ crash_cause='' crash_text=''; [ -z "{words}" ] || crash_judge "{words}"; }}
hung() {{ {hung}; }}
pending={pending} slot={slot} token={token}:7
trial_count
{then}
printf '%s|%s|%s|%s|%s' "$trial_slot" "$trial_starts" "$trial_stage" "$trial_cause" "$trial_text"
"""
ONE, OTHER = "1" * 64, "2" * 64
PANIC = "<0>[   11.8] Kernel panic - not syncing: sysrq triggered crash\n<4>[   11.9]  </TASK>\n"


class Trials(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.disk = self.folder / "disk"
        self.disk.write_bytes(bytes(4 * 512))

    def start(self, pending=1, slot="b", token=ONE, words="", hung=False, then=""):
        """One start; what the system would be told of the trial: slot, starts, stage, cause, text."""
        path = self.folder / "words"
        path.write_text(words)
        script = START.format(
            lib=HERE / "lib", disk=self.disk, words=path if words else "", hung="true" if hung else "false", pending=pending, slot=slot,
            token=token, then=then)
        done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        content = self.disk.read_bytes()
        self.assertEqual((len(content), content[:1024], content[1536:]), (2048, bytes(1024), bytes(512)))
        return tuple(done.stdout.split("|"))

    def back(self, **what):
        return self.start(pending=0, slot="a", token=OTHER, **what)

    def test_each_start_of_a_trial_is_counted_and_the_version_before_is_told(self):
        self.assertEqual(self.start(), ("b", "1", "initramfs", "", ""))
        self.assertEqual(self.start(then="trial_handed_over"), ("b", "2", "system", "", ""))
        self.assertEqual(self.start()[1], "3")
        self.assertEqual(self.back(), ("b", "3", "initramfs", "", ""))
        self.assertEqual(self.back(), ("b", "3", "initramfs", "", ""), "told again until the next trial")

    def test_the_kernels_last_words_are_of_the_start_before(self):
        self.start(then="trial_handed_over")
        self.assertEqual(self.start(words=PANIC)[3:], ("panic", "sysrq triggered crash"))
        self.assertEqual(self.back()[3:], ("panic", "sysrq triggered crash"), "known from an earlier start, when the last said nothing")

    def test_what_the_initramfs_itself_knows_is_noted(self):
        self.start(then="trial_end verity 'slot b cannot be verified (|`$(:)\\\\ \x07'")
        self.assertEqual(self.back()[3], "verity")

    def test_the_last_words_are_told_apart(self):
        for words, cause, text in (("[ 9.1] device-mapper: verity: 254:0: data block 77 is corrupted\nreboot: Restarting system with command 'dm-verity'",
                                    "verity", "data block 77 is corrupted"),
                                   ("softdog: Initiating system reboot", "hang", "Initiating system reboot"),
                                   ("Kernel panic - not syncing: softlockup: hung tasks", "hang", "softlockup: hung tasks"),
                                   (PANIC, "panic", "sysrq triggered crash"), ("reboot: Restarting system", "", "")):
            with self.subTest(words):
                self.disk.write_bytes(bytes(2048))
                self.start()
                self.assertEqual(self.back(words=words)[3:], (cause, text))

    def test_the_watchdog_counts_where_the_kernel_said_nothing(self):
        self.start()
        self.assertEqual(self.back(hung=True)[3], "hang")
        self.start()
        self.assertEqual(self.back(hung=True, words=PANIC)[3], "panic")

    def crash_memory(self, entries, iomem):
        for number, (start, end, kind) in enumerate(entries):
            folder = self.folder / "map" / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in (("start", start), ("end", end), ("type", kind)):
                (folder / name).write_text(text + "\n")
        (self.folder / "iomem").write_text(iomem)
        return subprocess.run(["sh", "-euc", f". {HERE}/lib/trial.sh; firmware_map={self.folder}/map iomem={self.folder}/iomem; "
                               "crash_memory_is_free 0x6000000 65536"], check=False).returncode == 0

    def test_the_kernels_last_words_are_kept_in_free_memory_only(self):
        ram, kernel = ("0x100000", "0x3ea89fff", "System RAM"), "  19a00000-1a9fffff : Kernel code\n"
        self.assertTrue(self.crash_memory([("0x0", "0x9ffff", "System RAM"), ram], f"00900000-05ffffff : System RAM\n{kernel}"))
        self.assertFalse(self.crash_memory([("0x0", "0x9ffff", "System RAM"), ("0x100000", "0x6008000", "System RAM")], kernel), "not all of it")
        self.assertFalse(self.crash_memory([("0x0", "0x9ffff", "System RAM"), ("0x5000000", "0x7000000", "Reserved")], kernel), "the firmware's")
        self.assertFalse(self.crash_memory([ram], "  05a00000-063fffff : Kernel rodata\n"), "the kernel's")

    def test_another_trial_begins_anew(self):
        self.start(words=PANIC)
        self.start(words=PANIC)
        self.assertEqual(self.start(token=OTHER), ("b", "1", "initramfs", "", ""), "another version")
        self.back(words=PANIC)
        self.assertEqual(self.start(token=OTHER, words=PANIC), ("b", "1", "initramfs", "", ""), "the same one, tried again")

    def test_a_disk_that_says_nothing_sensible_is_no_note(self):
        for rubbish in (b"\xff" * 512, b"trial=b\nend", b"trial=;reboot:1\nstarts=1\nend", b"trial=b:" + b"1" * 16 + b"\nstarts=$(x)\nover=0\nend"):
            with self.subTest(rubbish):
                self.disk.write_bytes(bytes(1024) + rubbish.ljust(512, b"\0") + bytes(512))
                self.assertEqual(self.back()[3:], ("", ""))
                self.assertIn(self.start()[1], ("1", "2"))


if __name__ == "__main__":
    unittest.main()
