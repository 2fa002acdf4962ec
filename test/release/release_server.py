#!/usr/bin/env python3
"""A server of releases that can misbehave as servers and networks do.

    with ReleaseServer(directory) as server:
        server.fault("*.slot", cut=100000)         # ends the connection after so many bytes, once
        url = server.url

By hand: test/release/release_server.py DIRECTORY [--port N]: serves DIRECTORY, and the
part of GitHub's API that the upgrader asks, each subdirectory vX.Y.Z of DIRECTORY being a release there."""
import argparse
import fnmatch
import http.server
import json
import pathlib
import re
import socket
import ssl
import struct
import threading
import urllib.parse


class Fault:
    """What is to happen to requests for files of this name (or path, if the pattern has a slash). times None: always."""

    def __init__(self, pattern, times=1, **what):
        self.pattern, self.times, self.what = pattern, times, what

    def take(self, path):
        name = path.rsplit("/", 1)[-1]
        if not fnmatch.fnmatch(path if "/" in self.pattern else name, self.pattern) or self.times == 0:
            return None
        if self.times:
            self.times -= 1
        return self.what


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        owner = self.server.owner
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        first, last = self._range()
        with owner.lock:
            what = next((w for w in (fault.take(path) for fault in owner.faults) if w is not None), {})
            owner.requests.append((path, self.headers.get("Range")))
            if self.headers.get("Authorization"):
                owner.authorized.add(path)
        try:
            if path.startswith("/repos/"):
                self._github(owner, urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query))
            else:
                self._file(owner, path, first, last, what)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET

    def _range(self):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        return (int(match.group(1)), int(match.group(2)) if match.group(2) else None) if match else (None, None)

    def _plain(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _github(self, owner, query):
        releases = list(owner.first_releases)
        for directory in sorted(owner.directory.glob("v*")):
            names = sorted(p.name for p in directory.iterdir())
            base = f"{owner.url}download/{directory.name}"
            releases.append({"tag_name": directory.name, "draft": False, "prerelease": "-" in directory.name,
                             "assets": [{"name": n, "browser_download_url": f"{owner.url}{directory.name}/{n}"} for n in names],
                             "html_url": base})
        size, page = min(int(query.get("per_page", ["30"])[0]), 100), int(query.get("page", ["1"])[0])
        self._plain(200, json.dumps(releases[(page - 1) * size:page * size]).encode(), Content_Type="application/json")

    def _file(self, owner, path, first, last, what):
        if "status" in what:
            self._plain(what["status"], b"no")
            return
        if "part_status" in what and first is not None:
            self._plain(what["part_status"], b"no")
            return
        if "redirect" in what:
            self._plain(302, b"", Location=what["redirect"] or self.path)
            return
        file = owner.directory / path.lstrip("/")
        if ".." in path or not file.is_file():
            self._plain(owner.missing, b"not found")
            return
        size = file.stat().st_size
        begin, end = first or 0, size if last is None else min(last + 1, size)
        if first is not None and not owner.ranges:
            first, begin, end = None, 0, size
        length = end - begin + what.get("longer", 0)
        self.send_response(206 if first is not None else 200)
        if first is not None:
            said = what.get("range", f"bytes {begin}-{end - 1}/{size}")
            self.send_header("Content-Range", said)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self._body(owner, file, begin, end, what)

    def _body(self, owner, file, begin, end, what):
        sent, cut = 0, what.get("cut")
        with open(file, "rb") as stream:
            stream.seek(begin)
            while begin + sent < end:
                piece = stream.read(min(1 << 16, end - begin - sent))
                if what.get("change") is not None and begin + sent + len(piece) > what["change"]:
                    piece = bytes(len(piece))
                if cut is not None and sent + len(piece) >= cut:
                    self.wfile.write(piece[:cut - sent])
                    self.wfile.flush()
                    owner.reached.set()
                    if "stall" in what:
                        owner.released.wait(what["stall"])
                    self.close_connection = True
                    return
                self.wfile.write(piece)
                sent += len(piece)
        self.wfile.write(b"\0" * what.get("longer", 0))


class Server(http.server.ThreadingHTTPServer):
    secure = None  # the context of TLS

    def finish_request(self, request, client_address):
        """In the connection's own thread; the handshake, too."""
        with self.owner.lock:
            self.owner.connections += 1
            reset = self.owner.resets > 0
            self.owner.resets -= reset
        if reset:
            request.recv(1 << 16)  # the client's first words
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
            return
        if not self.secure:
            super().finish_request(request, client_address)
            return
        with self.secure.wrap_socket(request, server_side=True) as channel:
            super().finish_request(channel, client_address)

    def handle_error(self, request, client_address):
        """Clients that hang up are what is tested."""


class ReleaseServer:
    def __init__(self, directory, port=0, certificate=None):
        self.directory = pathlib.Path(directory)
        self.faults, self.requests, self.ranges = [], [], True
        self.authorized = set()  # paths that somebody with a name and password asked for
        self.connections, self.resets = 0, 0  # those that came; of the next ones, so many are reset after the client's first words
        self.missing = 404  # what is answered for files that are not there; 403, as object stores do
        self.first_releases = []  # what GitHub's API lists before the directories
        self.lock, self.reached, self.released = threading.Lock(), threading.Event(), threading.Event()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.owner = self
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.secure = context
            scheme = "https"
        self.port = self.server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def fault(self, pattern, times=1, **what):
        """status=N · part_status=N (when a part is asked for) · redirect=URL (None: to itself) · cut=BYTES [stall=SECONDS, None: until heal()] · longer=BYTES · range=TEXT · change=BYTE"""
        with self.lock:
            self.faults.append(Fault(pattern, times, **what))

    def heal(self):
        with self.lock:
            self.faults.clear()
        self.released.set()

    def asked_for(self, pattern):
        with self.lock:
            return [r for r in self.requests if fnmatch.fnmatch(r[0].rsplit("/", 1)[-1], pattern)]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def main():
    parser = argparse.ArgumentParser(description="serves releases")
    parser.add_argument("directory")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    with ReleaseServer(arguments.directory, arguments.port) as server:
        print(f"serving {arguments.directory} on {server.url} (Ctrl-C ends)", flush=True)
        try:
            server.thread.join()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
