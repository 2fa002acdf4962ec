#!/usr/bin/env python3
"""Parts that Debian does not have: what the manifest names goes into the image, where k3s then finds it; nothing else does."""
import hashlib
import os
import pathlib
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))

# `fail` and `note` as the stages have them; who owns a file is not for any user to say.
STAGE = """
set -eu
fail() { echo "FAILED: $1: $2"; exit 1; }
note() { echo "NOTE: $1"; }
chown() { :; }
cd "$work"
. "$lib"
add_extras root
"""

# The part of the service that OpenRC's supervisor would call, with its places moved below `top`.
SERVICE = """
eerror() { echo "ERROR: $*"; }
einfo() { echo "$*"; }
. "$top/service"
start_pre
"""


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="macula-extras-")
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)

    def sh(self, script, **variables):
        return subprocess.run(["sh", "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=False)


class Extras(Case):
    def setUp(self):
        super().setUp()
        self.given, self.root = self.top / "given", self.top / "root"
        self.given.mkdir()
        self.root.mkdir()
        (self.given / "tool").write_bytes(b"a program")

    def add(self, *lines, extras=None):
        (self.top / "extras.manifest").write_text("# name version arch file sha256 mode destination url\n\n" + "".join(f"{line}\n" for line in lines))
        return self.sh(STAGE, work=str(self.top), images=str(self.top), lib=str(PROJECT / "images/lib-extras.sh"), ARCH="amd64",
                       EXTRAS=str(self.given) if extras is None else extras)

    def files(self):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def test_a_file_with_the_checksum_of_the_manifest_is_put_to_its_place_with_its_mode(self):
        for name in ("tool-arm64", "tool.sha256", "notes.txt", "tool.asc"):
            (self.given / name).write_bytes(b"beside it")
        done = self.add(f"tool v1 amd64 tool {digest(b'a program')} 755 /usr/bin/tool there/{{version}}",
                        f"tool v1 arm64 tool-arm64 {digest(b'beside it')} 755 /usr/bin/other-arch there",
                        f"more v2 amd64 not-given {digest(b'')} 644 /usr/share/more there")
        self.assertEqual((done.returncode, done.stdout), (0, "NOTE: with tool v1\n"), done.stderr)
        self.assertEqual(self.files(), ["usr/bin/tool"])
        self.assertEqual((self.root / "usr/bin/tool").read_bytes(), b"a program")
        self.assertEqual((self.root / "usr/bin/tool").stat().st_mode & 0o7777, 0o755)
        self.assertEqual((self.top / "extras.list").read_text(), f"tool v1 {digest(b'a program')} there/v1\n")

    def test_another_checksum_stops_the_build_and_says_where_the_file_is_fetched(self):
        done = self.add(f"tool v1 amd64 tool {digest(b'another')} 755 /usr/bin/tool there/{{version}}/tool")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"tool has the checksum {digest(b'a program')}, the manifest says {digest(b'another')}", done.stdout)
        self.assertIn("there/v1/tool", done.stdout)
        self.assertEqual(self.files(), [])

    def test_a_file_without_a_checksum_stops_the_build(self):
        done = self.add("tool v1 amd64 tool - 755 /usr/bin/tool there")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no checksum for tool", done.stdout)
        self.assertEqual(self.files(), [])

    def test_a_file_that_no_line_names_stops_the_build_and_is_named_with_those_that_could_be_meant(self):
        lines = [f"tool v1 amd64 tool {digest(b'a program')} 755 /usr/bin/tool there", f"tool v1 arm64 tool-arm64 {digest(b'')} 755 /usr/bin/tool there",
                 f"images v1 amd64 images.tar.zst {digest(b'')} 644 /usr/share/images there"]
        for name in ("images.tar.gz", "tool-amd64", "too*", "with a space"):
            (self.given / name).write_bytes(b"")
            done = self.add(*lines)
            (self.given / name).unlink()
            self.assertEqual(done.returncode, 1, name)
            self.assertIn(f"FAILED: {name} in {self.given} is no part that images/extras.manifest names", done.stdout)
            self.assertIn("for amd64 it names: tool images.tar.zst ;", done.stdout)
            self.assertEqual(self.files(), [])

    def test_a_directory_that_is_not_there_stops_the_build_and_none_adds_nothing(self):
        done = self.add(extras=str(self.top / "nowhere"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not a directory", done.stdout)
        done = self.add("tool v1 amd64 tool - 755 /usr/bin/tool there", extras="")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertEqual((self.top / "extras.list").read_text(), "")


class Offered(Case):
    """What init.d/k3s does with the images of the slot before k3s starts."""

    def setUp(self):
        super().setUp()
        self.slot, self.state, self.etc = (self.top / name for name in ("slot", "state/agent/images", "etc"))
        self.slot.mkdir()
        self.etc.mkdir()
        (self.top / "k3s").touch(0o755)
        (self.etc / "role").write_text("server\n")
        (self.etc / "airgap").touch()
        script = (PROJECT / "overlay/etc/init.d/k3s").read_text()
        lines = (PROJECT / "images/extras.manifest").read_text().splitlines()
        destinations = {os.path.dirname(line.split()[6]) for line in lines if line.startswith("airgap ")}
        self.assertEqual(len(destinations), 1)
        for place, moved in ((destinations.pop(), self.slot), ("/var/lib/rancher/k3s/agent/images", self.state), ("/etc/rancher/k3s", self.etc),
                             ("/usr/local/bin/k3s", self.top / "k3s")):
            self.assertIn(place, script)
            script = script.replace(place, str(moved))
        (self.top / "service").write_text(script)

    def start(self):
        done = self.sh(SERVICE, top=str(self.top))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def offered(self):
        return {path.name: os.readlink(path) if path.is_symlink() else path.read_text() for path in self.state.glob("*")}

    def test_a_start_offers_the_images_of_this_version_and_those_of_nobody_else_are_left_alone(self):
        (self.slot / "one.tar.zst").write_text("new")
        self.state.mkdir(parents=True)
        (self.state / "mine.tar").write_text("mine")
        (self.state / "one.tar.zst").write_text("a copy that an earlier version made")
        (self.state / "gone.tar").symlink_to(self.slot / "gone.tar")
        (self.state / "theirs.tar").symlink_to("/media/theirs.tar")
        for _ in range(2):
            self.assertEqual(self.start(), "")
            self.assertEqual(self.offered(), {"mine.tar": "mine", "one.tar.zst": str(self.slot / "one.tar.zst"), "theirs.tar": "/media/theirs.tar"})

    def test_without_airgap_there_are_none_of_the_systems(self):
        (self.slot / "one.tar.zst").write_text("new")
        self.start()
        self.assertEqual(list(self.offered()), ["one.tar.zst"])
        (self.state / "mine.tar").write_text("mine")
        (self.etc / "airgap").unlink()
        self.start()
        self.assertEqual(self.offered(), {"mine.tar": "mine"})

    def test_a_slot_without_images_and_a_place_that_cannot_be_written_stop_no_start(self):
        self.slot.rmdir()
        self.assertEqual(self.start(), "")
        self.slot.mkdir()
        (self.slot / "one.tar.zst").write_text("new")
        (self.top / "state").write_text("a file in the way")
        self.assertIn("cannot be written: k3s starts without the images of the system", self.sh(SERVICE, top=str(self.top)).stdout)


if __name__ == "__main__":
    unittest.main()
