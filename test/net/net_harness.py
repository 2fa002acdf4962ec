"""Machines in network namespaces: a switch, a router with DHCP and DNS, and whole nodes with a real netd.

    with Lan() as lan:
        router = lan.router(dhcp=True)
        node = lan.node(config="maculaos: {}")
        node.wait_net(lambda net: net.address("eth0", "dhcp"))

Needs root and the right to make namespaces; `unable()` says why it cannot be had."""
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "node"))
from node_harness import BIN, PATIENCE, SOURCE, Background, Node, Result  # noqa: E402

NUMBERS = itertools.count(1)


def run(*command, check=True, **more):
    process = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    if check and process.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {process.returncode}\n{process.stdout}{process.stderr}")
    return process


def unable():
    """Why these tests cannot run here; None when they can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces are made"
    for tool in ("ip", "busybox", "dnsmasq"):
        if not shutil.which(tool):
            return f"{tool} is not installed (scripts/install-dependencies net)"
    name = f"macula-try-{os.getpid()}"
    made = run("ip", "netns", "add", name, check=False)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    has = run("ip", "-n", name, "link", "add", "t0", "type", "bridge", check=False)
    run("ip", "netns", "del", name)
    return f"the kernel has no bridges: {has.stderr.strip()}" if has.returncode else None


def kernel_has(kind, *more):
    """Whether this kernel makes links of a kind."""
    name = f"macula-try-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "t0", "type", "veth", "peer", "name", "t1")
        return run("ip", "-n", name, "link", "add", *(["link", "t0"] if kind == "vlan" else []), "name", "t2", "type",
                   kind, *more, check=False).returncode == 0
    finally:
        run("ip", "netns", "del", name)


class Namespace:
    """A machine's network."""

    def __init__(self, lan, name):
        self.lan, self.name = lan, name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments, check=True):
        return run("ip", "-n", self.name, *arguments, check=check)

    def exec(self, *command, check=True, **more):
        return run("ip", "netns", "exec", self.name, *command, check=check, **more)

    def background(self, *command, **more):
        return Background("ip", "netns", "exec", self.name, *command, **more)

    def connect(self, host, port):
        """A TCP connection from within; a socket stays in the network that it was made in."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as outside, open(f"/run/netns/{self.name}", "rb") as inside:
            if libc.setns(inside.fileno(), 0) < 0:
                raise OSError(ctypes.get_errno(), f"the network of {self.name} cannot be entered")
            try:
                made = socket.socket()
            finally:
                libc.setns(outside.fileno(), 0)
        made.settimeout(PATIENCE)
        made.connect((host, int(port)))
        return made

    def sysctl(self, key, value):
        self.exec("sh", "-c", f"echo {value} > /proc/sys/net/{key}")

    def reaches(self, address, patience=PATIENCE):
        """Waits until the address answers to ping."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.exec("ping", "-c1", "-W1", address, check=False).returncode == 0:
                return True
        return False

    def addresses(self, interface):
        found = json.loads(self.ip("-j", "addr", "show", "dev", interface).stdout)
        return [f"{a['local']}/{a['prefixlen']}" for link in found for a in link.get("addr_info", [])]

    def delete(self):
        run("ip", "netns", "del", self.name, check=False)


class Net:
    """The answer of net.status, with questions."""

    def __init__(self, status):
        self.status = status

    def link(self, name):
        return next((link for link in self.status.get("links", []) if link["name"] == name), None)

    def address(self, interface, origin=None, begins=""):
        """The first address of the interface of that origin."""
        for address in (self.link(interface) or {}).get("addresses", []):
            if address["address"].startswith(begins) and (origin is None or address.get("origin") == origin):
                return address["address"]
        return None

    def gateway(self, interface=None):
        for route in self.status.get("routes", []):
            if route["to"] == "default" and not route.get("ipv6") and interface in (None, route["interface"]):
                return route.get("via")
        return None

    def notes(self):
        return " / ".join(note["message"] for note in self.status.get("notes", []))


