"""One machine with the stand-in for the system (os_minimal), which upgrades itself over HTTP from a release server here."""
import json
import os

from os_minimal import ADDRESS, Minimal
from os_releases import HOST, Releases

STARTED = r"stand-in: slot=(\w) pending=(\d) failed=(\w?) version=(\S*) problem=(.*) lost=(\d\d)"
NAMES = ("slot", "pending", "failed", "version", "problem", "lost")


class Upgrading(Releases):
    def setUp(self):
        super().setUp()
        if os.geteuid():
            self.skipTest("files of the slot keep their owners: needs root")

    def prepared(self, more=lambda root: None, **machine):
        """A disk with version 1.0.0, and `self.one`, the machine that starts from it and looks for releases in `next`."""
        disk = self.disk()
        self.minimal = Minimal(disk, self.work, self.signer)
        self.minimal.install("1.0.0", more)
        medium = self.medium(more=f"  upgrade:\n    url: http://{HOST}:{self.server.port}/next/\n    auto_check: false\n"
                                  f"    health_hold: 1s\n    health_timeout: 300s\n")
        self.one = self.machine(disk, medium, network=False, options=[
            "-netdev", f"user,id=wide,net=10.0.3.0/24,dhcpstart={ADDRESS}", "-device", "virtio-net-pci,netdev=wide,romfile="], **machine)
        return disk

    def node_answers(self, seconds=240, never=None):
        """Waits until the machine is started and its node answers at the console; what the initramfs says of this start."""
        said = self.one.console.expect(STARTED, seconds, never)
        self.one.console.line()
        self.one.console.expect(r"# ?$", 60)
        self.one.console.take_shell()
        self.one.console.ok("until maculaos upgrade status >/dev/null 2>&1; do sleep 0.3; done", 180)
        return dict(zip(NAMES, said.groups()))

    def asked(self, *words):
        return json.loads(self.one.console.ok(f"maculaos {' '.join(words)} -o json | tr -d '\\n'; echo", 120))
