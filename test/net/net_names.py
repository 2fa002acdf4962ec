"""mDNS for machines in namespaces: real D-Bus and avahi daemons of their own, and a machine that says what it likes.

    names = Names(node.space, node.root)
    node = lan.node(config, start=False); node.env.update(names.env)
    names.start("edge-1")"""
import contextlib
import os
import pathlib
import shutil
import signal
import struct

from net_harness import Background

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="false"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""
AVAHI = """[server]
host-name={host}
use-ipv4=yes
use-ipv6=yes
ratelimit-interval-usec=1000000
ratelimit-burst=1000
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
"""
SERVICE = """<?xml version="1.0" standalone='no'?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>{name}</name><service><type>_macula._tcp</type><port>4222</port>
<txt-record>version=1.2.3</txt-record><txt-record>realm=site</txt-record></service></service-group>
"""


def unable_names():
    for tool in ("dbus-daemon", "avahi-daemon"):
        if not shutil.which(tool):
            return f"{tool} is not installed (scripts/install-dependencies net)"
    return None


class Names:
    """D-Bus and avahi-daemon of one machine. Service files are those of root/etc/avahi/services."""

    def __init__(self, space, root):
        self.space, self.root = space, pathlib.Path(root)
        self.socket = self.root / "bus.socket"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.socket}"}
        self.services = self.root / "etc/avahi/services"
        self.services.mkdir(parents=True, exist_ok=True)
        self.bus = self.avahi = None
        space.lan.stack.callback(self.close)

    def start(self, host):
        self.start_bus()
        self.start_avahi(host)
        return self

    def start_bus(self):
        configuration = self.root / "bus.conf"
        configuration.write_text(BUS.format(path=self.socket))
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()
        self.bus = Background("dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1")
        self.bus.wait("unix:path")

    def start_avahi(self, host):
        configuration = self.root / "avahi.conf"
        configuration.write_text(AVAHI.format(host=host))
        self.avahi = self.space.background(
            "sh", "-c", 'mount -t tmpfs tmpfs /run && mount --bind "$0" /etc/avahi/services && exec "$@"', self.services,
            "avahi-daemon", "--file", configuration, "--no-chroot", "--no-drop-root", "--no-rlimits", "--debug",
            env={**os.environ, **self.env})
        self.avahi.wait("Server startup complete")

    def announce(self, name):
        """One more node, by its announcement alone."""
        (self.services / f"{name}.service").write_text(SERVICE.format(name=name))

    def stop_avahi(self, number=signal.SIGTERM):
        if self.avahi:
            self.avahi.stop(number)
            self.avahi.close()
        self.avahi = None

    def stop_bus(self):
        if self.bus:
            self.bus.stop()
            self.bus.close()
        self.bus = None

    def close(self):
        for daemon in (self.avahi, self.bus):
            if daemon:
                daemon.close()


# ---- a machine that says what it likes ----

def _name(*labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _record(name, kind, data, ttl, flush=True):
    return name + struct.pack("!HHIH", kind, 0x8001 if flush else 1, ttl, len(data)) + data


def announcement(service, host, address, txt, ttl=120, ptr_ttl=4500):
    """An mDNS answer that nobody asked for: PTR, SRV, TXT and A of a service. service and host are bytes."""
    kind = _name(b"_macula", b"_tcp", b"local")
    full = bytes([len(service)]) + service + kind
    target = _name(host, b"local")
    rdata = b"".join(bytes([len(text)]) + text for text in txt) or b"\0"
    records = [_record(kind, 12, full, ptr_ttl, flush=False), _record(full, 33, struct.pack("!HHH", 0, 0, 4222) + target, ttl),
               _record(full, 16, rdata, ttl), _record(target, 1, bytes(map(int, address.split("."))), ttl)]
    return struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)


SPEAKER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
s.bind(("", 5353))
for line in sys.stdin:
    s.sendto(bytes.fromhex(line.strip()), ("224.0.0.251", 5353))
"""


def say(space, address, *packets):
    """Sends mDNS packets from that address of the namespace."""
    space.exec("python3", "-c", SPEAKER, address, input="\n".join(packet.hex() for packet in packets))
