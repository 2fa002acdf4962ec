"""A node in a sandbox that is upgraded: slots and boot state are files below its root, a start of the node is a start of
the machine."""
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "release"))
from node_harness import BIN, Background, Node  # noqa: E402,F401
from release_maker import Signer, make_release  # noqa: E402,F401
from release_server import ReleaseServer  # noqa: E402

FIRST = "0.1.0"  # what a sandbox runs: the version of the build
FAST = {"MACULA_UPGRADE_RETRY_MS": "50", "MACULA_UPGRADE_ATTEMPTS": "3", "MACULA_GATE_MS": "100"}


class UpgradeNode(Node):
    def __init__(self, url, signer=None, more="", hold="200ms", **options):
        self.boots = 0
        key = "\n    signing_keys: [/etc/macula/release.asc]" if signer else ""
        super().__init__(config=f"maculaos:\n  upgrade:\n    url: {url}{key}\n    health_hold: {hold}\n    health_timeout: 60s\n"
                                + "".join(f"    {line}\n" for line in more.splitlines()), env=FAST, **options)
        if signer:
            self.write("/etc/macula/release.asc", signer.public.read_text())

    def start(self, **env):
        return super().start(**{"MACULA_BOOT_ID": f"boot-{self.boots}", **env})

    def reboot(self, **env):
        """What a restart of the machine does."""
        if self.runner:
            self.stop()
        self.boots += 1
        return self.start(**env)

    def power_cut(self, **env):
        self.kill()
        self.boots += 1
        return self.start(**env)

    def upgrade(self, *arguments, **more):
        return self.cli("upgrade", *arguments, "--progress", "none", **more)

    def status(self):
        return self.upgrade("status", "-o", "json").ok().json()

    def history(self):
        return self.upgrade("history", "-o", "json").ok().json().get("outcomes", [])

    def boot(self):
        return self.cli("boot", "status", "-o", "json").ok().json()

    def wait_for_outcome(self, state, count=1):
        """Waits for the event that ends a trial, or finds that it has come already."""
        watcher = self.events("upgrade.*")
        try:
            while sum(o["state"] == state for o in self.history()) < count:
                watcher.wait(rf"upgrade\.{state}")
        finally:
            watcher.close()


class UpgradeTest(unittest.TestCase):
    """Releases 0.2.0 (good), served over HTTP."""

    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="macula-releases-"))
        cls.signer = Signer(cls.work)
        cls.served = cls.work / "served"
        make_release(cls.served / "v0.2.0", "0.2.0", cls.signer)

    @classmethod
    def tearDownClass(cls):
        cls.signer.close()
        shutil.rmtree(cls.work, ignore_errors=True)

    def setUp(self):
        self.server = ReleaseServer(self.served)
        self.enterContext(self.server) if hasattr(self, "enterContext") else self._enter(self.server)

    def _enter(self, context):
        context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def node(self, version="0.2.0", signer=None, **options):
        return UpgradeNode(f"{self.server.url}v{version}/", signer or self.signer, **options)

    def assert_untouched(self, node, reason=None):
        """Invariant after a refusal: what runs is what is started, nothing waits, and the job has ended."""
        status = node.status()
        self.assertEqual(status["version"], FIRST)
        self.assertEqual(status["running"]["state"], "active")
        self.assertFalse(status["reboot_required"])
        self.assertNotIn(status.get("job", {}).get("state", "failed"), ("running", "queued"))
        self.assertNotIn("pending", node.boot())
        if reason:
            self.assertRegex(json.dumps(status), reason)
