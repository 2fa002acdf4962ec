"""What every test here has: a folder, disks made from the built image, machines that end with the test, a console for --shell."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

from os_bus import Bus, Key
from os_console import PATIENCE, Ended, Failed
from os_disk import Disk
from os_machine import Drive, Machine, missing_tools

SOURCE = pathlib.Path(os.environ.get("MACULA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
OUTPUT = pathlib.Path(os.environ.get("MACULA_OS_OUTPUT") or SOURCE / "build-image" / "test")
NODE = "macula.rpc.io.macula.node"
OPTIONS = {"shell": False, "keep": False}
PANIC = r"Kernel panic"

# The emulator's processors run in threads of their own, and one may meet the breakpoint with which Linux changes its own code in
# another's half of the change: a start in some two hundred.
SPOILT = "Oops: int3:"
UNREACHABLE = 75  # how images/build ends when the packages of the image cannot be fetched


class Unreachable(Exception):
    """There is no image, and nobody here is to blame."""


def quick(test):
    """Marks a test of the quick set (test/os/run --quick)."""
    test.quick = True
    return test


def long(test):
    """Marks a test that takes hours: it runs when it is named."""
    test.long = True
    return test


class Images:
    """The images under test: of MACULA_OS_IMAGES, or built once in test compression."""

    STAGES = {"img": "stages/50-disk/disk.img", "iso": "stages/60-iso/medium.iso", "slot": "stages/40-slot/slot",
              "slot.json": "stages/40-slot/slot.json"}  # these need no copy to be handed out
    FOLDER = SOURCE / "build-image" / "test-image"
    _built = set()

    @classmethod
    def build(cls, *stages):
        """Runs stages of images/build, all when none is named; what is up to date costs little."""
        if stages in cls._built or () in cls._built:
            return
        cls.FOLDER.mkdir(parents=True, exist_ok=True)
        print("building the test image", file=sys.stderr, flush=True)
        log = cls.FOLDER / "build.log"
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n", "-E"]
        with log.open("wb") as out:
            done = subprocess.run([*as_root, "env", "IMAGE_COMPRESSION=gzip", f"IMAGE_DIR={cls.FOLDER}", SOURCE / "images" / "build",
                                   *stages], stdout=out, stderr=subprocess.STDOUT, check=False, cwd=SOURCE)
        if done.returncode == UNREACHABLE:
            raise Unreachable(f"the image's packages cannot be fetched; see {log}")
        if done.returncode:
            raise AssertionError(f"images/build failed; the end of {log}:\n" + log.read_text(errors="replace")[-3000:])
        cls._built.add(stages)

    @classmethod
    def have(cls):
        """Brings what most tests need up to date, unless images are given."""
        if not os.environ.get("MACULA_OS_IMAGES"):
            cls.build("50-disk", "60-iso")

    @classmethod
    def of(cls, suffix):
        """The image with that ending: img, iso, qcow2 …"""
        given = os.environ.get("MACULA_OS_IMAGES")
        if not given:
            cls.build(*(("50-disk", "60-iso") if suffix in cls.STAGES else ()))
        folder = pathlib.Path(given) if given else cls.FOLDER
        if suffix in cls.STAGES and (not given or not list(folder.glob(f"macula-os-*.{suffix}"))):
            staged = folder / cls.STAGES[suffix]
            if staged.exists():
                return staged
        found = sorted(folder.glob(f"macula-os-*.{suffix}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise AssertionError(f"{folder} holds no macula-os-*.{suffix}")
        return found[-1]


def why_no_image():
    """Why no image can be built here; empty when one can, or is given."""
    if os.environ.get("MACULA_OS_IMAGES"):
        return ""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not shutil.which("sudo"):
        return "building an image needs root"
    tried = subprocess.run([*as_root, "unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"building an image needs root, and the right to mount: {tried.stderr.strip()}" if tried.returncode else ""


def why_not():
    """Why machines cannot run here; empty when they can."""
    missing = missing_tools()
    return f"missing: {', '.join(missing)} (scripts/install-dependencies os)" if missing else ""


class OsTest(unittest.TestCase):
    """`self.folder` holds the disks, which go when the test has passed, and the logs, which stay."""

    def setUp(self):
        self.folder = OUTPUT / self._testMethodName
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.machines = []
        self.key = Key.new()  # of this test's admin, whom the media of `medium` name

    def tearDown(self):
        running = [machine for machine in self.machines if machine.process]
        if OPTIONS["shell"] and running:
            running[-1].console.hand_over()
        for machine in self.machines:
            machine.keeps_turn = False
            machine.stop()
        if not OPTIONS["keep"]:
            for file in [*self.folder.glob("*.img"), *self.folder.glob("*.qcow2"), *self.folder.glob("*.record")]:
                file.unlink()

    @contextlib.contextmanager
    def subTest(self, *words, **more):
        """One that fails leaves no machine running, for which the next one would wait."""
        with super().subTest(*words, **more):
            try:
                yield
            except BaseException:
                for machine in self.machines:
                    machine.stop()
                raise

    def disk(self, name="disk", size=None, menu=False):
        """A disk with the built image on it, free to be ruined. Without `menu` the boot menu does not wait for a person."""
        disk = Disk.copy_of(Images.of("img"), self.folder / f"{name}.img", size)
        if not menu:
            disk.esp_write("/grub/local.cfg", b"set timeout=0\n")
        return disk

    def empty_disk(self, name="target", size=4 << 30):
        return Disk.empty(self.folder / f"{name}.img", size)

    def machine(self, *drives, name="machine", **more):
        """A machine with those disks (Disk: virtio; Drive: as it says); not yet on."""
        drives = [drive if isinstance(drive, Drive) else Drive(drive.path) for drive in drives]
        made = Machine(self.folder / name, drives, **more)
        self.machines.append(made)
        return made

    def up(self, machine, seconds=240):
        """Switches it on, waits for the login prompt, logs in; returns what the initramfs says of this boot.

        A start that the emulator spoils is made again, once."""
        try:
            machine.start().console.log_in(seconds=seconds, never=PANIC)
        except Failed:
            if SPOILT not in machine.console.text:
                raise
            self.assertEqual(machine.wait_end(60), "reset")
            machine.start().console.log_in(seconds=seconds, never=PANIC)
        return self.boot_environment(machine)

    @staticmethod
    def boot_environment(machine):
        lines = machine.console.ok("cat /run/initramfs/boot.env").splitlines()
        return {key: value.strip("'\"") for key, _, value in (line.partition("=") for line in lines)}

    def boots_until_up(self, machine, most=6, seconds=240):
        """Lets it reset itself until a login prompt is there; returns (boots it took, what the initramfs says).

        Not counted is a start of the active slot that the emulator spoils."""
        count = 0
        while count < most:
            count += 1
            machine.start()
            try:
                machine.console.log_in(seconds=seconds)
                return count, self.boot_environment(machine)
            except Ended:
                self.assertEqual(machine.wait_end(60), "reset")
                text = machine.console.text
                count -= SPOILT in text and "on trial" not in text
        raise machine.console.failed(f"was not up after {most} boots")

    def bus(self, machine, key=None, seconds=120):
        """Connects to the node, which may still be starting, as this test's admin."""
        return self.connected(machine.ports["bus"], (key or self.key).seed, machine.console, seconds)

    @staticmethod
    def connected(port, seed, console, seconds=120):
        """Connects, and waits until the node, and not the bus alone, answers."""
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            bus = None
            try:
                bus = Bus(port, seed)
                bus.json(NODE)
                return bus
            except (AssertionError, ConnectionError, TimeoutError, ValueError, IndexError) as problem:
                if bus:
                    bus.close()
                if time.monotonic() > deadline:
                    raise console.failed(f"the bus does not answer: {problem}") from None
                console.expect_quiet(1)

    def medium(self, name="configuration", key=None, more=""):
        """A medium that gives a new node a configuration: the bus from outside for one admin. `more`: lines of YAML."""
        text, image = self.folder / f"{name}.yaml", self.folder / f"{name}.img"
        text.write_text(f"maculaos:\n  nats:\n    listen: 0.0.0.0:4222\n    admin_keys: [{(key or self.key).public()}]\n"
                        f"  security:\n    require_credentials: true\n{more}")
        subprocess.run([SOURCE / "images" / "configuration-medium", image, text], check=True)
        return Drive(image, read_only=True)

    def iso(self, bus="cd"):
        return Drive(Images.of("iso"), bus, read_only=True)
