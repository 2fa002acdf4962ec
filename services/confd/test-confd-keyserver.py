#!/usr/bin/env python3
"""A key server for test-confd-apply-ssh: serves what files in the given directory say, on a free port.

GET /NAME answers with DIRECTORY/NAME, its ETag and 304 when the client has it; a file NAME.status holds another status.
Every request is appended to DIRECTORY/requests as "PATH STATUS". With a certificate and key as second and third argument
it speaks https. Prints its port, and ends when standard input does.
"""
import hashlib
import http.server
import os
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = os.path.join(sys.argv[1], os.path.basename(self.path))
        status, body = 404, b""
        if os.path.exists(name + ".status"):
            status = int(open(name + ".status").read())
        elif os.path.exists(name):
            status, body = 200, open(name, "rb").read()
        etag = '"%s"' % hashlib.sha256(body).hexdigest()[:16]
        if status == 200 and self.headers.get("If-None-Match") == etag:
            status, body = 304, b""
        with open(os.path.join(sys.argv[1], "requests"), "a") as log:
            log.write("%s %d\n" % (self.path, status))
        self.send_response(status)
        if status == 200:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
