#!/usr/bin/env python3
"""The boot menu chooses what the boot state says, whatever a power cut has left of it.

The real grub.cfg runs in grub-emu, GRUB's own interpreter, against a FAT file system with a folder for the ESP of each case. In the
place of `linux` there is an echo, and GRUB ends with what it would have started. Many cases run in one GRUB.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(PROJECT, "images"))
import boot_blocks  # noqa: E402

HASH_A = boot_blocks.verity("a" * 64, 1000)
EMPTY = boot_blocks.verity("0" * 64, 0)
HASH_B = boot_blocks.verity("b" * 64, 2000)


def state(seq, active="a", pending="-", next_mode="normal--", reset="none", verity_a=HASH_A, verity_b=HASH_B):
    return boot_blocks.state(seq, active, pending, next_mode, reset, verity_a, verity_b)


def menu_under_test():
    """grub.cfg as functions of one GRUB: the ESP is a folder, and the choice of its first entry is made."""
    with open(os.path.join(PROJECT, "images", "grub", "grub.cfg"), encoding="utf-8") as text:
        script = text.read()
    script = script.replace("set esp=$root\n", "").replace("($esp)/", "(hd0)$esp/")
    script = re.sub(r"^regexp --set=1:disk .*\n", "set disk=disk\n", script, flags=re.M)
    script = re.sub(r"^probe .*\n", "set espid=ESP\n", script, flags=re.M)
    script = re.sub(r"^if serial .*?^fi\n", "", script, flags=re.M | re.S)
    script = re.sub(r"^(    )?sleep 10\n|^    reboot\n", "", script, flags=re.M)
    # Newer versions of grub-emu have a linux of their own, which goes before a function of that name.
    script = script.replace("if linux /", "if load_kernel /").replace("if initrd /", "if load_initrd /")
    # What a case gave is decided at the first kernel that loads; grub-emu cannot leave a function, so a flag does.
    script = script.replace("boot; fi", "true; fi")
    return script[:script.index('menuentry "MaculaOS')]


PRELUDE = """
set pager=0
function load_kernel { if [ "$started" = 1 ]; then true; elif [ "$root" = "$broken" ]; then false; else
    set started=1
    echo "@$case=$2@"
    echo "@$case=$3@"
    echo "@$case=$4@"
    echo "@$case=$5@"
    echo "@$case=$6@"
    echo "@$case=$7@"
    echo "@$case=$8@"
    echo "@$case=$9@"
fi
}
function load_initrd { true; }
"""


class Case:
    """One start of a machine: what is on its ESP, which slot's kernel cannot be loaded, and what was chosen."""

    def __init__(self, state_1=None, state_2=None, tries=None, broken="", choice="start_by_state"):
        self.files = {"state-1": state_1, "state-2": state_2, "tries": tries}
        self.broken = {"": "none", "a": "disk,gpt3", "b": "disk,gpt4"}[broken]
        self.choice = choice


def run_grub(cases):
    """Runs all cases; returns (arguments of the kernel as a dict, the tries file afterwards) for each.

    What a case says goes over the screen of the emulator, which on a busy machine loses a line now and then: those that have
    said nothing at all are run once more, from the files that they began with."""
    results = run_once(cases)
    silent = [number for number, (arguments, _) in enumerate(results) if not arguments]
    if silent:
        for number, result in zip(silent, run_once([cases[number] for number in silent])):
            results[number] = result
    return results


