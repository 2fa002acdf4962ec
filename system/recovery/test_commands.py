#!/usr/bin/python3
"""The commands of macula-recovery with its paths in a folder: a real file system in a file, and programs that only say that they ran."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
BLOCK = 1024
os.environ["PATH"] += ":/usr/sbin:/sbin"
os.environ["LC_ALL"] = "C"
# A node's own programs, where a slot is mounted on a node; and what opens the network.
INSIDE = """
data_root=RUN/data
data_is_mounted() { false; }
data_unmount() { :; }
system_run() { "$@"; }
network_start() { echo "network and SSH are started"; }
"""


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("run", "lib", "bin", "state"):
            (self.folder / name).mkdir()
        for part in (HERE / "lib").glob("*.sh"):
            (self.folder / "lib" / part.name).write_text(self.moved(part.read_text()))
        with open(self.folder / "lib" / "system.sh", "w", encoding="utf-8") as text:
            text.write(INSIDE.replace("RUN", str(self.folder / "run")))
        (self.folder / "macula-recovery").write_text(self.moved((HERE / "macula-recovery").read_text()))
        self.data = self.folder / "data.img"
        (self.folder / "run" / "disk.env").write_text(f"disk=/dev/sda esp=none slot_a=none slot_b=none data={self.data}\n")

    def moved(self, text):
        """A script whose files are in the folder of the test."""
        for place, name in (("/run/recovery", "run"), ("/lib/recovery", "lib"), ("/usr/libexec/macula", "bin"), ("/var/lib/maculaos", "state")):
            text = re.sub(rf"(?<![\w.]){place}\b", str(self.folder / name), text)
        return text

    def program(self, name, text):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self, *words, **more):
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        return subprocess.Popen(["sh", self.folder / "macula-recovery", *words], env=environment, text=True, stdin=more.get("stdin", subprocess.DEVNULL),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def recovery(self, *words, given=""):
        """Exit code and text of a command."""
        process = self.start(*words, stdin=subprocess.PIPE)
        said = process.communicate(given, timeout=120)[0]
        return process.returncode, said


class Check(Commands):
    # What the kernel does with a journal.
    MOUNT = 'for word; do device=$place place=$word; done; echo "$*" >>"$0.log"; e2fsck -p "$device" >/dev/null 2>&1; [ $? -lt 4 ]'

    def tool(self, *words, given=None):
        return subprocess.run(words, input=given, capture_output=True, text=True, check=True).stdout

    def setUp(self):
        super().setUp()
        with open(self.data, "wb") as file:
            file.truncate(16 << 20)
        self.tool("mke2fs", "-F", "-q", "-t", "ext4", "-b", str(BLOCK), self.data)
        self.program("mount", self.MOUNT)
        self.program("umount", "exit 0")

    def cut_power(self, and_damage=False):
        """The bitmap of blocks is in the journal, and what is in its place is of another time."""
        blocks, inodes = (int(re.search(rf"{name} bitmap at (\d+)", self.tool("dumpe2fs", self.data))[1]) for name in ("Block", "Inode"))
        with open(self.data, "rb") as file:
            file.seek(blocks * BLOCK)
            (self.folder / "bitmap").write_bytes(file.read(BLOCK))
        self.tool("debugfs", "-w", "-f", "-", self.data, given=f"jo\njw -b {blocks} {self.folder / 'bitmap'}\njc\n")
        for place in (blocks, inodes) if and_damage else (blocks,):
            self.write(place * BLOCK, bytes(BLOCK))

    def write(self, offset, content):
        with open(self.data, "r+b") as file:
            file.seek(offset)
            file.write(content)

    def test_a_sound_file_system_is_in_order_and_not_written_to(self):
        before = self.data.read_bytes()
        code, said = self.recovery("check")
        self.assertEqual((code, "is in order" in said), (0, True), said)
        self.assertEqual(self.data.read_bytes(), before)
        self.assertFalse((self.folder / "bin" / "mount.log").exists())

    def test_after_a_power_cut_a_sound_one_is_in_order(self):
        self.cut_power()
        code, said = self.recovery("check")
        self.assertIn("was not taken down in order", said)
        self.assertEqual((code, "is in order" in said), (0, True), said)

    def test_after_a_power_cut_a_damaged_one_is_damaged(self):
        self.cut_power(and_damage=True)
        code, said = self.recovery("check")
        self.assertEqual((code, "is damaged" in said), (1, True), said)
        self.assertEqual(self.recovery("repair")[0], 0)
        self.assertEqual(self.recovery("check")[0], 0)

    def test_one_without_a_superblock_is_damaged_and_can_be_repaired(self):
        for power_cut in (False, True):
            if power_cut:
                self.cut_power()
            self.write(1024 + 56, bytes(2))
            code, said = self.recovery("check")
            self.assertEqual((code, "is damaged" in said), (1, True), said)
            self.assertEqual(self.recovery("repair")[0], 0)
            self.assertEqual(self.recovery("check")[0], 0)

    def test_a_journal_that_cannot_be_played_back_is_told(self):
        self.cut_power()
        self.program("mount", "exit 1")
        code, said = self.recovery("check")
        self.assertEqual(code, 1, said)
        self.assertIn("cannot be written to: its journal cannot be played back", said)


class Repair(Commands):
    def test_it_brings_ssh_where_the_keys_could_not_be_read_before(self):
        self.program("e2fsck", "exit 1")
        self.assertIn("SSH are started", self.recovery("repair")[1])
        (self.folder / "run" / "dropbear.pid").touch()
        self.assertNotIn("SSH are started", self.recovery("repair")[1])

    def test_one_that_failed_starts_nothing(self):
        self.program("e2fsck", "exit 4")
        code, said = self.recovery("repair")
        self.assertEqual((code, "SSH" in said), (1, False), said)


class Password(Commands):
    def password(self, given, code=0):
        """Exit code, and what the node's program is given."""
        self.program("confd-offline", f"cat >{self.folder / 'given'}; exit {code}")
        return self.recovery("password", given=given)[0], (self.folder / "given").read_text()

    def test_blanks_are_part_of_it(self):
        self.assertEqual(self.password("  two words\t \n"), (0, "  two words\t \n"))
        self.assertEqual(self.password("a\\b\n"), (0, "a\\b\n"))

    def test_a_new_one_shuts_the_console_until_the_node_has_read_it(self):
        mark = self.folder / "state" / ".password"
        self.assertEqual(self.password("x\n", code=1)[0], 1)  # it may be stored
        self.assertTrue(mark.exists())
        mark.unlink()
        self.assertEqual(self.password("x\n")[0], 0)
        self.assertTrue(mark.exists())

    def test_a_refused_one_leaves_the_console_as_it_was(self):
        mark = self.folder / "state" / ".password"
        self.assertEqual(self.password("x\n", code=5)[0], 5)
        self.assertFalse(mark.exists())
        mark.touch()
        self.assertEqual(self.password("x\n", code=5)[0], 5)
        self.assertTrue(mark.exists())


