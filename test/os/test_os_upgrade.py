"""A machine upgrades itself over HTTP: to a version that stays, and to one that boots but is not well and comes back by itself."""
import json
import re
import shutil
import unittest

from os_bootstate import state_on
from os_disk import tool
from os_releases import BIN, HOST, Releases

from release_maker import Signer, make_release, seal

SICK = "/usr/lib/macula-is-sick"


class Upgrades(Releases):
    def release(self, disk, version, edit=lambda root: None):
        """What runs on the disk, as a release of another version."""
        directory, root, image = self.work / version, self.work / "root", self.work / "image"
        directory.mkdir()
        said = disk.slot_json("a")
        tool("unsquashfs", "-n", "-q", "-o", disk["rootfs-A"].start, "-d", root, disk.path)
        os_release = root / "usr/lib/os-release"
        os_release.write_text(re.sub(r"(?m)^((?:IMAGE_VERSION|VERSION_ID)=).*$", rf"\g<1>{version}", os_release.read_text()))
        edit(root)
        tool("mksquashfs", root, image, "-quiet", "-no-progress", "-comp", "gzip", "-Xcompression-level", "1")
        tool(BIN / "macula-release", "slot", image, directory / f"macula-os-{version}-{said['arch']}.slot", version, said["arch"])
        shutil.rmtree(root)
        image.unlink()
        seal(directory, self.signer)
        return directory

    def configured(self, directory):
        key = "".join(f"        {line}\n" for line in self.signer.public.read_text().splitlines())
        return self.medium(more="  upgrade:\n"
                                f"    url: http://{HOST}:{self.server.port}/{directory.name}/\n"
                                "    auto_check: false\n    health_hold: 5s\n    health_timeout: 120s\n"
                                f"    signing_keys:\n      - |\n{key}"
                                "  health:\n    checks:\n      - {name: sick, type: exec, gates_upgrade: true, interval: 2s, failures: 1,\n"
                                f"         command: [test, '!', -e, {SICK}]}}\n")

    def upgradable(self, disk, directory):
        machine = self.machine(disk, self.configured(directory), options=["-netdev", "user,id=wide,net=10.0.3.0/24", "-device",
                                                                          "virtio-net-pci,netdev=wide,romfile="])
        self.up(machine)
        machine.console.ok("until doas maculaos upgrade status >/dev/null 2>&1; do sleep 1; done", 180)
        machine.console.ok(f"until curl -sf http://{HOST}:{self.server.port}/{directory.name}/release.json >/dev/null; do sleep 1; done", 120)
        return machine

    def status(self, machine):
        return json.loads(machine.console.ok("doas maculaos upgrade status -o json | tr -d '\\n'; echo", 60))

    def apply(self, machine):
        machine.console.ok("doas maculaos upgrade apply --progress none --timeout 300s >/tmp/apply 2>&1; "
                           "[ $? = 4 ] || { cat /tmp/apply; false; }", 400)
        machine.console.ok("doas maculaos node reboot --reason upgrade --yes", 60)
        self.assertEqual(machine.wait_end(180), "reset")

    def until(self, machine, outcome, seconds=300):
        machine.console.ok(f"until doas maculaos upgrade history -o json | grep -q '\"{outcome}\"'; do sleep 2; done", seconds)
        return self.status(machine)

    def test_a_machine_refuses_what_an_unknown_key_has_signed_and_what_was_changed_after_it_was_signed(self):
        disk = self.disk()
        stranger = Signer(self.work, "stranger")
        self.addCleanup(stranger.close)
        make_release(self.work / "stranger", "0.9.5", stranger)
        slot = next(make_release(self.work / "changed", "0.9.6", self.signer, index=False).glob("*.slot"))
        slot.write_bytes(slot.read_bytes()[:-4096] + bytes(4096))
        machine = self.upgradable(disk, self.work / "changed")
        before = state_on(disk)
        for name, reason in (("stranger", "does not know the key"), ("changed", "root hash differs")):
            machine.console.ok(f"doas maculaos config set maculaos.upgrade.url http://{HOST}:{self.server.port}/{name}/", 120)
            code, said = machine.console.run("doas maculaos upgrade apply --progress none --timeout 200s", 300)
            self.assertEqual(code, 5, said)
            self.assertRegex(said, reason)
            self.assertNotIn("pending", machine.console.ok("doas maculaos boot status -o json"))
        machine.power_cut()
        self.assertEqual((state_on(disk).active, state_on(disk).pending, state_on(disk).verity_a), ("a", "-", before.verity_a))
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"]), ("a", "0"))

    def test_a_machine_upgrades_itself_over_http_and_keeps_what_is_well(self):
        disk = self.disk()
        directory = self.release(disk, "0.9.0")
        machine = self.upgradable(disk, directory)
        self.apply(machine)
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"], environment["version"]), ("b", "1", "0.9.0"))
        status = self.until(machine, "confirmed")
        self.assertEqual((status["version"], status["running"]["state"]), ("0.9.0", "active"))
        machine.power_cut()
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"]), ("b", "0"))

    def test_a_version_that_boots_but_is_not_well_comes_back_by_itself_with_its_reason(self):
        disk = self.disk()
        directory = self.release(disk, "0.9.1", lambda root: (root / SICK.lstrip("/")).write_text(""))
        machine = self.upgradable(disk, directory)
        self.apply(machine)
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"]), ("b", "1"))
        self.assertEqual(machine.wait_end(400), "reset")
        environment = self.up(machine)
        self.assertEqual((environment["slot"], environment["pending"]), ("a", "0"))
        status = self.until(machine, "rolled_back")
        self.assertRegex(status["last"]["reason"], "unhealthy: .*sick")
        self.assertEqual(status["refused"][0]["version"], "0.9.1")


if __name__ == "__main__":
    unittest.main()
