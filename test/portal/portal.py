#!/usr/bin/env python3
"""A stand-in for the Portal, over real HTTPS: what a node asks to be paired, and the page where somebody authorises it.

    portal.py [--port N] [--state DIR] [--auto SECONDS] [--days N]

Prints "portal ready: URL ca=FILE" and serves until it is ended. Its certificate is signed by a CA of its own, made anew
in DIR (openssl). POST /api/console/pair {pairing_code, node_code, node_id, hostname}; the codes it knows:

    GOOD-…         pairs; a second time for the same node answers the same, for another one 409
    GITOPS-…       pairs, with certificates and GitOps configuration
    EXPIRED-2      410 {"error": …}
    DENIED-22      403
    BROKEN-22      200 and no JSON                 EMPTY-222   200 and {}
    HUGE-2222      200 and 10 MB                   SLOW-2222   answers after a minute
    HANGUP-22      closes the connection           BUSY-…      503 the first time, then pairs
    HTML-2222      200 and names full of HTML      LEAD-2222   307 to a place without TLS

POST /api/console/pair/request and …/poll are the way without a code: GET /authorise?code=NODE_CODE shows the page on
which somebody clicks, POST of it authorises; --auto does so after SECONDS. GET /requests lists what was asked, GET /tokens
what was given (tests)."""
import argparse
import http.server
import json
import pathlib
import secrets
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

OWNER = {"user_name": "Ada Lovelace", "org_identity": "Analytical Engines"}


def make_certificates(folder, days):
    """CA and server certificate; returns (certificate, key, CA)."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    ca, ca_key, key, request, certificate, extensions = (folder / name for name in
                                                         ("ca.pem", "ca.key", "key.pem", "request.pem", "certificate.pem",
                                                          "extensions"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=Test CA of the Portal", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", ca_key, "-out", ca)
    openssl("req", *curve, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.0.2.2,IP:::1\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", days, "-extfile", extensions,
            "-out", certificate)
    return certificate, key, ca


class Portal:
    def __init__(self, auto=None):
        self.lock = threading.Lock()
        self.paired = {}    # pairing code -> node id
        self.tokens = {}    # node id -> refresh token
        self.waiting = {}   # poll token -> {node_code, node_id, hostname, authorised, at}
        self.asked = []
        self.busy = set()
        self.auto = auto

    def credentials(self, node_id, **more):
        token = self.tokens.setdefault(node_id, "refresh-" + secrets.token_urlsafe(24))
        return 200, {**OWNER, "refresh_token": token, **more}

    def pair(self, question):
        code, node_id = str(question.get("pairing_code")), question.get("node_id")
        if code == "EXPIRED-2":
            return 410, {"error": "This pairing code has expired. Ask the Portal for a new one."}
        if code == "DENIED-22":
            return 403, {"error": "Your organisation has no room for another node."}
        if code == "EMPTY-222":
            return 200, {}
        if code == "HTML-2222":
            return 200, {"user_name": "<script>alert(1)</script>\n", "org_identity": "\"><img src=x>", "refresh_token": "refresh-1"}
        if code.startswith("BUSY-") and code not in self.busy:
            self.busy.add(code)
            return 503, {"error": "busy"}
        if not code.startswith(("GOOD-", "GITOPS-", "BUSY-")):
            return 404, {"error": "The Portal does not know this pairing code. Check it, or ask for a new one."}
        if self.paired.setdefault(code, node_id) != node_id:
            return 409, {"error": "This pairing code was used by another node."}
        if code.startswith("GITOPS-"):
            return self.credentials(node_id, certificate="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                                    ca_certificate="-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n",
                                    gitops={"url": "https://git.example.com/plant.git", "branch": "main"})
        return self.credentials(node_id)

    def request(self, question, url):
        token = "poll-" + secrets.token_urlsafe(24)
        self.waiting[token] = {**question, "authorised": False, "at": time.monotonic()}
        return 200, {"poll_token": token, "authorise_url": f"{url}/authorise?code={question.get('node_code')}", "interval": 1,
                     "expires_in": 120}

    def poll(self, question):
        waiting = self.waiting.get(question.get("poll_token"))
        if not waiting:
            return 404, {"error": "The Portal does not know this request; begin again."}
        if waiting["authorised"] or (self.auto is not None and time.monotonic() > waiting["at"] + self.auto):
            return self.credentials(waiting["node_id"])
        return 202, {"status": "pending"}

    def authorise(self, code):
        found = [waiting for waiting in self.waiting.values() if waiting.get("node_code") == code]
        for waiting in found:
            waiting["authorised"] = True
        return bool(found)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    portal = None
    url = ""

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json", more=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if kind == "application/json" else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def odd(self, code):
        """Answers that a good server does not give; whether it did."""
        if code == "BROKEN-22":
            self.answer(200, b"<html>It works!")
        elif code == "HUGE-2222":
            self.answer(200, b'{"user_name": "' + b"x" * (10 << 20) + b'"}')
        elif code == "LEAD-2222":
            self.answer(307, b"", more={"Location": "http://localhost:9/api/console/pair"})
        elif code == "SLOW-2222":
            time.sleep(60)
        elif code == "HANGUP-22":
            self.close_connection = True
        else:
            return False
        return True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlsplit(self.path).path
        portal = self.portal
        if path == "/authorise":
            code = urllib.parse.parse_qs(body.decode()).get("code", [""])[0]
            known = portal.authorise(code)
            self.answer(200 if known else 404, "<h1>Authorised</h1>" if known else "<h1>Unknown</h1>", "text/html")
            return
        question = json.loads(body)
        with portal.lock:
            portal.asked.append({"path": path, **question})
        if self.odd(question.get("pairing_code")):
            return
        with portal.lock:
            if path == "/api/console/pair":
                self.answer(*portal.pair(question))
            elif path == "/api/console/pair/request":
                self.answer(*portal.request(question, self.url))
            elif path == "/api/console/pair/poll":
                self.answer(*portal.poll(question))
            else:
                self.answer(404, {"error": "unknown path"})

    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        if address.path == "/requests":
            self.answer(200, self.portal.asked)
        elif address.path == "/tokens":
            self.answer(200, self.portal.tokens)
        elif address.path == "/authorise":
            code = urllib.parse.parse_qs(address.query).get("code", [""])[0]
            safe = "".join(letter for letter in code if letter.isalnum() or letter == "-")
            self.answer(200, f"""<!DOCTYPE html><html lang="en"><title>Authorise a node</title><h1>Authorise the node {safe}?</h1>
                <form method="post"><input type="hidden" name="code" value="{safe}"><button>Authorise</button></form>""", "text/html")
        else:
            self.answer(200, "<!DOCTYPE html><title>Portal</title><h1>Portal (a stand-in)</h1>", "text/html")


def serve(port, folder, auto, days):
    certificate, key, ca = make_certificates(folder, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    Handler.portal = Portal(auto)
    Handler.url = f"https://localhost:{server.server_address[1]}"
    print(f"portal ready: {Handler.url} ca={ca}", flush=True)
    server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=pathlib.Path)
    parser.add_argument("--auto", type=float)
    parser.add_argument("--days", type=int, default=2)
    options = parser.parse_args()
    if options.state:
        options.state.mkdir(parents=True, exist_ok=True)
        serve(options.port, options.state, options.auto, options.days)
    else:
        with tempfile.TemporaryDirectory() as folder:
            serve(options.port, pathlib.Path(folder), options.auto, options.days)


if __name__ == "__main__":
    main()
