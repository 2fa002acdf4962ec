#!/usr/bin/python3
"""The Debian packages: what is in them, what lintian says, and a node that runs from them on a plain Debian 12 and 13.

    test/packaging/test_packages.py [TestInstalled.test_on_trixie …]

DEBS=DIR gives packages of this machine's release in place of built ones."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from package_roots import SOURCE, Root, built_for, package, run

# What the configuration of the node has made on the machine stays, as what an administrator does would.
CONFIGURED = {f"etc/{name}" for name in ("default/keyboard", "default/locale", "hosts", "locale.conf", "timezone",
                                         "vconsole.conf")}
RESOLV_CONF = "nameserver 192.0.2.53\n"
THEIRS = "ip link add eth0 type veth peer name far && ip addr add 192.0.2.10/24 dev eth0 && ip link set eth0 up"
# What the systemd unit runs, and a question to it.
NODE = """
/usr/libexec/macula/macula-supervisor >/tmp/log 2>&1 &
node=$!
tail --pid=$node -n +1 -F /tmp/log 2>/dev/null | grep -q -m 1 'node ready' || { cat /tmp/log; exit 1; }
%s
kill $node
wait $node || { echo "the node ended with $?"; cat /tmp/log; exit 1; }
"""


def asked(root, *questions, before="true", **more):
    """The answers of a node in the root, as JSON."""
    marked = "".join(f"echo QUESTION; {question}; echo ANSWERED; " for question in questions)
    said = root.shell(NODE % f"{before}; {marked}", **more)
    return [json.loads(text) for text in re.findall(r"(?s)^QUESTION\n(.*?)^ANSWERED$", said, re.M)]


class TestContents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = built_for()
        cls.unpacked = tempfile.mkdtemp()
        for name in "maculaos-node", "libmacula-dev", "maculaos-dbg":
            run("dpkg-deb", "-x", package(cls.directory, name), f"{cls.unpacked}/{name}")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.unpacked)

    def has(self, name, *paths):
        for path in paths:
            self.assertTrue(list(pathlib.Path(self.unpacked, name).glob(path)), f"{name} has no {path}")

    def programs(self):
        root = pathlib.Path(self.unpacked, "maculaos-node")
        files = [root / "usr/bin/maculaos", *(root / "usr/libexec/macula").iterdir()]
        return [file for file in files if file.read_bytes()[:4] == b"\x7fELF"]  # scripts are there too

    def test_the_node_has_programs_units_and_pages(self):
        self.has("maculaos-node", "usr/bin/maculaos", "usr/libexec/macula/macula-supervisor", "usr/libexec/macula/confd",
                 "usr/libexec/macula/confd-worker", "usr/lib/macula/units/confd.yaml", "**/systemd/system/macula.service",
                 "usr/share/man/man1/maculaos-config-apply.1.gz", "usr/share/bash-completion/completions/maculaos",
                 "usr/share/zsh/vendor-completions/_maculaos", "usr/share/fish/vendor_completions.d/maculaos.fish")
        for unit in (SOURCE / "services/units").glob("*.yaml"):
            self.has("maculaos-node", f"usr/lib/macula/units/{unit.name}")

    def test_the_programs_are_of_the_release_form(self):
        for program in self.programs():
            content = program.read_bytes()
            self.assertNotIn(b"MACULA_FAULT", content, f"{program.name} has fault points")
            self.assertNotIn(b"/maculaos/obj", content, f"{program.name} names the directory it was built in")
            said = run("readelf", "-Wdl", program)
            if "There is no dynamic section" not in said:  # static: for the initramfs
                self.assertRegex(said, r"FLAGS.*NOW", f"{program.name} is not hardened")
            self.assertIn("GNU_RELRO", said)
            self.assertNotIn(".symtab", run("readelf", "-WS", program), f"{program.name} was not stripped")

    def test_symbols_belong_to_the_programs(self):
        for program in self.programs():
            build_id = re.search("Build ID: ([0-9a-f]+)", run("readelf", "-n", program)).group(1)
            self.has("maculaos-dbg", f"usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")

    def test_a_program_can_be_built_with_the_library(self):
        root = pathlib.Path(self.unpacked, "libmacula-dev")
        program = root / "try.c"
        program.write_text('#include "bus/mac-bus.h"\n#include "crypto/mac-crypto.h"\n#include "macula/v1/config.pb-c.h"\n'
                           'int main(void) { struct mac_bus_options; char text[65]; (void)text;\n'
                           '    return macula__v1__config__descriptor.n_methods == 0; }\n')
        environment = {**os.environ, "PKG_CONFIG_PATH": str(next(root.glob("usr/lib/*/pkgconfig"))),
                       "PKG_CONFIG_SYSROOT_DIR": "", "LC_ALL": "C"}
        flags = run("pkg-config", f"--define-variable=prefix={root}/usr", "--cflags", "--libs", "libmacula", env=environment)
        run("cc", "-D_GNU_SOURCE", program, "-o", root / "try", *flags.split())
        self.assertEqual(subprocess.run([root / "try"], check=False).returncode, 0)

    @unittest.skipUnless(shutil.which("lintian"), "lintian is not installed: scripts/install-dependencies pack")
    def test_lintian_finds_nothing(self):
        debs = [package(self.directory, name) for name in ("maculaos-node", "libmacula-dev", "maculaos-dbg")]
        said = run("lintian", "--allow-root", "--fail-on", "error,warning", *debs)
        self.assertEqual([line for line in said.splitlines() if line[:2] in ("E:", "W:")], [])


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("mmdebstrap"), "needs root and mmdebstrap")
class TestInstalled(unittest.TestCase):
    def root(self, suite):
        with open("/etc/os-release", encoding="utf-8") as release:
            own = suite in release.read()
        if os.environ.get("DEBS") and not own:
            self.skipTest("DEBS are of this machine's release")
        root = Root(suite, package(built_for(None if own else suite), "maculaos-node"))
        self.addCleanup(root.remove)
        return root

    def lives_and_goes(self, suite):
        root = self.root(suite)
        before = root.files()
        root.install()
        info = root.shell(NODE % "maculaos node info -o json; maculaos services processes")
        self.assertFalse((root.path / "etc/systemd/system/multi-user.target.wants/macula.service").is_symlink(),
                         "the service waits until somebody enables it")
        self.assertIn('"arch"', info)
        self.assertRegex(info, r"confd")
        self.assertTrue((root.path / "var/lib/maculaos/identity/admin.nk").exists())
        root.shell("dpkg -r maculaos-node")
        self.assertTrue((root.path / "var/lib/maculaos/identity/admin.nk").exists(), "state outlives a removal")
        self.assertFalse((root.path / "usr/bin/maculaos").exists())
        root.shell("dpkg -P maculaos-node")
        self.assertFalse((root.path / "var/lib/maculaos").exists(), "purge removes the state")
        self.assertEqual(sorted(root.files() - before - CONFIGURED), [])

    def leaves_the_system_alone(self, suite):
        """What else runs there: a network that somebody has set up, and its names."""
        root = self.root(suite)
        root.install()
        (root.path / "etc/resolv.conf").write_text(RESOLV_CONF)
        status, health = asked(root, "maculaos net status -o json", "maculaos health status -o json || true", network=THEIRS)
        self.assertEqual((root.path / "etc/resolv.conf").read_text(), RESOLV_CONF)
        self.assertFalse([link["name"] for link in status["links"] if link.get("managed")])
        self.assertEqual(status["firewall"]["state"], "off")
        self.assertEqual(len([note for note in status["notes"] if "left to this system" in note["message"]]), 3)
        self.assertIn("left to this system", health["watchdog"]["message"])

    def is_upgraded(self, suite):
        """What a node knows and is set to is as before; what runs is started anew, what does not stays so."""
        root = self.root(suite)
        root.install()
        # What the package's scripts ask of systemd is written down.
        (root.path / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        root.stand_in("usr/bin/deb-systemd-invoke")
        [before] = asked(root, "maculaos config history -o json", before="maculaos config set hostname edge-7")
        key = (root.path / "var/lib/maculaos/identity/admin.nk").read_bytes()
        self.assertEqual(root.shell("dpkg-query -W -f '${Conffiles}' maculaos-node").strip(), "", "its state is in /var/lib")
        root.upgrade()
        self.assertRegex(root.shell("dpkg-query -W -f '${Version} ${Status}' maculaos-node"), r"\+later1 install ok installed")
        self.assertIn("deb-systemd-invoke try-restart macula.service", root.calls())
        self.assertFalse([call for call in root.calls() if re.search(r" (stop|start|restart) ", call)],
                         "what runs is restarted, what does not run stays so")
        self.assertTrue((root.path / "usr/libexec/macula/later").exists())
        self.assertFalse((root.path / "usr/share/bash-completion/completions/maculaos").exists())
        self.assertEqual((root.path / "var/lib/maculaos/identity/admin.nk").read_bytes(), key)
        after, document = asked(root, "maculaos config history -o json", "maculaos config get -o json")
        self.assertEqual(after, before)
        self.assertEqual(document["hostname"], "edge-7")
        root.shell("dpkg -r maculaos-node")
        self.assertIn("deb-systemd-invoke stop macula.service", root.calls())

    def takes_its_firewall_along(self, suite):
        root = self.root(suite)
        root.install()
        root.stand_in("usr/sbin/nft")
        root.upgrade()
        self.assertEqual(root.calls(), [], "an upgrade leaves it")
        root.shell("dpkg -r maculaos-node")
        self.assertEqual(root.calls(), ["nft delete table inet macula"])
        root.install()
        root.stand_in("usr/bin/ischroot")
        root.shell("dpkg -r maculaos-node")
        self.assertEqual([call for call in root.calls()[1:] if "nft" in call], [], "a chroot's kernel is another system's")

    def test_on_bookworm(self):
        self.lives_and_goes("bookworm")

    def test_on_trixie(self):
        self.lives_and_goes("trixie")

    def test_leaves_bookworm_alone(self):
        self.leaves_the_system_alone("bookworm")

    def test_leaves_trixie_alone(self):
        self.leaves_the_system_alone("trixie")

    def test_upgrade_on_bookworm(self):
        self.is_upgraded("bookworm")

    def test_upgrade_on_trixie(self):
        self.is_upgraded("trixie")

    def test_firewall_goes_with_it_on_bookworm(self):
        self.takes_its_firewall_along("bookworm")


if __name__ == "__main__":
    unittest.main(verbosity=2)
