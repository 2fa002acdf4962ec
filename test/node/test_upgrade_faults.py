#!/usr/bin/env python3
"""Bad releases, bad servers, bad disks: refused with a reason, and nothing is changed by them."""
import json
import os
import subprocess
import unittest

from node_harness import BIN, Background
from upgrade_harness import FIRST, UpgradeTest
from release_maker import ARCH, Signer, copy_release, make_release, resign
from release_server import ReleaseServer

SLOT = f"macula-os-0.2.0-{ARCH}.slot"


class Refusals(UpgradeTest):
    """One node for all of them: each must leave it as it was, and able to upgrade at the end."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.served / "v0.2.0"

    def release(self, name):
        return copy_release(self.good, self.served / name)

    def refused(self, node, name, message, code=5):
        node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}{name}/").ok()
        result = node.upgrade("apply")
        self.assertEqual(result.code, code, f"{name}: {result.out}{result.err}")
        self.assertRegex(result.err, message)
        self.assert_untouched(node)

    def edit_manifest(self, directory, edit):
        path = directory / "release.json"
        tree = json.loads(path.read_text())
        edit(tree)
        path.write_text(json.dumps(tree))
        resign(directory, self.signer)

    def test_signatures(self):
        other, expired = Signer(self.work, "other"), Signer(self.work, "expired", expired=True)
        revoked = Signer(self.work, "revoked", revoked=True)
        for signer in (other, expired, revoked):
            self.addCleanup(signer.close)
        other.sign(self.release("by-another"))
        expired.sign(self.release("expired"))
        revoked.sign(self.release("revoked"))
        (self.release("unsigned") / "SHA256SUMS.txt.asc").unlink()
        (self.release("garbage") / "SHA256SUMS.txt.asc").write_text("-----BEGIN PGP SIGNATURE-----\nnonsense\n")
        sums = self.release("other-files") / "SHA256SUMS.txt"
        sums.write_text(sums.read_text().replace(SLOT, "x.slot"))
        (self.release("other-manifest") / "release.json").write_text("not even JSON")  # nor read, before its digest is known to be signed
        with self.node() as node:
            for signer in (expired, revoked):
                node.write(f"/etc/macula/{signer.home.name}.asc", signer.public.read_text())
            node.cli("config", "set", "maculaos.upgrade.signing_keys", json.dumps(
                ["/etc/macula/release.asc"] + [f"/etc/macula/{s.home.name}.asc" for s in (expired, revoked)])).ok()
            self.refused(node, "by-another", "does not know the key")
            self.refused(node, "expired", "has expired")
            self.refused(node, "revoked", "was revoked")
            self.refused(node, "unsigned", "is not signed")
            self.refused(node, "garbage", "not trusted")
            self.refused(node, "other-files", "changed after it was signed")
            self.refused(node, "other-manifest", "is not the one that SHA256SUMS.txt speaks of")
            self.refused(node, "v0.2.0/nowhere", "no such thing", code=1)
            # The key in the configuration as text, and the first release after all.
            node.cli("config", "set", "maculaos.upgrade.signing_keys", json.dumps([self.signer.public.read_text()])).ok()
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.2.0/").ok()
            node.upgrade("apply").exits(4)

    def test_hostile_manifests_that_are_signed(self):
        def image(tree, **what):
            tree["images"][0].update(what)
        cases = {
            "path": (lambda t: image(t, slot="../../etc/passwd"), r"images\[0\]\.slot"),
            "huge": (lambda t: image(t, size=2 ** 60), r"images\[0\]\.size"),
            "negative": (lambda t: image(t, size=-4096), r"images\[0\]\.size"),
            "version": (lambda t: t.update(version="1.0.0/../x"), "version"),
            "unicode": (lambda t: t.update(version="9.9.\u0669"), "version"),
            "architecture": (lambda t: image(t, arch="m68k"), "no image for this machine"),
            "reach": (lambda t: t.update(min_version="0.1.5"), "can be reached from 0.1.5 on"),
            "channel": (lambda t: t.update(channel="nightly"), "channel"),
            "format": (lambda t: t.update(format=2), "format"),
            "mixed": (lambda t: image(t, sha256="0" * 64), "different digests"),
            "root": (lambda t: image(t, root_hash="0" * 64), "root hash differs"),
        }
        with self.node() as node:
            for name, (edit, message) in cases.items():
                with self.subTest(name):
                    directory = self.release(f"manifest-{name}")
                    self.edit_manifest(directory, edit)
                    self.refused(node, directory.name, message, code=1 if name == "format" else 5)
            (self.release("no-json") / "release.json").write_text("{" * 100)
            resign(self.served / "no-json", self.signer)
            self.refused(node, "no-json", "not JSON")
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.2.0/").ok()
            node.upgrade("apply").exits(4)

    def test_images_that_are_not_what_was_signed(self):
        truncated, longer, changed = (self.release(n) for n in ("truncated", "longer", "changed"))
        for directory, change in ((truncated, lambda b: b[:-4096]), (longer, lambda b: b + b"\0" * 4096),
                                  (changed, lambda b: b[:70000] + b"\1" + b[70001:])):
            (directory / f"{SLOT}.chunks").unlink()
            slot = directory / SLOT
            slot.write_bytes(change(slot.read_bytes()))
        with self.node(more="delta: false") as node:
            # First: what the others bring is good as far as it goes, and kept.
            self.refused(node, "changed", "root hash differs")
            self.refused(node, "truncated", "is not the file of this release|broke the connection")
            self.refused(node, "longer", "longer than was announced", code=1)
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.2.0/").ok()
            node.upgrade("apply").exits(4)

    def test_an_old_release_shown_again_and_a_lower_version(self):
        newer = make_release(self.served / "seen", "0.4.0", self.signer, sequence=1000)
        again = make_release(self.served / "again", "0.3.0", self.signer, sequence=999)
        lower = make_release(self.served / "lower", "0.0.9", self.signer, sequence=1001)
        with self.node() as node:
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}{newer.name}/").ok()
            node.upgrade("check").ok()
            self.refused(node, again.name, "shows an old release again")
            self.assertEqual(node.upgrade("apply", "--from", lower).code, 5)
            node.upgrade("apply", "--from", lower, "--downgrade").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            self.assertEqual(node.status()["version"], "0.0.9")

    def test_a_slot_that_is_too_small(self):
        big = make_release(self.served / "big", "0.5.0", self.signer, size=4 << 20)
        with self.node() as node:
            node.stop()
            with open(node.path("/boot/slot-b"), "r+b") as slot:
                slot.truncate(2 << 20)
            # The sandbox would make it whole again: the supervisor is told that it is.
            node.start()
            with open(node.path("/boot/slot-b"), "r+b") as slot:
                slot.truncate(2 << 20)
            self.refused(node, big.name, "but version 0.5.0 needs")


class Servers(UpgradeTest):
    def apply(self, node, code=4):
        return node.upgrade("apply").exits(code)

    def test_a_link_that_breaks_is_gone_on_with(self):
        self.server.fault("*.slot", times=3, cut=700000)
        with self.node(more="delta: false") as node:
            self.apply(node)
            ranges = [r for _, r in self.server.asked_for("*.slot")]
            self.assertEqual(ranges[0], None)
            self.assertTrue(all(r.startswith("bytes=") for r in ranges[1:]), ranges)
            self.assertEqual(node.status()["other"]["version"], "0.2.0")

    def test_a_link_that_stalls_is_given_up_and_gone_on_with(self):
        """The server never closes it: the client's own limit must end it, in the middle and before the first byte."""
        self.server.fault("*.slot", times=1, cut=100000, stall=None)
        self.server.fault("*.slot", times=1, cut=0, stall=None)
        with self.node(more="delta: false") as node:
            node.stop()
            node.start(MACULA_UPGRADE_STALL_MS="1000")
            self.apply(node)
            self.assertFalse(self.server.released.is_set())
            first, second, third = [r for _, r in self.server.asked_for("*.slot")]
            self.assertIsNone(first)
            self.assertRegex(second, "^bytes=[1-9]")
            self.assertEqual(second, third)

    def test_who_sends_other_parts_than_were_asked_for_is_asked_for_all_of_it(self):
        """Its answers never get better: what is here already of the image must not keep the upgrade from ending."""
        for name, wrong in (("garbage", {"range": "bytes 0-99/100"}), ("416", {"part_status": 416})):
            with self.subTest(name):
                self.server.faults.clear()
                self.server.requests.clear()
                self.server.fault("*.slot", times=1, cut=300000)
                self.server.fault("*.slot", times=None, **wrong)
                with self.node(more="delta: false") as node:
                    self.apply(node)
                    first, part, last = [r for _, r in self.server.asked_for("*.slot")]
                    self.assertEqual((first, last), (None, None))
                    self.assertRegex(part, "^bytes=[1-9]")

    def test_a_server_whose_parts_are_always_wrong_and_whose_link_always_breaks_is_given_up(self):
        self.server.fault("*.slot", times=None, cut=300000, range="bytes 0-99/100")
        with self.node(more="delta: false") as node:
            self.assertRegex(self.apply(node, 1).err, "another part")
            self.assert_untouched(node)
            self.server.heal()
            self.server.requests.clear()
            self.apply(node)
            self.assertEqual([r for _, r in self.server.asked_for("*.slot")], [None], "none of it was worth keeping")

    def test_a_server_without_ranges_is_good_enough_until_something_breaks(self):
        self.server.ranges = False
        with self.node() as node:
            self.apply(node)

    def test_a_server_without_ranges_sends_all_of_it_again_when_something_breaks(self):
        self.server.ranges = False
        self.server.fault("*.slot", times=1, cut=1 << 20)
        with self.node(more="delta: false") as node:
            self.apply(node)

    def test_a_redirect_loop_ends(self):
        self.server.fault("*.slot", times=None, redirect=None)
        with self.node(more="delta: false") as node:
            self.assertRegex(self.apply(node, 5).err, "redirects more than")
            self.assert_untouched(node)
            self.server.heal()
            self.apply(node)

    def test_errors_of_the_server_are_tried_again(self):
        self.server.fault("release.json", times=2, status=503)
        self.server.fault("*.slot", times=2, status=500)
        with self.node(more="delta: false") as node:
            self.apply(node)

    def test_an_image_that_changes_while_it_comes_is_noticed(self):
        self.server.fault("*.slot", times=1, change=1 << 20)
        with self.node(more="delta: false") as node:
            self.assertRegex(self.apply(node, 5).err, "root hash differs")
            self.assert_untouched(node)
            self.apply(node)

    def test_a_mirror_stands_in(self):
        with ReleaseServer(self.served) as mirror:
            self.server.fault("*", times=None, status=404)
            with self.node(more=f"mirrors: [{mirror.url}v0.2.0/]") as node:
                self.apply(node)
                self.assertTrue(mirror.asked_for("*.slot"))

    def test_a_certificate_for_another_name_is_refused(self):
        key, certificate = self.work / "tls.key", self.work / "tls.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=elsewhere", "-addext", "subjectAltName=DNS:elsewhere.example.com", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        good_key, good = self.work / "good.key", self.work / "good.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", good_key, "-out", good],
                       check=True, capture_output=True)
        with self.node() as node, ReleaseServer(self.served, certificate=(certificate, key)) as wrong, \
                ReleaseServer(self.served, certificate=(good, good_key)) as right:
            for server, pem, code in ((wrong, certificate, 5), (right, None, 5), (right, good, 4)):
                if pem:
                    node.write("/etc/macula/ca.pem", pem.read_text())
                    node.cli("config", "set", "maculaos.upgrade.ca_cert", "/etc/macula/ca.pem").ok()
                else:
                    node.cli("config", "set", "maculaos.upgrade.ca_cert", "--unset").ok()
                node.cli("config", "set", "maculaos.upgrade.url", f"{server.url}v0.2.0/")
                result = node.upgrade("apply").exits(code)
                if code == 5:
                    self.assertRegex(result.err, "certificate")
                    self.assert_untouched(node)

    def test_a_connection_that_is_reset_during_the_handshake_is_tried_again(self):
        key, certificate = self.work / "reset.key", self.work / "reset.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        with self.node() as node, ReleaseServer(self.served, certificate=(certificate, key)) as server:
            node.write("/etc/macula/ca.pem", certificate.read_text())
            node.cli("config", "set", "maculaos.upgrade.ca_cert", "/etc/macula/ca.pem").ok()
            node.cli("config", "set", "maculaos.upgrade.url", f"{server.url}v0.2.0/").ok()
            server.resets = 2
            self.apply(node)
            self.assertEqual(server.resets, 0)

    def test_two_applies_at_once_are_one(self):
        with self.node() as node:
            first = Background(BIN / "maculaos", "upgrade", "apply", "--job", "one", "--progress", "none", env=node.env)
            second = node.upgrade("apply", "--job", "one")
            self.assertEqual(second.code, 4)
            self.assertEqual(first.process.wait(60), 4)
            first.close()
            self.assertEqual(len(self.server.asked_for("*.slot")), 1)


