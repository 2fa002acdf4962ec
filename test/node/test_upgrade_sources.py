#!/usr/bin/env python3
"""Where a node looks for versions: directories of channels, the pages of a forge, mirrors; and what others see of it."""
import json
import unittest

from upgrade_harness import ReleaseServer, UpgradeNode, UpgradeTest, make_release

SECRET = "hunter2"


class Channels(UpgradeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for place, version, channel in (("all/stable", "0.3.0", "stable"), ("all/beta", "0.3.0-rc.1", "beta"),
                                        ("early/stable", "0.3.0", "stable"), ("early/beta", "0.4.0-rc.1", "beta"),
                                        ("early/nightly", "0.4.0-nightly.7", "nightly"),
                                        ("wrong/stable", "0.3.0", "stable"), ("wrong/beta", "0.5.0-nightly.1", "nightly")):
            make_release(cls.served / place, version, cls.signer, channel=channel)

    def at(self, path, channel):
        return UpgradeNode(f"{self.server.url}{path}", self.signer, more=f"channel: {channel}")

    def offered(self, path, channel):
        with self.at(path, channel) as node:
            return node.upgrade("check", "-o", "json").ok().json()["version"]

    def test_the_highest_version_that_the_channel_allows_is_offered(self):
        self.assertEqual(self.offered("all/", "beta"), "0.3.0")
        self.assertEqual(self.offered("all/", "nightly"), "0.3.0")
        self.assertEqual(self.offered("early/", "stable"), "0.3.0")
        self.assertEqual(self.offered("early/", "beta"), "0.4.0-rc.1")
        self.assertEqual(self.offered("wrong/", "beta"), "0.3.0")

    def test_who_tried_a_candidate_gets_what_becomes_of_it(self):
        with self.at("v0.2.0/", "beta") as node:
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}all/beta/").ok()
            node.upgrade("apply").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}all/").ok()
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.3.0")
            node.upgrade("apply").exits(4)

    def test_what_cannot_be_read_does_not_hide_the_rest(self):
        self.server.fault("*/nightly/*", times=None, status=503)
        self.assertEqual(self.offered("early/", "nightly"), "0.4.0-rc.1")

    def test_stores_that_refuse_what_is_not_there(self):
        self.server.missing = 403
        self.assertEqual(self.offered("v0.2.0/", "stable"), "0.2.0")
        self.assertEqual(self.offered("all/", "nightly"), "0.3.0")
        with self.at("nothing/", "stable") as node:
            self.assertIn("refuses access (HTTP 403)", node.upgrade("check").err)


class Forge(UpgradeTest):
    def releases(self, count):
        return [{"tag_name": f"v0.9.0-nightly.{count - i}", "draft": False, "prerelease": True, "assets": []} for i in range(count)]

    def test_releases_behind_many_builds_are_found(self):
        for count in (60, 100, 230):
            with self.subTest(count), self.node(more=f"github_api: {self.server.url}") as node:
                self.server.first_releases = self.releases(count)
                node.cli("config", "set", "maculaos.upgrade.url", "github://macula-io/macula-os").ok()
                self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.2.0")

    def test_a_list_without_an_end_is_not_read_for_ever(self):
        with self.node(more=f"github_api: {self.server.url}") as node:
            self.server.first_releases = self.releases(3000)
            node.cli("config", "set", "maculaos.upgrade.url", "github://macula-io/macula-os").ok()
            self.assertIn("no release for channel stable", node.upgrade("check").exits(1).err)
            self.assertLessEqual(len(self.server.asked_for("releases")), 20)


class Login(UpgradeTest):
    """A password in a URL is for the source only."""

    def assert_not_said(self, node):
        for who in (node.cli, node.anonymous):
            for verb in ("status", "check", "plan", "history"):
                answer = who("upgrade", verb, "-o", "json")
                self.assertNotIn(SECRET, answer.out + answer.err, verb)
        answer = node.anonymous("config", "get", "maculaos.upgrade")
        self.assertNotIn(SECRET, answer.out + answer.err)
        self.assertNotIn(SECRET, "\n".join(node.runner.lines.drain()))

    def test_it_is_not_shown_of_a_source_that_answers(self):
        url = self.server.url.replace("://", f"://someone:{SECRET}@")
        with UpgradeNode(f"{url}v0.2.0/", self.signer, more=f"mirrors: [{url}other/]") as node:
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["source"].rsplit("/", 2)[-2], "v0.2.0")
            self.assert_not_said(node)
            node.upgrade("apply").exits(4)
            self.assert_not_said(node)
            status = node.status()
            self.assertIn("v0.2.0/", status["url"])
            self.assertTrue([path for path in self.server.authorized if path.endswith(".slot")])

    def test_it_is_not_shown_of_a_source_that_fails(self):
        url = self.server.url.replace("://", f"://someone:{SECRET}@")
        with UpgradeNode(f"{url}nothing/", self.signer, more=f"mirrors: [{url}other/]") as node:
            self.assertNotEqual(node.upgrade("check").code, 0)
            self.assert_not_said(node)
            node.upgrade("apply")
            self.assert_not_said(node)

    def test_it_is_not_shown_of_a_wrong_image(self):
        url = self.server.url.replace("://", f"://someone:{SECRET}@")
        with UpgradeNode(f"{url}v0.2.0/", self.signer) as node:
            for what in ({"longer": 10}, {"change": 1 << 20}):
                self.server.fault("*.slot", times=None, **what)
                node.upgrade("apply", "--full")
                self.assert_not_said(node)
                self.server.heal()

    def test_it_is_not_quoted_when_it_is_refused(self):
        with self.node() as node:
            for key in ("url", "mirrors"):
                answer = node.cli("config", "set", f"maculaos.upgrade.{key}", f"ftp://someone:{SECRET}@host/x")
                self.assertNotEqual(answer.code, 0)
                self.assertNotIn(SECRET, answer.out + answer.err)


