#!/usr/bin/python3
"""nkey.py FILE: makes the key of a user of the bus in FILE (its seed, 0600) unless it is there; prints the public key.

Ed25519 by openssl; nkeys are base32 of a kind, the 32 bytes and a CRC-16."""
import base64
import os
import pathlib
import subprocess
import sys
import tempfile

PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # what stands before an Ed25519 key's 32 bytes
SEED, USER = 18 << 3, 20 << 3  # the kinds: S, U


def _crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _text(data):
    return base64.b32encode(data + _crc16(data).to_bytes(2, "little")).decode().rstrip("=")


def _openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {words[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Key:
    """The seed (SU…) of a user's nkey."""

    def __init__(self, seed):
        self.seed = seed.strip()
        raw = base64.b32decode(self.seed + "=" * (-len(self.seed) % 8))
        if len(raw) != 36 or _crc16(raw[:-2]) != int.from_bytes(raw[-2:], "little"):
            raise ValueError("this is not the seed of an nkey")
        self._der = PKCS8 + raw[2:34]

    @classmethod
    def new(cls):
        return cls(_text(bytes([SEED | USER >> 5, (USER & 31) << 3]) + os.urandom(32)))

    def _with_file(self, *words, message=b""):
        with tempfile.TemporaryDirectory(prefix="macula-key-") as folder:  # 0700
            key, text = pathlib.Path(folder) / "key", pathlib.Path(folder) / "text"
            key.write_bytes(self._der)
            text.write_bytes(message)
            return _openssl(*[str({"KEY": key, "TEXT": text}.get(word, word)) for word in words])

    def public(self):
        raw = self._with_file("pkey", "-inform", "DER", "-in", "KEY", "-pubout", "-outform", "DER")[-32:]
        return _text(bytes([USER]) + raw)

    def sign(self, nonce):
        signature = self._with_file("pkeyutl", "-sign", "-rawin", "-inkey", "KEY", "-keyform", "DER", "-in", "TEXT", message=nonce)
        return base64.urlsafe_b64encode(signature).decode().rstrip("=")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    file = pathlib.Path(sys.argv[1])
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(Key.new().seed + "\n")
    print(Key(file.read_text()).public())


if __name__ == "__main__":
    main()
