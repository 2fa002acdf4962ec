"""The node's bus from outside, with the admin key and without: the protocol by hand, through a forwarded port."""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "node"))
from node_harness import RawClient  # noqa: E402

PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # what stands before an Ed25519 key's 32 bytes
USER = 20 << 3  # the nkey prefix of a user: the letter U


def _crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {words[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Key:
    """An nkey seed (SU…)."""

    def __init__(self, seed):
        seed = seed.strip()
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
        if len(raw) != 36 or _crc16(raw[:-2]) != int.from_bytes(raw[-2:], "little"):
            raise AssertionError("this is not the seed of an nkey")
        self._der = PKCS8 + raw[2:34]

    def _with_file(self, *words, message=b""):
        with tempfile.TemporaryDirectory(prefix="macula-key-") as folder:  # 0700
            key, text = pathlib.Path(folder) / "key", pathlib.Path(folder) / "text"
            key.write_bytes(self._der)
            text.write_bytes(message)
            return _openssl(*[str({"KEY": key, "TEXT": text}.get(word, word)) for word in words])

    def public(self):
        raw = self._with_file("pkey", "-inform", "DER", "-in", "KEY", "-pubout", "-outform", "DER")[-32:]
        data = bytes([USER]) + raw
        return base64.b32encode(data + _crc16(data).to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, nonce):
        signature = self._with_file("pkeyutl", "-sign", "-rawin", "-inkey", "KEY", "-keyform", "DER", "-in", "TEXT", message=nonce)
        return base64.urlsafe_b64encode(signature).decode().rstrip("=")


class Bus(RawClient):
    """Connected to a node; with `seed` as its admin. A refusal to connect is a ConnectionError or says -ERR at once."""

    def __init__(self, port, seed=None):
        key = Key(seed) if seed else None
        super().__init__(f"nats://127.0.0.1:{port}",
                         lambda info: {"nkey": key.public(), "sig": key.sign(info["nonce"].encode())} if key else {})

    def json(self, subject, payload=b""):
        """The answer of a procedure; AssertionError when it is refused."""
        headers, body = self.request(subject, payload)
        if headers == "-ERR" or b"Nats-Service-Error" in headers or b" 503" in headers.split(b"\r\n")[0]:
            raise AssertionError(f"{subject}: {headers!r} {body!r}")
        return json.loads(body)
