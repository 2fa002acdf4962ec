"""Makes signed releases for tests: keys, slots of random bytes, and what images/release makes of them."""
import os
import pathlib
import random
import shutil
import subprocess

SOURCE = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("MACULA_BIN_DIR", SOURCE / "build" / "bin"))
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def run(*command, env=None, **more):
    process = subprocess.run([str(c) for c in command], env={**os.environ, **(env or {})}, capture_output=True, check=False,
                             **more)
    if process.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {process.stderr.decode(errors='replace')}")
    return process.stdout


class Signer:
    """A key of its own, in a GnuPG directory of its own. expired, revoked: so by the time a node looks."""

    def __init__(self, directory, name="test", expired=False, revoked=False):
        self.home = pathlib.Path(directory) / f"gnupg-{name}"
        self.home.mkdir(mode=0o700)
        self.time = ["--faked-system-time", "20200101T000000!"] if expired else []
        self._gpg("--passphrase", "", "--quick-generate-key", f"{name}@example.com", "ed25519", "sign",
                  "1y" if expired else "never")
        self.fingerprint = next(line.split(":")[9] for line in self._gpg("--with-colons", "--list-keys").decode().splitlines()
                                if line.startswith("fpr"))
        self.revoked = revoked
        self.public = self.home / "public.asc"
        self.public.write_bytes(self._public())

    def _gpg(self, *arguments, **more):
        return run("gpg", "--homedir", self.home, "--batch", "--quiet", *self.time, *arguments, **more)

    def _public(self):
        if not self.revoked:
            return self._gpg("--armor", "--export")
        certificate = (self.home / "openpgp-revocs.d" / f"{self.fingerprint}.rev").read_text().replace(":-----", "-----")
        other = self.home / "revoked"
        other.mkdir(mode=0o700)
        for text in (self._gpg("--armor", "--export"), certificate.encode()):
            run("gpg", "--homedir", other, "--batch", "--quiet", "--import", input=text)
        return run("gpg", "--homedir", other, "--batch", "--armor", "--export")

    def sign(self, directory):
        directory = pathlib.Path(directory)
        self._gpg("--yes", "--armor", "--detach-sign", "--output", directory / "SHA256SUMS.txt.asc", directory / "SHA256SUMS.txt")

    def close(self):
        for home in (self.home, self.home / "revoked"):
            if home.is_dir():
                subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False, capture_output=True)


def content(size, seed):
    return random.Random(seed).randbytes(size)


def make_release(directory, version, signer, size=3 << 20, data=None, channel="stable", sequence=None, min_version=None,
                 arch=ARCH, index=True):
    """A release directory as images/release makes one (quicker: without checking itself)."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True)
    raw = directory.with_suffix(".raw")
    raw.write_bytes(content(size, version) if data is None else data)
    slot = directory / f"macula-os-{version}-{arch}.slot"
    run(BIN / "macula-release", "slot", raw, slot, version, arch)
    raw.unlink()
    seal(directory, signer, channel, sequence or sequence_of(version), min_version)
    return directory


def sequence_of(version):
    return 1 + sum(int(part) * 1000 ** (2 - i) for i, part in enumerate(version.split("-")[0].split(".")))


def seal(directory, signer, channel="stable", sequence=1, min_version=None):
    run(BIN / "macula-release", "make", directory, channel, sequence, *([min_version] if min_version else []))
    for facts in pathlib.Path(directory).glob("*.slot.json"):
        facts.unlink()
    if signer:
        signer.sign(directory)


def resign(directory, signer):
    """New digests and signature for files that were changed by hand."""
    directory = pathlib.Path(directory)
    names = sorted(p.name for p in directory.iterdir() if not p.name.startswith("SHA256SUMS"))
    sums = run("sha256sum", *names, cwd=directory)
    (directory / "SHA256SUMS.txt").write_bytes(sums)
    signer.sign(directory)


def copy_release(source, target):
    shutil.copytree(source, target)
    return pathlib.Path(target)