class Mirrors(UpgradeTest):
    def test_they_are_checked_as_the_source_is(self):
        with self.node() as node:
            for wrong in ("ftp://x/y", "github://a", "github://a/b/c"):
                answer = node.cli("config", "set", "maculaos.upgrade.mirrors", wrong)
                self.assertNotEqual(answer.code, 0, wrong)
                self.assertIn("maculaos.upgrade.mirrors", answer.err)
            node.cli("config", "set", "maculaos.upgrade.mirrors", "https://example.com/x/").ok()

    def test_a_directory_of_the_node_is_one(self):
        with self.node(more="mirrors: ['file:///srv/releases/']\ndelta: false") as node:
            make_release(node.root / "srv/releases/stable", "0.2.0", self.signer)
            self.server.fault("*.slot", times=None, status=404)
            node.upgrade("apply").exits(4)
        with self.node("7.7.7", more="mirrors: ['file:///srv/releases/']") as node:
            make_release(node.root / "srv/releases/stable", "0.2.0", self.signer)
            node.upgrade("apply").exits(4)

    def test_a_source_that_does_not_answer_is_not_asked_for_each_channel(self):
        """Each answer that does not come takes half a minute of the time that the mirror needs."""
        self.server.fault("/silent/*", times=None, status=503)
        with self.node(more=f"channel: nightly\nmirrors: ['{self.server.url}v0.2.0/']") as node:
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}silent/").ok()
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.2.0")
            self.assertEqual({path for path, _ in self.server.requests if path.startswith("/silent/")},
                             {"/silent/stable/SHA256SUMS.txt"})

    def test_a_forge_is_one(self):
        with self.node("7.7.7", more=f"mirrors: ['github://macula-io/macula-os']\ngithub_api: {self.server.url}") as node:
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.2.0")
        with self.node(more=f"mirrors: ['github://macula-io/macula-os']\ngithub_api: {self.server.url}\ndelta: false") as node:
            self.server.fault("*.slot", times=None, status=404)
            self.assertNotIn("github:", node.upgrade("apply").err)


class Reach(UpgradeTest):
    """Releases that cannot be gone to from everywhere: 0.3.0 and 0.3.1 from 0.2.0 on, 0.4.0 from 0.3.0 on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for version, least in (("0.2.1", None), ("0.3.0", "0.2.0"), ("0.3.1", "0.2.0"), ("0.4.0", "0.3.0")):
            make_release(cls.served / f"v{version}", version, cls.signer, min_version=least)
        make_release(cls.served / "all/stable", "0.2.1", cls.signer)
        make_release(cls.served / "all/beta", "0.5.0-rc.1", cls.signer, channel="beta", min_version="0.3.0")

    def test_a_forge_is_followed_by_steps_that_are_within_reach(self):
        with self.node() as node:
            node.cli("config", "patch", json.dumps({"maculaos": {"upgrade": {
                "url": "github://macula-io/macula-os", "github_api": self.server.url}}})).ok()
            for count, version in enumerate(("0.2.1", "0.3.1", "0.4.0"), 1):
                self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], version)
                node.upgrade("apply").exits(4)
                node.reboot()
                node.wait_for_outcome("confirmed", count)
            self.assertIn("0.4.0 runs already", node.upgrade("check").exits(3).err)

    def test_a_channel_that_leads_on_comes_before_one_that_is_out_of_reach(self):
        with self.node(more="channel: beta") as node:
            node.cli("config", "set", "maculaos.upgrade.url", f"{self.server.url}all/").ok()
            self.assertEqual(node.upgrade("check", "-o", "json").ok().json()["version"], "0.2.1")

    def test_a_release_out_of_reach_does_not_bar_the_step_to_it(self):
        with self.node("0.3.0") as node:
            self.assertIn("0.3.0 can be reached from 0.2.0 on", node.upgrade("check").ok().out)
            node.upgrade("apply", "--from", self.served / "v0.2.0").exits(4)
            node.reboot()
            node.wait_for_outcome("confirmed")
            node.upgrade("apply").exits(4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
