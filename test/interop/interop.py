#!/usr/bin/env python3
"""interop.py go|python|js|nats: a client that we did not write against a real node.

The three examples use only the official clients: they ask for a setting, serve a procedure that `maculaos call` and `maculaos services`
find, and follow config.changed. `nats` is the command-line tool itself. A missing toolchain is a skip (exit 77), but not in CI."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "node"))
from node_harness import PATIENCE, SOURCE, Background, Node  # noqa: E402

WORK = pathlib.Path(os.environ.get("MACULA_BUILD_DIR", SOURCE / "build")) / "interop"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


def prepare(*command, cwd, env=None):
    """A step that may need a package registry; without one this is a skip."""
    try:
        done = subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **(env or {})}, timeout=600,
                              capture_output=True, text=True, check=False)
    except FileNotFoundError:
        skip(f"{command[0]} is not installed")
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-2000:])
        skip(f"{' '.join(map(str, command))} failed")


def go_program(name, folder, package="."):
    """Builds a Go program with the pinned versions and checksums of its go.sum."""
    if not shutil.which("go"):
        skip("go is not installed")
    target = WORK / name
    prepare("go", "build", "-mod=readonly", "-buildvcs=false", "-o", target, package, cwd=folder)
    return [target]


def python_program():
    environment = WORK / "venv"
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        prepare("python3", "-m", "venv", environment, cwd=SOURCE)
        prepare(environment / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r",
                SOURCE / "examples/python/requirements.txt", cwd=SOURCE)
        (environment / "ready").touch()
    return [environment / "bin" / "python", SOURCE / "examples/python/sensor.py"]


def js_program():
    folder = WORK / "js"
    if not shutil.which("npm"):
        skip("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "sensor.mjs"):
        shutil.copy(SOURCE / "examples/js" / name, folder / name)
    if not (folder / "node_modules/nats").exists():
        prepare("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    return ["node", folder / "sensor.mjs"]


def check_example(name, command):
    with Node(config="hostname: edge-1\n") as node:
        env = {**os.environ, "NATS_URL": node.url}
        with Background(*command, env=env) as example:
            assert example.wait(r"^node (\S+)").group(1) == "edge-1"
            example.wait("^serving$")
            answer = node.cli("call", f"sensor-{name}.read", "-o", "json").ok().json()
            assert answer == {"celsius": 21.5, "node": "edge-1"}, answer
            answer = node.anonymous("call", f"sensor-{name}.read", "-o", "json").ok().json()
            assert answer["node"] == "edge-1", answer
            found = node.cli("services", f"sensor-{name}.>", "-o", "json").ok().json()["services"]
            assert [s["name"] for s in found] == [f"sensor-{name}"], found
            assert found[0]["procedures"][0]["subject"] == f"macula.rpc.io.macula.sensor-{name}.read", found
            node.cli("config", "set", "hostname", "edge-2").ok()
            example.wait(rf"^changed hostname generation {node.generation()}$")
            assert example.stop() in (0, -15)


def check_nats_tool(command):
    tool = str(command[0])
    with Node(config="hostname: edge-1\n") as node:
        key = str(node.path("/var/lib/maculaos/identity/admin.nk"))

        def nats(*arguments, admin=False, code=0):
            who = ["--nkey", key] if admin else []
            done = subprocess.run([tool, "--server", node.url, *who, *arguments], capture_output=True, text=True, timeout=PATIENCE,
                                  check=False, env={**os.environ, "XDG_CONFIG_HOME": str(WORK), "HOME": str(WORK)})
            assert code is None or done.returncode == code, (arguments, done.stdout, done.stderr)
            return done.stdout + done.stderr

        def ask(procedure, body, **more):
            return nats("req", "--raw", f"macula.rpc.io.macula.{procedure}", body, **more)

        assert json.loads(ask("config", ""))["generation"] >= 1
        assert json.loads(json.loads(ask("config.get", '{"path":"hostname"}'))["json"]) == "edge-1"
        assert json.loads(ask("node", ""))["realm"] == "io.macula"

        # A workload's change is refused at once; the admin's is made.
        assert "Permissions Violation" in nats("pub", "macula.pub.io.macula.config.change", '{"hostname":"edge-7"}', code=1)
        # Had it not been refused at once, the tool's own time-out would be what it says.
        denied = nats("req", "macula.rpc.io.macula.config.patch", '{"patch_json":"{}"}', "--timeout", "20s", code=None)
        assert "403" in denied and "admin key" in denied, denied
        with node.events("config.changed", 1) as events:
            nats("pub", "macula.pub.io.macula.config.change", '{"hostname":"edge-7"}', admin=True)
            events.wait(r'"config.changed"|config\.changed')
        assert node.get("hostname") == "edge-7"

        with Background(tool, "--server", node.url, "sub", "macula.sub.io.macula.config.>",
                        env={**os.environ, "XDG_CONFIG_HOME": str(WORK), "HOME": str(WORK)}) as sub:
            sub.wait("Subscribing on")
            nats("req", "--raw", "macula.rpc.io.macula.node", "")
            node.cli("config", "set", "hostname", "edge-8").ok()
            sub.wait("config.changed")

        listed = nats("micro", "ls")
        assert "config" in listed and "node" in listed, listed
        assert "macula.rpc.io.macula.config.get" in nats("micro", "info", "config"), nats("micro", "info", "config")
        assert "get" in nats("micro", "stats", "config")


CHECKS = {
    "go": lambda: check_example("go", go_program("sensor-go", SOURCE / "examples/go")),
    "python": lambda: check_example("python", python_program()),
    "js": lambda: check_example("js", js_program()),
    "nats": lambda: check_nats_tool(go_program("nats", SOURCE / "test/interop/nats-cli", "github.com/nats-io/natscli/nats")),
}

if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    CHECKS[sys.argv[1]]()
    print("passed")