class Lock(Commands):
    def test_only_one_console_works_on_the_node(self):
        """Also where the other one comes while the lock is being made."""
        made, go_on = self.folder / "made", self.folder / "go-on"
        for fifo in (made, go_on):
            os.mkfifo(fifo)
        for name in ("mkdir", "ln"):  # whoever has made the lock is held there
            self.program(name, f'PATH={os.environ["PATH"]} {name} "$@" || exit\n'
                               f'case $* in */run/lock) echo >{made}; read -r _ <{go_on} ;; esac')
        self.program("e2fsck", "exit 0")
        first = self.start("repair")
        made.read_text()
        code, said = self.recovery("repair")
        self.assertEqual(code, 1, said)
        self.assertIn("another console is working on this node", said)
        go_on.write_text("go on\n")
        self.assertEqual((first.communicate(timeout=120)[0] != "", first.returncode), (True, 0))
        self.assertEqual([path.name for path in (self.folder / "run").glob("lock*")], [])

    def test_a_lock_whose_owner_is_gone_is_taken(self):
        self.program("e2fsck", "exit 0")
        process = subprocess.Popen(["true"])
        process.wait()
        (self.folder / "run" / "lock").write_text(f"{process.pid}\n")
        self.assertEqual(self.recovery("repair")[0], 0)
        self.assertFalse((self.folder / "run" / "lock").exists())


class Reset(Commands):
    def reset(self, *words, intent="none"):
        self.program("macula-recover", f"echo {intent}")
        self.program("reset", 'echo "reset: $reset"')
        return self.recovery("reset", "--yes", *words)

    def test_data_are_kept_or_not_as_it_was_asked_for(self):
        self.assertEqual(self.reset(), (0, "reset: all\n"))
        self.assertEqual(self.reset("--keep-data"), (0, "reset: keep\n"))
        self.assertEqual(self.reset("--keep-data", intent="keep"), (0, "reset: keep\n"))
        self.assertEqual(self.reset(intent="keep"), (0, "reset: all\n"))

    def test_nobody_is_promised_data_that_a_reset_of_everything_may_have_erased(self):
        code, said = self.reset("--keep-data", intent="all")
        self.assertEqual(code, 5)
        self.assertIn("without --keep-data", said)
        self.assertEqual(self.reset(intent="all"), (0, "reset: all\n"))


if __name__ == "__main__":
    unittest.main()
