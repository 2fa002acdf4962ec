"""The server of test-http.c: one path for each behaviour. Prints its port; lives as long as its standard input.

Usage: test-http-server.py [CERTIFICATE KEY]   (with them: TLS)
"""
import http.server
import ssl
import sys
import threading
import urllib.parse

over = threading.Event()
seen = {}


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
        elif name == "flaky":  # flaky/N...: N failures, then an answer
            self.answer(*(503,) if seen[url.path] <= int(rest[0]) else (200, b"at last"))
        elif name == "broken-once" and seen[url.path] > 1:
            self.answer(200, b"whole")
        elif name in ("broken", "broken-once"):
            self.cut_short()
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
        elif name == "long-etag":
            self.answer(200, etag='"' + "x" * 1000 + '"')
        else:
            self.answer(404)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
over.set()