class NetNode(Node):
    """A whole node whose netd changes the network of its namespace."""

    def __init__(self, space, config, env=None, services=("confd", "netd")):
        super().__init__(config=config, env={"MACULA_NETD_KERNEL": "linux", "MACULA_NATS_PORT": "", **(env or {})})
        self.space = space
        units = self.root / "units"  # what concerns the network, and no more
        units.mkdir()
        for name in services:
            shutil.copy(SOURCE / "services" / "units" / f"{name}.yaml", units)
        self.env["MACULA_UNITS"] = str(units)

    def start(self, **env):
        self.runner = Background("ip", "netns", "exec", self.space.name, BIN / "maculaos", "node", "run",
                                 env={**self.env, **env})
        self.url = self.runner.wait(r"node ready: (nats://\S+)").group(1)
        return self

    def cli(self, *arguments, stdin=None, env=None):
        command = ["ip", "netns", "exec", self.space.name, BIN / "maculaos", *arguments]
        process = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace", input=stdin,
                                 env={**self.env, **(env or {})}, timeout=120, check=False)
        return Result(command, process)

    def events(self, pattern=">", count=None):
        more = ["--count", str(count)] if count else []
        watcher = Background("ip", "netns", "exec", self.space.name, BIN / "maculaos", "events", pattern, "-o", "json",
                             "--progress", "plain", *more, env=self.env)
        watcher.wait("^listening")
        return watcher

    def net(self):
        return Net(self.cli("net", "status", "-o", "json").ok().json())

    def wait_net(self, wanted, patience=PATIENCE):
        """The first status for which wanted(net) is true; its result."""
        last = []

        def look():
            answer = self.cli("net", "status", "-o", "json", "--timeout", "5s")  # of a netd that was killed nothing comes
            net = Net(answer.json() if answer.code == 0 else {})  # netd may be starting
            last[:] = [net.status, answer.err]
            return wanted(net)

        found = self.until(look, patience)
        if not found:
            raise AssertionError(f"never so:\n{json.dumps(last[0], indent=1)}\n{last[1]}\n" + "\n".join(self.runner.lines.drain()))
        return found

    def kill_netd(self):
        os.kill(self.pids()["netd"], 9)


class Lan:
    """A switch, and what is plugged into it."""

    def __init__(self):
        self.tag = f"m{os.getpid()}x{next(NUMBERS)}"
        self.stack = contextlib.ExitStack()
        self.switch = self.space("switch")
        self.switch.ip("link", "add", "sw0", "type", "bridge", "forward_delay", "0")
        self.switch.ip("link", "set", "sw0", "up")
        self.nodes, self.cables = 0, {}

    def space(self, name):
        space = Namespace(self, f"{self.tag}-{name}")
        self.stack.callback(space.delete)
        return space

    def plug(self, space, interface, bridge="sw0"):
        """A cable from the interface to the switch; returns the name of the switch's end."""
        end = f"p{next(NUMBERS)}"
        self.switch.ip("link", "add", end, "type", "veth", "peer", "name", interface, "netns", space.name)
        self.switch.ip("link", "set", end, "master", bridge, "up")
        self.cables[space.name, interface] = end
        return end

    def unplug(self, space, interface):
        self.switch.ip("link", "set", self.cables[space.name, interface], "down")

    def replug(self, space, interface):
        self.switch.ip("link", "set", self.cables[space.name, interface], "up")

    def router(self, name="router", network="192.168.77", dhcp=False, bridge="sw0", options=()):
        space = self.space(name)
        self.plug(space, "lan0", bridge)
        space.ip("addr", "add", f"{network}.1/24", "dev", "lan0")
        space.ip("addr", "add", "fd77::1/64", "dev", "lan0", "nodad")
        space.ip("link", "set", "lan0", "up")
        space.network, space.server = network, None
        if dhcp:
            self.dhcp(space, *options)
        return space

    def dhcp(self, router, *options):
        """A server of DHCP and DNS; it ends with the LAN."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="macula-dhcp-"))
        self.stack.callback(shutil.rmtree, directory, ignore_errors=True)
        n = router.network
        router.server = router.background(
            "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--log-dhcp",
            "--interface=lan0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping",
            f"--dhcp-range={n}.50,{n}.99,255.255.255.0,2m", f"--dhcp-leasefile={directory}/leases",
            "--address=/portal.test/192.0.2.7", *options)
        self.stack.callback(router.server.close)
        router.server.wait("started")
        return router.server

    def node(self, config="maculaos: {}\n", interfaces=("eth0",), start=True, env=None, **more):
        self.nodes += 1
        space = self.space(f"node{self.nodes}")
        for interface in interfaces:
            self.plug(space, interface)
        node = NetNode(space, config, env, **more)
        self.stack.callback(node.__exit__, None)
        return node.start() if start else node

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stack.close()


class NetTest(unittest.TestCase):
    """Each test has a LAN of its own."""

    @classmethod
    def setUpClass(cls):
        reason = unable()
        if reason and os.environ.get("CI"):
            raise AssertionError(f"these tests must run in CI: {reason}")
        if reason:
            raise unittest.SkipTest(reason)

    def setUp(self):
        self.lan = Lan()
        self.addCleanup(self.lan.__exit__, None)
