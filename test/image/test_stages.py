#!/usr/bin/env python3
"""What the stages of an image promise on whatever day, from whatever directory and by whatever user they are called."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
TOOLS = os.environ["PATH"] + ":/usr/sbin:/sbin"

# A stage that says, from the directory that it works in, which of the given paths are there.
STAGE = """#!/bin/sh
. "$(dirname "$0")/lib.sh"
begin_stage "day=$(date +%N)" || exit 1
for path in "$EXTRAS" "$IMAGE_KEYS" "$IMAGE_SIGNING_KEY"; do [ -e "$path" ] || fail "$path is not there"; done
echo made >file
end_stage made
"""


class Stages(unittest.TestCase):
    """A project of its own, with the real stages, an empty cache, and no more of the outside than it is given."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="macula-stages-")
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.top.chmod(0o755)
        self.images = self.top / "images"
        shutil.copytree(PROJECT / "images", self.images)
        (self.images / "01-test").write_text(STAGE)
        (self.images / "01-test").chmod(0o755)
        for name in ("extras", "keys"):
            (self.top / name).mkdir()
        (self.top / "key").touch()

    def run_stage(self, name, good=True, **variables):
        environment = {"PATH": TOOLS, "HOME": str(self.top / "home"), "IMAGE_VERSION": "1.2.3", "IMAGE_DIR": f"{self.top}/out",
                       "MACULA_CACHE": f"{self.top}/cache"}
        done = subprocess.run([self.images / name], cwd=self.top, env={**environment, **variables}, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode == 0, good, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_paths_are_meant_from_where_the_build_was_called(self):
        self.run_stage("01-test", EXTRAS="extras", IMAGE_KEYS="keys", IMAGE_SIGNING_KEY="key", IMAGE_DIR="out", MACULA_CACHE="cache")
        self.assertEqual((self.top / "out/stages/01-test/file").read_text(), "made\n")
        self.assertEqual([path.name for path in (self.top / "cache/stages").iterdir()], ["01-test"])

    @unittest.skipUnless(os.geteuid() == 0, "only root gives files away")
    def test_what_root_makes_in_a_place_of_who_called_it_with_sudo_is_theirs(self):
        (self.top / "home").mkdir()
        for path in (self.top, self.top / "home"):
            os.chown(path, 4321, 4322)
        self.run_stage("01-test", IMAGE_DIR="", MACULA_CACHE="", EXTRAS=f"{self.top}/extras", IMAGE_KEYS=f"{self.top}/keys",
                       IMAGE_SIGNING_KEY=f"{self.top}/key", SUDO_UID="4321", SUDO_GID="4322")
        for path in ("home/.cache", "home/.cache/maculaos", "build-image", "build-image/stages"):
            status = (self.top / path).stat()
            self.assertEqual((status.st_uid, status.st_gid), (4321, 4322), path)
        self.assertEqual((self.top / "build-image/stages/01-test/file").stat().st_uid, 0)

    @unittest.skipUnless(all(shutil.which(tool, path=TOOLS) for tool in ("apt-get", "apt-ftparchive", "dpkg-deb")), "without Debian's tools")
    def test_strict_takes_no_build_that_was_not_the_locked_one_and_loose_says_each_time_that_it_is_not(self):
        lock = "".join(self.package(*words) for words in (("root", "base"), ("kernel", "linux")))
        (self.images / "packages-trixie-amd64.lock").write_text(lock)
        self.assertNotIn("NOTE", self.run_stage("05-archive"))
        kept = self.top / "out/stages/05-archive/packages.lock"
        self.assertEqual(kept.read_text(), lock)
        # As on a day when the archive had moved on.
        kept.write_text(lock.replace("base=1", "base=2"))
        for _ in range(2):
            self.assertIn("THIS BUILD IS NOT THE LOCKED ONE", self.run_stage("05-archive"))
        self.assertNotIn("NOTE", self.run_stage("05-archive", IMAGE_LOCK="strict"))
        self.assertEqual(kept.read_text(), lock)

    def package(self, kind, name):
        """Its line in the lock; the package is in the cache already."""
        tree, kept = self.top / name, self.top / "cache/debs/trixie-amd64"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.com>\n"
                                             f"Description: {name}\n")
        kept.mkdir(parents=True, exist_ok=True)
        file = kept / f"{name}_1_amd64.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, file], check=True, stdout=subprocess.DEVNULL)
        return f"{kind} {name}=1 {hashlib.sha256(file.read_bytes()).hexdigest()} {file.name}\n"

    def test_a_slot_that_its_partition_does_not_hold_stops_the_build_although_the_slot_is_there_already(self):
        slot = self.top / "out/stages/40-slot"
        slot.mkdir(parents=True)
        for name in (".digest", "slot.json"):
            (slot / name).write_text("{}")
        with open(slot / "slot", "wb") as out:
            out.truncate(2 << 20)
        said = self.run_stage("50-disk", good=False, IMAGE_FINISHED="40-slot", IMAGE_SLOT_MIB="2")
        self.assertIn("the slot has 2097152 bytes, a partition holds 2 MiB", said)
        self.assertIn("give IMAGE_SLOT_MIB=66", said)

    def test_the_bill_of_materials_names_what_debian_does_not_have_and_what_the_host_gave(self):
        given = {"packages.json": json.dumps([{"name": "base", "version": "1", "arch": "amd64", "homepage": "there"},
                                              {"name": "maculaos-node", "version": "2", "arch": "amd64", "homepage": ""}]),
                 "lock": f"root base=1 {'a' * 64} base_1_amd64.deb\nkernel linux=3 {'b' * 64} linux_3_amd64.deb\n",
                 "extras.list": f"k3s v1.31+k3s1 {'c' * 64} https://example.com/k3s\n", "grub.list": "grub-pc-bin 2.12 amd64\n"}
        for name, text in given.items():
            (self.top / name).write_text(text)
        done = subprocess.run([sys.executable, self.images / "bill_of_materials.py", *given, "image", "1.2.3", "0"], cwd=self.top,
                              capture_output=True, text=True, check=True)
        found = {one["name"]: (one["version"], one["purl"], one.get("hashes", [{}])[0].get("content", "")[:1])
                 for one in json.loads(done.stdout)["components"]}
        self.assertEqual(found, {"base": ("1", "pkg:deb/debian/base@1?arch=amd64", "a"), "linux": ("3", "pkg:deb/debian/linux@3?arch=amd64", "b"),
                                 "maculaos-node": ("2", "pkg:deb/maculaos/maculaos-node@2?arch=amd64", ""),
                                 "grub-pc-bin": ("2.12", "pkg:deb/debian/grub-pc-bin@2.12?arch=amd64", ""),
                                 "k3s": ("v1.31+k3s1", "pkg:generic/k3s@v1.31%2Bk3s1", "c")})


if __name__ == "__main__":
    unittest.main()