def run_once(cases):
    folder = tempfile.mkdtemp(prefix="macula-test-menu-")
    try:
        menu = menu_under_test()
        with open(os.path.join(folder, "menu.cfg"), "w", encoding="utf-8") as out:
            out.write(menu)
        os.mkdir(folder + "/after")
        lines = [PRELUDE]
        for number, case in enumerate(cases):
            esp = os.path.join(folder, "cases", str(number), "grub")
            os.makedirs(esp)
            for name, data in case.files.items():
                if data is not None:
                    with open(os.path.join(esp, name), "wb") as file:
                        file.write(data)
            lines.append(f"set case={number}\nset started=0\nset broken={case.broken}\nset esp=/{number}\n"
                         f"source (host){folder}/menu.cfg\n{case.choice}\n")
        lines.append("exit\n")
        with open(os.path.join(folder, "grub.cfg"), "w", encoding="utf-8") as out:
            out.write("".join(lines))
        with open(os.path.join(folder, "map"), "w", encoding="utf-8") as out:
            out.write(f"(hd0) {folder}/fat\n")
        with open(os.path.join(folder, "fat"), "wb") as out:
            out.truncate(8 << 20)
        tools = dict(os.environ, MTOOLS_SKIP_CHECK="1", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        subprocess.run(["mkfs.vfat", "-F", "16", "-s", "1", folder + "/fat"], check=True, stdout=subprocess.DEVNULL, env=tools)
        subprocess.run(["mcopy", "-s", "-i", folder + "/fat", *(f"{folder}/cases/{number}" for number in range(len(cases))),
                        "::/"], check=True, env=tools)
        # Its input stays open and silent: ncurses puts off what it would write while a key, or the end, waits to be read.
        silence, keeps_open = os.pipe()
        with open(silence, "rb") as stdin, open(keeps_open, "wb"):
            run = subprocess.run(["script", "-qec", f"grub-emu -m {folder}/map -d {folder} -r host", "/dev/null"],
                                 stdin=stdin, capture_output=True, timeout=300,
                                 env=dict(os.environ, TERM="dumb", COLUMNS="2000"), check=False)
        text = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]|[\r\n]", b"", run.stdout).decode(errors="replace")
        started = {}
        for number, argument in re.findall(r"@(\d+)=([^@]*)@", text):
            started[int(number)] = started.get(int(number), "") + argument + " "
        subprocess.run(["mcopy", "-s", "-n", "-i", folder + "/fat", "::/*", folder + "/after"], check=True, env=tools)
        results = []
        for number in range(len(cases)):
            words = started.get(number, "").split()
            arguments = dict(word.split("=", 1) for word in words if "=" in word)
            path = os.path.join(folder, "after", str(number), "grub", "tries")
            with open(path, "rb") if os.path.exists(path) else open(os.devnull, "rb") as file:
                results.append((arguments, file.read()))
        if os.environ.get("MENU_TRACE"):
            print(text[-3000:])
        return results
    finally:
        shutil.rmtree(folder)


def what(arguments):
    """A start in a few words: mode, slot, and what is said about the state."""
    parts = [arguments.get("macula.mode", "nothing"), arguments.get("macula.slot", "?")]
    if arguments.get("macula.pending") == "1":
        parts.append("on trial")
    for key in ("failed", "state", "tries", "reset"):
        if f"macula.{key}" in arguments:
            parts.append(f"{key}={arguments[f'macula.{key}']}")
    return " ".join(parts)