class Deltas(UpgradeTest):
    def test_only_what_is_new_is_fetched(self):
        base = os.urandom(6 << 20)
        edited = base[:2 << 20] + b"a few new bytes" + base[2 << 20:5 << 20] + os.urandom(100000) + base[5 << 20:]
        make_release(self.served / "v0.7.0", "0.7.0", self.signer, data=base)
        make_release(self.served / "v0.8.0", "0.8.0", self.signer, data=edited)
        with self.node("0.7.0") as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.8.0/").ok()
            plan = node.upgrade("plan", "-o", "json").ok().json()
            self.assertTrue(plan["delta"])
            self.assertLess(plan["fetch"], 400000)
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed", 2)
            last = node.status()["last"]
            self.assertEqual((last["version"], last["fetched"]), ("0.8.0", plan["fetch"]))

    def test_a_wrong_index_leads_to_the_whole_image(self):
        base = os.urandom(3 << 20)
        make_release(self.served / "d1", "0.7.1", self.signer, data=base)
        broken = make_release(self.served / "d2", "0.7.2", self.signer, data=base + b"x")
        chunks = next(broken.glob("*.chunks"))
        chunks.write_bytes(chunks.read_bytes()[:-1] + b"\xff")
        with self.node() as node:
            node.upgrade("apply", "--from", self.served / "d1").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.upgrade("apply", "--from", broken).exits(4)
            self.assertEqual(node.status()["other"]["version"], "0.7.2")


