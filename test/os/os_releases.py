"""Whoever makes releases, signs them and serves them to machines over HTTP."""
import pathlib
import shutil
import sys
import tempfile

from os_case import SOURCE, OsTest

sys.path.insert(0, str(SOURCE / "test" / "release"))
from release_maker import BIN, Signer  # noqa: E402
from release_server import ReleaseServer  # noqa: E402

HOST = "10.0.3.2"  # what the guest calls us, on a network of its own


class Releases(OsTest):
    def setUp(self):
        super().setUp()
        if not (BIN / "macula-release").exists():
            self.fail(f"there is no {BIN}/macula-release, which makes the releases of this test: make build, or name the folder "
                      "that has it in MACULA_BIN_DIR")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="macula-os-releases-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.signer = Signer(self.work)
        self.addCleanup(self.signer.close)
        self.server = ReleaseServer(self.work)
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)
