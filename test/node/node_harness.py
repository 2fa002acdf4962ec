"""Drives a whole node as a person would: real binaries, a real nats-server, a root directory of its own.

    with Node() as node:
        node.cli("config", "set", "hostname", "edge-7").ok()
        node.expect_event("config.changed")

Every wait is for an event (a line of output, a file, an answer) and bounded; nothing sleeps."""
import contextlib
import fcntl
import json
import os
import pathlib
import queue
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("MACULA_BIN_DIR", SOURCE / "build" / "bin"))
# Built with a sanitizer: it wants to be the first library, and its own memory says nothing about ours. (Tests of an image
# take parts of this file where nothing is built.)
SANITIZED = (BIN / "confd").exists() and any(name in (BIN / "confd").read_bytes() for name in (b"__asan_init", b"__tsan_init"))
PATIENCE = float(os.environ.get("MACULA_TEST_PATIENCE", "30"))  # upper bound of every wait, not a measurement


class Result:
    def __init__(self, command, process):
        self.command, self.code = command, process.returncode
        self.out, self.err = process.stdout, process.stderr

    def ok(self):
        return self.exits(0)

    def exits(self, code):
        if self.code != code:
            raise AssertionError(f"{' '.join(map(str, self.command))}: exit code {self.code}, expected {code}\n"
                                 f"{self.out}\n{self.err}")
        return self

    def json(self):
        return json.loads(self.out)


class Lines:
    """The lines a process prints, to be waited for."""

    def __init__(self, stream):
        self.seen, self._queue, self._stream = [], queue.Queue(), stream
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait(self, pattern, patience=PATIENCE):
        """The first line not yet taken that matches; AssertionError when the process ends or patience does."""
        while True:
            try:
                line = self._queue.get(timeout=patience)
            except queue.Empty:
                raise AssertionError(f"no line like {pattern!r}; seen:\n" + "\n".join(self.seen)) from None
            if line is None:
                self._queue.put(None)
                raise AssertionError(f"ended without a line like {pattern!r}; seen:\n" + "\n".join(self.seen))
            self.seen.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def wait_once(self, pattern, patience=PATIENCE):
        """As wait, for a line that may have been taken already: one that comes in its own time while others are awaited."""
        for line in self.seen:
            match = re.search(pattern, line)
            if match:
                return match
        return self.wait(pattern, patience)

    def close(self):
        self._thread.join(PATIENCE)
        self._stream.close()

    def drain(self):
        while True:
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return self.seen
            if line is None:
                self._queue.put(None)
                return self.seen
            self.seen.append(line)


class Background:
    """A program that runs beside the test and whose lines are waited for."""

    def __init__(self, *command, env=None, cwd=None):
        self.process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace", env=env, cwd=cwd)
        self.lines = Lines(self.process.stdout)

    def wait(self, pattern, patience=PATIENCE):
        return self.lines.wait(pattern, patience)

    def wait_once(self, pattern, patience=PATIENCE):
        return self.lines.wait_once(pattern, patience)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.process.args[0]} did not end on signal {number}; seen:\n"
                                 + "\n".join(self.lines.drain())) from None

    def __enter__(self):
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.lines.close()

    def __exit__(self, *_):
        self.close()