class BootMenu(unittest.TestCase):
    def expect(self, rows):
        for (name, case, wanted), (arguments, _) in zip(rows, run_grub([row[1] for row in rows])):
            with self.subTest(name):
                self.assertEqual(what(arguments), wanted)

    def test_every_state_starts_what_it_says(self):
        fresh = boot_blocks.tries()
        self.expect([
            ("active a", Case(state(1), state(2), fresh), "disk a"),
            ("active b", Case(state(1), state(2, "b"), fresh), "disk b"),
            ("the higher number counts", Case(state(10, "b"), state(9, "a"), fresh), "disk b"),
            ("numbers compare as numbers", Case(state(100, "b"), state(99, "a"), fresh), "disk b"),
            ("only copy 1", Case(state(7, "b"), None, fresh), "disk b"),
            ("only copy 2", Case(None, state(7, "b"), fresh), "disk b"),
            ("no copy", Case(None, None, fresh), "disk a state=lost"),
            ("garbage", Case(b"\xff" * 1024, b"\0" * 1024, fresh), "disk a state=lost"),
            ("no tries", Case(state(1), state(2, "a", "b"), None), "disk a tries=lost"),
            ("garbage tries", Case(state(1), state(2, "a", "b"), b"\xff" * 1024), "disk a tries=lost"),
            ("first try", Case(state(1), state(2, "a", "b"), fresh), "disk b on trial"),
            ("second try", Case(state(1), state(2, "a", "b"), boot_blocks.tries((2, 0, 0))), "disk b on trial"),
            ("third try", Case(state(1), state(2, "a", "b"), boot_blocks.tries((2, 2, 1))), "disk b on trial"),
            ("no try left", Case(state(1), state(2, "a", "b"), boot_blocks.tries((2, 2, 2))), "disk a failed=b"),
            ("tries of an older state", Case(state(5, "a", "b"), state(4), boot_blocks.tries((3, 3, 3))), "disk b on trial"),
            ("a on trial", Case(state(1), state(2, "b", "a"), fresh), "disk a on trial"),
            ("its kernel is gone", Case(state(1), state(2, "a", "b"), fresh, "b"), "disk a failed=b"),
            ("the active kernel is gone", Case(state(1), state(2), fresh, "a"), "disk b failed=a"),
            ("nothing in the slot on trial", Case(state(1), state(2, "a", "b", verity_b=EMPTY), fresh), "disk a failed=b"),
            ("nothing in the active slot", Case(state(1), state(2, verity_a=EMPTY), fresh), "disk b failed=a"),
            ("recovery once", Case(state(1), state(2, next_mode="recovery"), fresh), "recovery a"),
            ("recovery was", Case(state(1), state(2, next_mode="recovery"), boot_blocks.tries(next_done=2)), "disk a"),
            ("install once", Case(state(1), state(2, next_mode="install-"), fresh), "install a"),
            ("reset asked for", Case(state(1), state(2, next_mode="reset---"), fresh), "reset a"),
            ("reset under way", Case(state(1), state(2, reset="all-"), fresh), "reset a reset=all"),
            ("reset that keeps", Case(state(1), state(2, "b", reset="keep"), fresh), "reset b reset=keep"),
            ("reset goes before a trial", Case(state(1), state(2, "a", "b", reset="all-"), fresh), "reset a reset=all"),
        ])

    def test_the_previous_version_starts_unless_a_reset_is_under_way(self):
        fresh, previous = boot_blocks.tries(), {"choice": "start_previous"}
        self.expect([
            ("active a", Case(state(1), state(2), fresh, **previous), "disk b"),
            ("active b", Case(state(1), state(2, "b"), fresh, **previous), "disk a"),
            ("on trial", Case(state(1), state(2, "a", "b"), fresh, **previous), "disk a"),
            ("its kernel is gone", Case(state(1), state(2), fresh, "b", **previous), "disk a failed=b"),
            ("reset under way", Case(state(1), state(2, reset="all-"), fresh, **previous), "reset b reset=all"),
            ("reset that keeps", Case(state(1), state(2, "b", reset="keep"), fresh, **previous), "reset a reset=keep"),
            ("reset with one version", Case(state(1), state(2, reset="all-", verity_b=EMPTY), fresh, **previous),
             "reset a failed=b reset=all"),
        ])

    def test_a_trial_ends_after_three_starts(self):
        tries, seen = boot_blocks.tries(), []
        for _ in range(5):
            ((arguments, tries),) = run_grub([Case(state(1), state(2, "a", "b"), tries)])
            seen.append(what(arguments))
        self.assertEqual(seen, ["disk b on trial"] * 3 + ["disk a failed=b"] * 2)

    def test_the_hash_goes_with_its_slot(self):
        (a, _), (b, _) = run_grub([Case(state(1), state(2), boot_blocks.tries()),
                                   Case(state(1), state(2, "b"), boot_blocks.tries())])
        self.assertEqual(a["macula.verity"], "a" * 64 + ":1000")
        self.assertEqual(b["macula.verity"], "b" * 64 + ":2000")

    def test_a_write_of_the_state_cut_at_any_byte_gives_the_old_or_the_new(self):
        older, old, new = state(98, "b"), state(99, "a"), state(100, "a", "b")
        cases = [Case(new[:cut] + older[cut:], old, boot_blocks.tries()) for cut in range(0, 400)]
        seen = [what(arguments) for arguments, _ in run_grub(cases)]
        self.assertEqual(set(seen), {"disk a", "disk b on trial"})
        change = seen.index("disk b on trial")
        self.assertEqual(seen, ["disk a"] * change + ["disk b on trial"] * (len(seen) - change))

    def test_a_write_of_the_tries_cut_at_any_byte_counts_the_try_or_does_not(self):
        old, new = boot_blocks.tries((100, 100, 98)), boot_blocks.tries((100, 100, 100))
        cases = [Case(state(99), state(100, "a", "b"), new[:cut] + old[cut:]) for cut in range(0, 160)]
        seen = [what(arguments) for arguments, _ in run_grub(cases)]
        self.assertEqual(set(seen), {"disk b on trial", "disk a failed=b"})
        change = seen.index("disk a failed=b")
        self.assertEqual(seen, ["disk b on trial"] * change + ["disk a failed=b"] * (len(seen) - change))


if __name__ == "__main__":
    for program in ("grub-emu", "script", "mcopy"):
        if not shutil.which(program):
            print(f"skipped: {program} is not installed (scripts/install-dependencies test)")
            sys.exit(77)
    unittest.main()
