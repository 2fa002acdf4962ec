"""The node's bus from outside, with the admin key and without: the protocol by hand, through a forwarded port."""
import json
import pathlib
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "test" / "node"), str(SOURCE / "images")]
from nkey import Key  # noqa: E402
from node_harness import RawClient  # noqa: E402


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
