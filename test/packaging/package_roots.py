"""Packages to test, and plain Debian roots to install them in.

A root is kept in the cache with the dependencies of the packages in it, so that only the first run needs the network; each
test has a copy. What runs in it has namespaces of its own for mounts, processes, network and host name, which end with it."""
import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("MACULA_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "maculaos")


def run(*command, **options):
    """The output of a command; what it said when it failed."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stdout}")
    return result.stdout


def built_for(suite=None):
    """The directory with the packages: DEBS, else built from the work tree."""
    if os.environ.get("DEBS"):
        return pathlib.Path(os.environ["DEBS"])
    output = SOURCE / "build-packages" / (suite or "native")
    command = [SOURCE / "packaging/build"] + (["--suite", suite] if suite else [])
    stamp, wanted = output / "hash", run(*command, "--hash")
    if not stamp.exists() or stamp.read_text() != wanted:
        run(*command, "--output", output)
        stamp.write_text(wanted)
    return output


def package(directory, name):
    """The one package of that name."""
    found = glob.glob(f"{directory}/{name}_*.deb")
    assert len(found) == 1, f"one {name}_*.deb expected in {directory}, found {found}"
    return pathlib.Path(found[0])


def sources_for(suite):
    script = f'suite={suite}; cd "{SOURCE}"; . packaging/lib-buildroot.sh; root_sources'
    return run("sh", "-c", script)


class Root:
    """A copy of a plain Debian that has what the package depends on, but not the package."""

    def __init__(self, suite, deb):
        self.deb = deb
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"macula-{suite}-"))
        run("tar", "-C", self.path, "-xpf", self.base(suite, deb), "--numeric-owner")
        # Nothing starts in a chroot; policy-rc.d says so to those who would ask.
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)

    @staticmethod
    def base(suite, deb):
        depends = run("dpkg-deb", "-f", deb, "Depends")
        names = ",".join(sorted(word.split("|")[0].split("(")[0].strip() for word in depends.split(",")))
        key = hashlib.sha256(names.encode()).hexdigest()[:16]
        tar = CACHE / "test-root" / f"{suite}-{key}.tar"
        if not tar.exists():
            tar.parent.mkdir(parents=True, exist_ok=True)
            partial = tar.with_suffix(".partial.tar")
            run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={names}", suite, partial, "-",
                input=sources_for(suite))
            partial.rename(tar)
        return tar

    def shell(self, script, network="true"):
        """Runs a shell script in the root; its output. `network`: commands of this machine that make the root's network."""
        outer = (f'mount -t proc proc "$0/proc" && ip link set lo up && {network} && '
                 'exec chroot "$0" /bin/sh -eu -c "$1"')
        return run("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-c", outer,
                   self.path, script, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
                                           "DEBIAN_FRONTEND": "noninteractive"})

    def install(self):
        shutil.copy(self.deb, self.path / "tmp/node.deb")
        return self.shell("dpkg -i /tmp/node.deb; rm /tmp/node.deb")

    def upgrade(self, script="true"):
        """Installs the same package as of a later version, with a file more and one less, then runs the script."""
        with tempfile.TemporaryDirectory() as directory:
            tree = pathlib.Path(directory, "tree")
            run("dpkg-deb", "-R", self.deb, tree)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+later1", control.read_text()))
            (tree / "usr/libexec/macula/later").write_text("new\n")
            (tree / "usr/share/bash-completion/completions/maculaos").unlink()
            run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, self.path / "tmp/later.deb")
        return self.shell(f"dpkg -i /tmp/later.deb; rm /tmp/later.deb; {script}")

    def stand_in(self, path, exit_code=0):
        """Puts a program there that writes down in /tmp/calls how it is called."""
        program = self.path / path
        program.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >>/tmp/calls\nexit {exit_code}\n')
        program.chmod(0o755)

    def calls(self):
        file = self.path / "tmp/calls"
        return file.read_text().splitlines() if file.exists() else []

    def files(self):
        """Every path in the root, but those that dpkg and the system keep for themselves."""
        own = ("var/lib/dpkg", "var/cache", "var/log", "proc", "tmp", "run/utmp", "var/lib/systemd")
        found = set()
        for directory, names, files in os.walk(self.path):
            here = os.path.relpath(directory, self.path)
            names[:] = [name for name in names if os.path.normpath(f"{here}/{name}") not in own]
            found.update(os.path.normpath(f"{here}/{name}") for name in names + files)
        return found

    def remove(self):
        shutil.rmtree(self.path)