def reserve_port():
    """A port that no other test takes as long as this process lives, also while nothing listens there: (number, what holds it).

    A node that finds its default port taken chooses a free one; the next node that looks takes the default port as soon as the server
    of the first one is away. So tests give each node its own, below those that the kernel gives to connections."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"macula-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for port in range(30222, 32700):
        holder = open(folder / str(port), "w", encoding="ascii")  # noqa: SIM115 # given to the caller
        with contextlib.suppress(OSError), socket.socket() as probe:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port, holder
        holder.close()
    raise AssertionError(f"no port is free; see {folder}")


class Node:
    """A node under a root directory of its own, on a port of its own; MACULA_NATS_PORT in `env` says another, "" that the node
    chooses."""

    def __init__(self, root=None, config=None, env=None):
        self._own = root is None
        self.root = pathlib.Path(root or tempfile.mkdtemp(prefix="macula-test-"))
        self.env = {**os.environ, **(env or {}), "MACULA_ROOT": str(self.root), "NO_COLOR": "1",
                    "XDG_STATE_HOME": str(self.root / ".state")}
        for name in ("MACULA_NATS_PORT", "MACULA_SERVER", "NOTIFY_SOCKET"):
            if name not in (env or {}):
                self.env.pop(name, None)
        self.runner = self.url = self._changes = None
        self.port = self._port_holder = None
        if "MACULA_NATS_PORT" not in (env or {}):
            self.port, self._port_holder = reserve_port()
        if config is not None:
            self.write("/var/lib/maculaos/config.yaml", config)

    # ---- life ----
    def start(self, **env):
        port = {"MACULA_NATS_PORT": str(self.port)} if self.port else {}
        self.runner = Background(BIN / "maculaos", "node", "run", env={**self.env, **port, **env})
        # Ready, or the first sign that it will never be. Not that the bus refuses somebody: that may be a service of another
        # node beside this one, which looks for its own server at this port.
        found = self.runner.wait(r"node ready: (nats://\S+)|node cannot start|node is not ready|cannot be started")
        if not found.group(1):
            seen = "\n".join(self.runner.lines.drain())
            runner, self.runner = self.runner, None
            runner.close()
            raise AssertionError(f"the node does not get ready: {found.string}\n{seen}")
        self.url = found.group(1)
        return self

    def stop(self, number=signal.SIGTERM):
        runner, self.runner = self.runner, None
        if not runner:
            return None
        try:
            return runner.stop(number)
        finally:
            runner.close()

    def kill_service(self, name):
        """SIGKILL to one, until it has ended: what it had open is closed then. One that is on its way there still has its
        connection, and a request that it is sent would have no answer."""
        process = os.pidfd_open(self.pids()[name])
        signal.pidfd_send_signal(process, signal.SIGKILL)
        ended = select.poll()
        ended.register(process, select.POLLIN)
        ended.poll(PATIENCE * 1000)
        os.close(process)

    def kill(self):
        """What a power cut does to the processes: SIGKILL, to all of them at once."""
        for pid in [*self.pids().values(), self.runner.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.runner.close()
        self.runner = None

    def __enter__(self):
        return self.start() if self.runner is None else self

    def __exit__(self, kind, *_):
        if kind and self.runner:
            print("\n".join(self.runner.lines.drain()[-80:]))
        try:
            if self._changes:
                self._changes.close()
            if self.runner:
                self.stop()
        finally:
            if self._own:
                shutil.rmtree(self.root, ignore_errors=True)
            if self._port_holder:
                self._port_holder.close()

    def pids(self):
        status = self.cli("services", "processes", "-o", "json").ok().json()
        return {unit["name"]: unit["pid"] for unit in status["units"] if unit.get("pid")}

    def until(self, look, patience=PATIENCE):
        """Looks whenever the node tells of something, until look() has a result that counts; None after `patience`.

        Not everything that can be looked at has an event of its own: a second without any is followed by a look, too."""
        end = time.monotonic() + patience
        while True:
            found = look()
            if found or time.monotonic() > end:
                return found
            if not self._changes or self._changes.process.poll() is not None:  # the first, or the node was restarted
                if self._changes:
                    self._changes.close()
                self._changes = None
                with contextlib.suppress(AssertionError):  # the bus may be on its way
                    self._changes = self.events(">")
                continue
            with contextlib.suppress(AssertionError):
                self._changes.wait("", 1)
            self._changes.lines.drain()

    # ---- files ----
    def path(self, name):
        return self.root / name.lstrip("/")

    def write(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name):
        return self.path(name).read_text()

    # ---- talking to it ----
    def cli(self, *arguments, stdin=None, env=None):
        command = [BIN / "maculaos", *arguments]
        process = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace", input=stdin,
                                 env={**self.env, **(env or {})}, timeout=120, check=False)
        return Result(command, process)

    def anonymous(self, *arguments, **more):
        """The same command line as somebody who cannot read the admin key."""
        return self.cli(*arguments, "--root", "/nonexistent", "--server", self.url, **more)

    def get(self, path):
        return json.loads(self.cli("config", "get", path, "-o", "json").ok().out)

    def generation(self):
        return int(self.cli("config", "status", "-o", "json").ok().json()["generation"])

    def events(self, pattern=">", count=None):
        more = ["--count", str(count)] if count else []
        watcher = Background(BIN / "maculaos", "events", pattern, "-o", "json", "--progress", "plain", *more, env=self.env)
        watcher.wait("^listening")
        return watcher


class NodeCase(unittest.TestCase):
    """Tests that share one node."""
    CONFIG = None

    @classmethod
    def setUpClass(cls):
        cls.node = Node(config=cls.CONFIG).start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None)


class RawClient:
    """The NATS protocol by hand: what hostile and careless clients do."""

    def __init__(self, url, options=None):
        host, port = re.match(r"nats://([^:]+):(\d+)", url).groups()
        self.requests = 0
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")
        self.info = json.loads(self.file.readline().split(b" ", 1)[1])
        self.send("CONNECT " + json.dumps({"verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                                           "name": "raw", "lang": "raw", "version": "0", "protocol": 1,
                                           **(options(self.info) if callable(options) else options or {})}))
        self.ping()

    def send(self, line, payload=None):
        data = line.encode() + b"\r\n"
        if payload is not None:
            data += (payload if isinstance(payload, bytes) else payload.encode()) + b"\r\n"
        self.socket.sendall(data)

    def publish(self, subject, payload=b"", reply=""):
        payload = payload if isinstance(payload, bytes) else payload.encode()
        self.send(f"PUB {subject} {reply + ' ' if reply else ''}{len(payload)}", payload)

    def subscribe(self, subject, sid):
        self.send(f"SUB {subject} {sid}")

    def next(self):
        """The next thing the server says: (kind, words, headers, payload)."""
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("the server closed the connection")
            words = line.split()
            kind = words[0].upper()
            if kind == b"PING":
                self.send("PONG")
                continue
            if kind == b"MSG":
                payload = self.file.read(int(words[-1]) + 2)[:-2]
                return "MSG", [w.decode() for w in words[1:]], b"", payload
            if kind == b"HMSG":
                headers, total = int(words[-2]), int(words[-1])
                data = self.file.read(total + 2)[:-2]
                return "MSG", [w.decode() for w in words[1:]], data[:headers], data[headers:]
            return kind.decode(), [w.decode() for w in words[1:]], b"", line

    def ping(self):
        """Waits until the server has taken everything; returns what it said meanwhile."""
        self.send("PING")
        said = []
        while True:
            item = self.next()
            if item[0] == "PONG":
                return said
            said.append(item)

    def request(self, subject, payload=b"", reply=None):
        """One request; (headers, payload) of the answer, or ("-ERR", text) when the server refuses it."""
        inbox = reply or f"_INBOX.raw{id(self)}.{os.urandom(4).hex()}"
        self.requests += 1
        if reply is None:
            self.subscribe(inbox, f"request{self.requests}")
        self.publish(subject, payload, inbox)
        while True:
            kind, _, headers, data = self.next()
            if kind == "MSG":
                return headers, data
            if kind == "-ERR":
                return "-ERR", data.decode()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
