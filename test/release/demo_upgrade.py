#!/usr/bin/env python3
"""A demonstration: a node in a sandbox is upgraded over HTTP, refuses a bad release, and comes back from a version that is not well.

Slots and boot state are files below the node's root; a start of the node is a start of the machine."""
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "node"))
from release_maker import Signer, copy_release, make_release  # noqa: E402
from release_server import ReleaseServer  # noqa: E402
from upgrade_harness import UpgradeNode  # noqa: E402

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def say(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def show(node, *arguments, **more):
    print(f"{DIM}$ maculaos {' '.join(map(str, arguments))}{PLAIN}")
    result = node.cli(*arguments, "--progress", "none", **more)
    print((result.out + result.err).rstrip(), flush=True)
    print(f"{DIM}(exit code {result.code}){PLAIN}")
    return result


def demonstrate(work):
    signer = Signer(work)
    served = work / "served"
    good = make_release(served / "good", "0.2.0", signer)
    make_release(served / "sick", "0.3.0", signer)
    forged = copy_release(good, served / "forged")
    sums = forged / "SHA256SUMS.txt"
    sums.write_text(sums.read_text().replace("release.json", "other.json"))
    with ReleaseServer(served) as server, UpgradeNode(f"{server.url}forged/", signer) as node:
        say("1. A release whose signature does not fit is refused; nothing is written.")
        show(node, "upgrade", "apply")
        say("2. A good release: looked at, fetched, verified, written into the other slot.")
        node.cli("config", "set", "maculaos.upgrade.url", f"{server.url}good/").ok()
        show(node, "upgrade", "check")
        show(node, "upgrade", "apply")
        say("3. The machine starts again: the new version is on trial, and stays when it is found well.")
        node.reboot()
        node.wait_for_outcome("confirmed")
        show(node, "upgrade")
        say("4. The next version starts, but a check that gates upgrades does not hold: it goes back by itself.")
        node.cli("config", "set", "maculaos.upgrade.url", f"{server.url}sick/").ok()
        node.cli("config", "patch", '{"maculaos":{"upgrade":{"health_hold":"1s","health_timeout":"4s"},"health":{"checks":[{"name":"shop",'
                 '"type":"tcp","address":"127.0.0.1:9","interval":"500ms","timeout":"200ms","failures":1,"gates_upgrade":true}]}}}').ok()
        show(node, "upgrade", "apply")
        watcher = node.reboot().runner
        print(f"{DIM}… the new version runs and is watched …{PLAIN}")
        watcher.wait("may not stay", 90)
        watcher.wait("a restart was asked for", 30)
        node.reboot()
        node.wait_for_outcome("rolled_back")
        show(node, "upgrade")
        show(node, "upgrade", "history")
        say("5. It is not tried again by itself.")
        show(node, "upgrade", "apply")
    signer.close()


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="macula-demo-"))
    try:
        demonstrate(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
