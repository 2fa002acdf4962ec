#!/usr/bin/env python3
"""web.py, and the names of cases: the page of the first boot in a real browser (headless Chromium, driven by Playwright), with a real node and the
stand-in of the Portal. The cases stand in cases.mjs; without names all run. Screenshots are kept in build/web/screens. What is
missing (Chromium, npm) is a skip (exit 77), but not in CI."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "node"))
from node_harness import SOURCE, Node  # noqa: E402
from setup_page import CONSOLE, portal  # noqa: E402

WORK = pathlib.Path(os.environ.get("MACULA_BUILD_DIR", SOURCE / "build")) / "web"
BROWSERS = ("chromium-headless-shell", "chromium")
NODE_JS = 18  # what Playwright needs
CASE_S = 240


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


def prepare():
    """The pinned packages; the path of the browser."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not browser:
        skip("no Chromium; scripts/install-dependencies web")
    if not shutil.which("npm") or not shutil.which("node"):
        skip("Node.js or npm is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.match(r"v(\d+)", version).group(1)) < NODE_JS:
        skip(f"Node.js {version.strip()} is too old, {NODE_JS} is needed")
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "cases.mjs", "machine.mjs", "browser.mjs"):
        shutil.copy(HERE / name, WORK / name)
    ready = WORK / "node_modules/ready"
    if not ready.exists() or ready.read_text() != (HERE / "package-lock.json").read_text():
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=WORK, capture_output=True, text=True,
                              timeout=600, check=False)
        if done.returncode != 0:
            skip(f"npm ci failed: {done.stderr[-500:]}")
        ready.write_text((HERE / "package-lock.json").read_text())
    return browser


def restart_firstboot(node):
    """As if it had crashed: the supervisor starts it again."""
    os.kill(node.pids()["firstboot"], signal.SIGKILL)
    node.runner.wait("unit=firstboot state=ready")


def run_browser(name, node, given):
    """The case itself; it asks for a restart of the service by a line. Its exit code and whether it said that the node is configured."""
    configured = False
    with subprocess.Popen(["node", WORK / "cases.mjs", name, json.dumps(given)], cwd=WORK, text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        guard = threading.Timer(CASE_S, process.kill)
        guard.start()
        for line in process.stdout:
            if line == "restart\n":
                restart_firstboot(node)
                process.stdin.write("restarted\n")
                process.stdin.flush()
            elif line == "configured\n":
                configured = True
            else:
                print(line, end="", flush=True)
        guard.cancel()
    return process.returncode, configured


def run_case(name, browser):
    """A fresh node for each case, because the end of most is a configured one."""
    process, env = portal(auto=1)
    with process, Node(env=env) as node:
        node.runner.wait_once("unit=firstboot state=ready")
        given = {"console": str(node.path(CONSOLE)), "screens": str(WORK / "screens"), "browser": browser}
        code, configured = run_browser(name, node, given)
        if code != 0:
            print("\n".join(node.runner.lines.drain()[-30:]))
            return False
        if configured:
            assert node.get("hostname") == "edge-7"
        assert node.path("/var/lib/maculaos/.configured").exists() == configured
        process.stop()
        return True


def main():
    browser = prepare()
    listed = subprocess.run(["node", WORK / "cases.mjs"], cwd=WORK, capture_output=True, text=True, check=True).stdout.split()
    wanted = sys.argv[1:] or listed
    shutil.rmtree(WORK / "screens", ignore_errors=True)
    failed = [name for name in wanted if not run_case(name, browser)]
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed{': ' + ' '.join(failed) if failed else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
