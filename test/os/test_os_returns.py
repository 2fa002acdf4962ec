"""Versions that never get as far as their services: the one before comes back by itself after three starts, and says why."""
import json
import unittest

from os_upgrading import Upgrading

STAND_IN = "usr/libexec/macula/stand-in"
LISTENER = """#!/bin/sh
(until maculaos events upgrade.rolled_back --count 1 -o json >/run/event 2>/dev/null; do sleep 0.1; done) &
"""


def listen(root):
    """The version that comes back has somebody who listens for the event from the first moment of its bus."""
    script = root / STAND_IN
    script.write_text(script.read_text().replace("#!/bin/sh\n", LISTENER, 1))


def instead(script):
    """A version that does this, and starts no node."""
    return lambda root: (root / STAND_IN).write_text(f"#!/bin/sh\n{script}\n")


class Returns(Upgrading):
    def begun(self, more, **machine):
        """A machine whose next start will try a version that is changed so."""
        disk = self.prepared(listen, resets=True, **machine)
        self.minimal.release("next", "1.0.1", more)
        self.one.start()
        self.node_answers()
        self.one.console.ok("maculaos upgrade apply --progress none --timeout 300s >/tmp/apply 2>&1; [ $? = 4 ] || { cat /tmp/apply; false; }", 400)
        return disk

    def comes_back(self, cause, reason):
        environment = self.node_answers(900)
        self.assertEqual((environment["slot"], environment["pending"], environment["failed"]), ("a", "0", "b"))
        self.one.console.ok("until maculaos upgrade history -o json | grep -q '\"rolled_back\"'; do sleep 0.5; done", 200)
        status = self.asked("upgrade", "status")
        for said in (status["last"], status["refused"][0], self.asked("upgrade", "history")["outcomes"][0]):
            self.assertEqual((said["version"], said["cause"]), ("1.0.1", cause), said)
            self.assertRegex(said["reason"], reason)
        self.one.console.ok("until [ -s /run/event ]; do sleep 0.5; done", 60)
        event = json.loads(self.one.console.ok("tr -d '\\n' </run/event; echo", 60))
        self.assertRegex(json.dumps(event), f'"cause": ?"{cause}"')
        self.assertNotIn("pending", self.asked("boot", "status"))
        print(f"        {status['last']['reason']}", flush=True)

    def rebooted(self):
        self.one.console.line("maculaos node reboot --reason upgrade --yes")

    def test_a_version_whose_kernel_panics_comes_back_and_says_the_kernels_last_words(self):
        self.begun(instead("echo c >/proc/sysrq-trigger"))
        self.rebooted()
        self.comes_back("panic", "panic: .*sysrq triggered crash")

    def test_under_uefi_a_version_whose_kernel_panics_comes_back_with_its_last_words_too(self):
        self.begun(instead("echo c >/proc/sysrq-trigger"), firmware="ovmf", board="q35")
        self.rebooted()
        self.comes_back("panic", "panic: .*sysrq triggered crash")

    def test_a_version_that_hangs_is_restarted_by_the_watchdog_and_comes_back(self):
        # The time-out of the initramfs is a minute; what feeds it here asks for less, and dies.
        self.begun(instead("watchdog -F -T 5 -t 1 /dev/watchdog0 & sleep 3; kill -9 $!; sleep 1000"), watchdog=True)
        self.rebooted()
        self.comes_back("hang", "^hang: the watchdog")

    def test_without_hardware_the_kernels_own_watchdog_restarts_a_version_that_hangs(self):
        self.begun(instead("watchdog -F -T 5 -t 1 /dev/watchdog0 & sleep 3; kill -9 $!; sleep 1000"))
        self.rebooted()
        self.comes_back("hang", "^hang: ")

    def test_a_version_whose_slot_has_decayed_comes_back_and_says_so(self):
        disk = self.begun(instead("cat /usr/share/unlike-others >/dev/null; while :; do sleep 1000; done"))
        self.one.power_cut()
        wanted = (self.minimal.root / "usr/share/unlike-others").read_bytes()[1 << 20:(1 << 20) + 4096]
        part = disk["rootfs-B"]
        place = disk.read(part.start, 200 << 20).index(wanted)
        disk.write(part.start + place, bytes(512))
        self.one.start()
        self.comes_back("verity", "verity: .*block .* is corrupted")

    def test_a_version_without_its_init_comes_back_and_says_so(self):
        self.begun(lambda root: [(root / "usr/sbin/init").unlink(missing_ok=True), (root / "sbin/init").unlink(missing_ok=True)])
        self.rebooted()
        self.comes_back("start", "start: slot b has no /sbin/init")

    def test_a_version_whose_kernel_cannot_be_loaded_comes_back_at_once_and_says_so(self):
        self.begun(lambda root: (root / "boot/vmlinuz").write_bytes(b"no kernel"))
        self.rebooted()
        self.comes_back("start", "start: .*boot loader")


if __name__ == "__main__":
    unittest.main()
