#!/usr/bin/python3
"""Which slot's programs the recovery runs: lib/system.sh with slots that are only named."""
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
MOUNT = r"""
slot_a=/dev/a slot_b={slot_b}
recover() {{ [ "$1" = active ] && {active}; }}
refuse() {{ shift; echo "refused: $*"; exit 1; }}
umount() {{ :; }}
mount() {{
    eval "device=\${{$(($# - 1))}}"
    case " {damaged} " in *" $device "*) return 1 ;; esac
    echo "$device"
    mkdir -p "$system_root/usr/libexec/macula" && cp /bin/true "$system_root/usr/libexec/macula/confd-offline"
}}
. {lib}/system.sh
system_root={root}
system_mount
"""


class Slots(unittest.TestCase):
    def mounted(self, active, damaged="", slot_b="/dev/b"):
        """The slot that is used when this is the active one, or nobody knows ("")."""
        with tempfile.TemporaryDirectory() as root:
            script = MOUNT.format(active=f"echo {active}" if active else "false", damaged=damaged, slot_b=slot_b, lib=HERE / "lib", root=root)
            done = subprocess.run(["sh", "-uc", script], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.stdout.strip()

    def test_the_active_slot_is_taken(self):
        self.assertEqual(self.mounted("a"), "/dev/a")
        self.assertEqual(self.mounted("b"), "/dev/b")

    def test_another_one_is_taken_when_it_cannot_be_read(self):
        self.assertEqual(self.mounted("b", damaged="/dev/b"), "/dev/a")
        self.assertEqual(self.mounted("a", damaged="/dev/a"), "/dev/b")
        self.assertEqual(self.mounted("b", slot_b="''"), "/dev/a")
        self.assertIn("refused: neither slot", self.mounted("a", damaged="/dev/a /dev/b"))

    def test_without_a_boot_state_the_first_one_is_taken(self):
        self.assertEqual(self.mounted(""), "/dev/a")


if __name__ == "__main__":
    unittest.main()