@unittest.skipUnless((BIN.parent / "test" / "libtest-eio.so").exists(), "libtest-eio.so was not built")
class Disks(UpgradeTest):
    def test_a_disk_that_fails_is_named_and_nothing_is_started_from_it(self):
        for operation in ("pwrite", "pread", "fsync"):
            with self.subTest(operation), self.node(more="delta: false") as node:
                node.stop()
                node.start(LD_PRELOAD=str(BIN.parent / "test" / "libtest-eio.so"), TEST_EIO=operation,
                           TEST_EIO_FILE=str(node.path("/boot/slot-b")))
                self.assertRegex(node.upgrade("apply").exits(1).err, "the disk is failing|Input/output error")
                self.assert_untouched(node)
                node.reboot()
                node.upgrade("apply").exits(4)

    def test_a_running_slot_that_cannot_be_read_is_done_without(self):
        """It is read in large pieces when it is looked at, and in small ones when they are needed: only those fail."""
        base = os.urandom(6 << 20)
        make_release(self.served / "v0.7.5", "0.7.5", self.signer, data=base)
        make_release(self.served / "v0.8.5", "0.8.5", self.signer, data=base[:3 << 20] + os.urandom(100000) + base[3 << 20:])
        with self.node("0.7.5") as node:
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}v0.8.5/").ok()
            node.stop()
            node.start(LD_PRELOAD=str(BIN.parent / "test" / "libtest-eio.so"), TEST_EIO="pread", TEST_EIO_MOST="400000",
                       TEST_EIO_FILE=str(node.path("/boot/slot-b")))
            self.assertTrue(node.upgrade("plan", "-o", "json").ok().json()["delta"])
            node.upgrade("apply").exits(4)
            self.assertIn(None, [ranges for path, ranges in self.server.asked_for("*.slot") if "0.8.5" in path])


if __name__ == "__main__":
    unittest.main(verbosity=2)
