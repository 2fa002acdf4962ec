"""A machine: one QEMU process a boot, under software emulation, with its disks, console, control socket and network.

    machine = Machine(folder, disks=[Drive(disk)], firmware="ovmf")
    machine.start()
    machine.console.log_in()
    machine.power_cut()

Every boot is a process of its own (a reset ends it), so that a test sees each reboot and decides what the next one finds. Machines run
one at a time, also those of other test runs: they are slow enough alone."""
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from os_console import PATIENCE, Console
from os_qmp import Qmp

ROM = {"ovmf": [("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
                ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd")]}
BUSES = {"virtio": "virtio-blk-pci", "ide": "ide-hd", "nvme": "nvme", "usb": "usb-storage", "raid": "scsi-hd", "cd": "ide-cd"}


def cache_directory():
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    directory = pathlib.Path(os.environ.get("MACULA_CACHE") or pathlib.Path(home) / "maculaos")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def lock_file():
    return pathlib.Path(os.environ.get("MACULA_QEMU_LOCK") or cache_directory() / "qemu.lock")


def one_at_a_time():
    """Waits until no other machine runs; the file that it returns keeps others waiting until it is closed.

    Who waits stands at the gate meanwhile, so that a run of many boots lets the other in between two of them."""
    lock = lock_file().open("a")
    with lock_file().with_name(lock_file().name + ".gate").open("a") as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another machine ({lock_file()})", file=sys.stderr, flush=True)
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


@contextlib.contextmanager
def turn():
    """One turn for several short boots: those within wait for nobody."""
    with one_at_a_time():
        Machine.has_turn = True
        try:
            yield
        finally:
            Machine.has_turn = False


def missing_tools():
    """Which programs and files of the group `os` are not here."""
    programs = ["qemu-system-x86_64", "veritysetup", "mksquashfs", "qemu-img", "mcopy", "debugfs", "e2fsck", "unsquashfs", "openssl"]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = [name for name in programs if not shutil.which(name, path=path)]
    if not any(pathlib.Path(code).exists() for code, _ in ROM["ovmf"]):
        found.append("OVMF")
    return found


def free_ports(count):
    """Ports that nobody uses now, each another."""
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return found


@dataclasses.dataclass
class Drive:
    """How a disk is attached. `record` is a file that takes every write (see os_powercut)."""
    path: pathlib.Path
    bus: str = "virtio"
    format: str = "raw"
    read_only: bool = False
    record: pathlib.Path | None = None


class Machine:
    """`board`: pc (i440fx) or q35; `firmware`: seabios or ovmf; `options`: more words for QEMU's command line;
    `outside`: it reaches this host and what lies behind it; `port`: of its only serial line, 0 is ttyS0; `resets`: a reset starts it anew in the same process, with what its memory
    and its devices keep, as on a real machine, and does not end the boot."""

    has_turn = False  # of the whole run, see turn()

    def __init__(self, folder, drives=(), board="pc", firmware="seabios", memory=512, watchdog=False, network=True, options=(),
                 outside=False, resets=False, port=0):
        self.folder = pathlib.Path(folder)
        self.drives, self.board, self.firmware, self.memory = list(drives), board, firmware, memory
        self.watchdog, self.network, self.options, self.outside = watchdog, network, list(options), outside
        self.resets, self.port = resets, port
        self.ports, self.boots = {}, 0
        self.keeps_turn = False  # other machines wait also while this one is between two boots
        self.process = self.console = self.qmp = self._lock = None
        self.log = self.folder / "serial.log"
        self._sockets = None  # in a folder of their own: the names of sockets have to be short

    # ---- the command line ----
    def _firmware_words(self):
        if self.firmware == "seabios":
            return []
        code, variables = next(pair for pair in ROM[self.firmware] if pathlib.Path(pair[0]).exists())
        own = self.folder / "firmware-variables.fd"
        if not own.exists():
            shutil.copyfile(variables, own)
        return ["-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive", f"if=pflash,format=raw,file={own}"]

    def _drive_words(self, number, drive):
        # The host's cache outlives a QEMU that is killed, so the guest's flushes need not wait for the host's disk.
        name, mode = f"disk{number}", "on" if drive.read_only or drive.bus == "cd" else "off"
        words = ["-blockdev", f"driver=file,node-name={name}-file,filename={drive.path},read-only={mode},"
                              "cache.no-flush=on,discard=unmap"]
        top = f"driver={drive.format},node-name={name}-format,file={name}-file,read-only={mode},cache.no-flush=on,discard=unmap"
        words += ["-blockdev", top]
        if drive.record:
            # No discards: QEMU's log of writes does not hold them.
            drive.record.touch()
            words += ["-blockdev", f"driver=file,node-name={name}-log,filename={drive.record},cache.no-flush=on",
                      "-blockdev", f"driver=blklogwrites,node-name={name}-record,file={name}-format,log={name}-log,log-sector-size=512"]
        more = {"nvme": f",serial={name}", "ide": f",serial={name}", "virtio": f",serial={name}"}.get(drive.bus, "")
        node = f"{name}-record" if drive.record else f"{name}-format"
        return words + ["-device", f"{BUSES[drive.bus]},drive={node},bootindex={number + 1}{more}"]

    def _network_words(self):
        if not self.network:
            return ["-nic", "none"]
        guest = {"ssh": 22, "bus": 4222, "web": 80}
        self.ports = dict(zip(guest, free_ports(len(guest)), strict=True))
        # restrict: the guest reaches nothing outside; the forwarded ports still work. Else this host's loopback is 10.0.2.2.
        forwards = ",".join(f"hostfwd=tcp:127.0.0.1:{self.ports[name]}-:{guest[name]}" for name in self.ports)
        restrict = "off" if self.outside else "on"
        return ["-netdev", f"user,id=net,restrict={restrict},{forwards}", "-device", "virtio-net-pci,netdev=net,romfile="]

    def command(self):
        words = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", self.board, "-m", str(self.memory),
                 "-smp", "2", *([] if self.resets else ["-no-reboot"]), "-nodefaults", "-display", "none", "-vga", "std", "-no-user-config",
                 "-device", "virtio-rng-pci",
                 "-chardev", f"socket,id=serial,path={self._sockets}/serial,logfile={self.log},logappend=on",
                 "-device", f"isa-serial,chardev=serial,index={self.port}",
                 "-chardev", f"socket,id=control,path={self._sockets}/control", "-mon", "chardev=control,mode=control"]
        if any(drive.bus == "usb" for drive in self.drives):
            words += ["-device", "qemu-xhci"]
        if any(drive.bus == "raid" for drive in self.drives):
            words += ["-device", "megasas-gen2"]  # its bus of disks is the only one of that kind
        if self.watchdog:
            words += ["-device", "i6300esb", "-action", "watchdog=reset"]
        words += self._firmware_words() + self._network_words()
        for number, drive in enumerate(self.drives):
            words += self._drive_words(number, drive)
        return words + self.options

    # ---- life ----
    def start(self):
        """Switches it on; returns itself. Waits while another machine runs."""
        assert not self.process, "it is running"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock or (None if Machine.has_turn else one_at_a_time())
        self.boots += 1
        with self.log.open("ab") as log:
            log.write(f"\n==== boot {self.boots} ====\n".encode())
        listeners = {}
        self._sockets = pathlib.Path(tempfile.mkdtemp(prefix="macula-vm-"))
        for name in ("serial", "control"):
            path = self._sockets / name
            listeners[name] = socket.socket(socket.AF_UNIX)
            listeners[name].bind(str(path))
            listeners[name].listen(1)
            listeners[name].settimeout(60 * PATIENCE)
        words = self.command()
        (self.folder / "command").write_text(" ".join(words) + "\n")
        with (self.folder / "qemu.log").open("ab") as errors:
            # It ends with us, however we end.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdin=subprocess.DEVNULL, stdout=errors,
                                            stderr=errors)
        self.started = time.monotonic()
        self.console = Console(self._accept(listeners["serial"]), self.log)
        self.qmp = Qmp(self._accept(listeners["control"]), 30 * PATIENCE)
        return self

    def _accept(self, listener):
        """QEMU connects to us, so nothing that it says is lost."""
        listener.settimeout(0.5)
        deadline = time.monotonic() + 60 * PATIENCE
        with listener:
            while True:
                with contextlib.suppress(TimeoutError):
                    connection = listener.accept()[0]
                    connection.settimeout(None)
                    return connection
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError("QEMU did not start:\n" + (self.folder / "qemu.log").read_text()[-2000:])

    def seconds(self):
        """Since it was switched on."""
        return time.monotonic() - self.started

    def wait_end(self, seconds=120):
        """Waits until the guest ended this boot; returns how: "reset" (the next boot is the test's to start) or "off"."""
        self.console.expect_end(seconds)
        self.process.wait(30 * PATIENCE)
        reason = (self.qmp.seen("SHUTDOWN") or {}).get("reason", "")
        self._release()
        return {"guest-reset": "reset", "guest-shutdown": "off"}.get(reason, reason or "killed")

    def power_cut(self):
        """What pulling the plug does: nothing more is written from this moment."""
        self.stop()

    def cut_at_random(self, generator, most):
        """Pulls the plug after a random while, unless the boot ends before; returns the seconds it ran on."""
        moment = generator.uniform(0, most)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(moment)
        self.power_cut()
        return moment

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._release()

    def _release(self):
        for thing in (self.console, self.qmp):
            if thing:
                thing.close()
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self.process = self._sockets = None
        if self._lock and not self.keeps_turn:
            self._lock.close()
            self._lock = None

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.stop()


def seeded():
    """A generator whose seed is printed; MACULA_OS_SEED repeats a run."""
    seed = int(os.environ.get("MACULA_OS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed: MACULA_OS_SEED={seed}", file=sys.stderr, flush=True)
    return random.Random(seed)
