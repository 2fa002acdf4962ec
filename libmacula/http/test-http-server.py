"""The server of test-http.c: one path for each behaviour. Prints its port; lives as long as its standard input.

Usage: test-http-server.py [CERTIFICATE KEY]   (with them: TLS)
"""
import http.server
import re
import socket
import ssl
import struct
import sys
import threading
import urllib.parse

over = threading.Event()
seen = {}
handshakes = []  # what becomes of the next ones after the client's first words: "reset", "end", "old" (an alert)
begun = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def endless(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while not over.is_set():
            self.wfile.write(b"x" * 65536)

    def cut_short(self):
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"ten bytes.")
        self.close_connection = True

    def part(self, kind, first, last):
        """Of a hundred bytes."""
        said = {"honest": f"bytes {first}-{last}/100", "other": "bytes 0-9/100", "shorter": f"bytes {first}-{last - 1}/100",
                "total": f"bytes {first}-{last}/99", "garbage": "all of them"}.get(kind)
        if kind == "all":
            self.answer(200, b"x" * 100)
        elif kind == "beyond":
            self.answer(416, b"no such bytes", Content_Range="bytes */100")
        elif said:
            self.answer(206, b"x" * (last + 1 - first), Content_Range=said)
        else:
            self.answer(206, b"x" * (last + 1 - first))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        seen[url.path] = seen.get(url.path, 0) + 1
        name, _, rest = url.path[1:].partition("/")
        if name == "ok":
            if self.headers.get("If-None-Match") == '"v1"':
                self.answer(304, ETag='"v1"')
            else:
                self.answer(200, b"hello", etag=' "v1" ')
        elif name == "headers":
            self.answer(200, str(self.headers).encode())
        elif name == "hops":
            self.answer(302, b"moved", Location=f"/hops/{int(rest) - 1}" if int(rest) > 1 else "/ok")
        elif name == "to":
            self.answer(302, Location=urllib.parse.unquote(url.query))
        elif name == "nowhere":
            self.answer(302)
        elif name == "status":
            self.answer(int(rest), b"an explanation in HTML")
        elif name == "too-often":  # too-often/HEADER/VALUE
            self.answer(403, b"no", **dict([rest.split("/")]))
        elif name == "flaky":  # flaky/N...: N failures, then an answer
            self.answer(*(503,) if seen[url.path] <= int(rest[0]) else (200, b"at last"))
        elif name == "broken-once" and seen[url.path] > 1:
            self.answer(200, b"whole")
        elif name in ("broken", "broken-once"):
            self.cut_short()
        elif name == "part":
            self.part(rest, *map(int, re.findall(r"\d+", self.headers["Range"])))
        elif name == "handshakes":  # handshakes/reset/N: of the next N connections; this one ends
            kind, times = rest.split("/")
            handshakes.extend([kind] * int(times))
            self.close_connection = True
            self.answer(200, b"armed")
        elif name == "begun":
            self.answer(200, str(begun).encode())
        elif name == "count":
            self.answer(200, str(seen.get("/" + rest, 0)).encode())
        elif name == "size":
            self.answer(200, b"s" * int(rest))
        elif name == "endless":
            self.endless()
        elif name == "announced":
            self.send_response(200)
            self.send_header("Content-Length", "1000000000000")
            self.end_headers()
            self.close_connection = True
        elif name == "stall":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            over.wait()
        elif name == "bad-etag":
            self.answer(200, b"hello", etag='"a\x01b"')
        elif name == "long-etag":
            self.answer(200, etag='"' + "x" * 1000 + '"')
        else:
            self.answer(404)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    secure = None

    def handle_error(self, request, client_address):
        pass

    def finish_request(self, request, client_address):
        """In the connection's own thread: one that is slow to greet keeps nobody else waiting."""
        global begun
        begun += 1
        if self.secure and handshakes:
            kind = handshakes.pop(0)
            request.recv(1 << 16)
            if kind == "reset":
                request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind == "old":
                request.sendall(bytes.fromhex("15 0303 0002 02 46"))  # fatal: protocol_version
            request.close()
            return
        if not self.secure:
            super().finish_request(request, client_address)
            return
        with self.secure.wrap_socket(request, server_side=True) as channel:
            super().finish_request(channel, client_address)


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.secure = context
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
over.set()
