"""What tests of the node's health share: a web server that can be ill, the events, a node with checks."""
import contextlib
import http.server
import json
import ssl
import threading
import unittest

from node_harness import BIN, PATIENCE, Background, Node

RECORD = "/run/macula/healthd.record"


class Server:
    """A real HTTP server whose answer a test chooses; counts the questions. With a certificate and its key: HTTPS."""

    def __init__(self, certificate=None):
        self.mode, self.asked, self.changed = "ok", 0, threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with outer.changed:
                    mode = outer.mode.pop(0) if isinstance(outer.mode, list) and len(outer.mode) > 1 else outer.mode
                    mode = mode[0] if isinstance(mode, list) else mode
                    outer.asked += 1
                    outer.changed.notify_all()
                with contextlib.suppress(OSError):
                    getattr(self, "answer_" + mode)()

            def answer_ok(self):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def answer_ill(self):
                self.send_error(500)

            def answer_ill_and_wordy(self):
                self.send_response(500)
                self.send_header("Content-Length", "5000")
                self.end_headers()
                self.wfile.write(b"x" * 5000)

            def answer_lost_and_wordy(self):
                self.send_response(404)
                self.end_headers()
                self.wfile.write(b"x" * 50000)

            def answer_redirect(self):
                self.send_response(302)
                self.send_header("Location", self.path)
                self.end_headers()

            def answer_moved_and_wordy(self):
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "5000")
                self.end_headers()
                self.wfile.write(b"x" * 5000)

            def answer_huge(self):
                self.send_response(200)
                self.end_headers()
                for _ in range(10 << 4):
                    self.wfile.write(b"x" * 65536)

            def answer_drip(self):
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100000:
                    self.wfile.write(bytes([byte]))
                    if outer.stop.wait(0.02):
                        return

            def answer_endless(self):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not outer.stop.is_set():
                    self.wfile.write(b"X-Filler: " + b"z" * 4096 + b"\r\n")

            def answer_garbage(self):
                self.wfile.write(b"\x00\xff\x1b[2J not http\r\n\r\n")

            def answer_nothing(self):
                pass

            def log_message(self, *_):
                pass

        self.stop = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_asked(self, more):
        """Until so many more questions have come."""
        with self.changed:
            want = self.asked + more
            assert self.changed.wait_for(lambda: self.asked >= want, PATIENCE), "nobody asks"

    def close(self):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()


class Watch:
    """What `maculaos health watch` says, to be waited for."""

    def __init__(self, node):
        self.lines = Background(BIN / "maculaos", "health", "watch", "-o", "json", "--progress", "plain", env=node.env)
        self.lines.wait("^listening")

    def expect(self, **wanted):
        """The next event whose entry has these values."""
        while True:
            event = json.loads(self.lines.wait(r"^\{").string)
            entry = event.get("entry", {})
            if all(entry.get(key) == value for key, value in wanted.items()):
                return event

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()


class HealthCase(unittest.TestCase):
    def setUp(self):
        self.node = Node().start()
        self.addCleanup(lambda: self.node.__exit__(None))
        self.node.cli("health", "check").ok()  # answers when everything has been looked at

    def configure(self, *checks, **sections):
        patch = {"maculaos": {"health": {"checks": list(checks)}, **sections}}
        return self.node.cli("config", "patch", json.dumps(patch))

    def status(self, name=None):
        return self.node.cli("health", "status", *([name] if name else []), "-o", "json").json()

    def check(self, name):
        return self.status(name)["checks"][0]

    def history(self, name=None):
        more = ["--check", name] if name else []
        return self.node.cli("health", "history", *more, "-o", "json").ok().json().get("entries", [])

    def record(self):
        return self.node.read(RECORD).splitlines()

    def server(self):
        server = Server()
        self.addCleanup(server.close)
        return server

    def web(self, server, **more):
        return {"name": "web", "type": "http", "url": f"http://localhost:{server.port}/health", "interval": "100ms",
                "timeout": "2s", "failures": 3, **more}
