#!/usr/bin/python3
"""What pods need of the system: mounts that containers may see, and time to end when the machine does. The cgroup is a stand-in,
the processes in it are real."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "overlay/usr/libexec/macula"
# A database, in short: asked to end it has something to write, which takes until the test says so.
BLOCKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); print('ready', flush=True); "
ENDS = BLOCKED + "signal.sigwait({signal.SIGTERM}); print('asked', flush=True); input(); print('written')"
STAYS = BLOCKED + "signal.pause()"


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="macula-pods-")
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.pods = self.top / "kubepods"

    def group(self, name, *processes):
        folder = self.pods / name
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("".join(f"{process.pid}\n" for process in processes))
        return folder

    def populated(self, value):
        (self.pods / "cgroup.events").write_text(f"populated {value}\nfrozen 0\n")

    def run_script(self, name, functions, commands, **places):
        """A script of the system that finds only stand-ins for its commands, which say how they were called; its places are moved."""
        (self.top / "bin").mkdir(exist_ok=True)
        (self.top / "bin/grep").symlink_to(shutil.which("grep"))
        for command in commands.split():
            (self.top / "bin" / command).write_text('#!/bin/sh\necho "${0##*/} $*"\n')
            (self.top / "bin" / command).chmod(0o755)
        (self.top / "boot-env").write_text(functions)
        places = {"bin": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "boot-env": "/usr/libexec/macula/boot-env", **places}
        script = (SCRIPTS / name).read_text()
        for moved, place in places.items():
            self.assertIn(place, script)
            script = script.replace(place, str(self.top / moved))
        done = subprocess.run(["/bin/sh", "-c", script, name], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.stderr, "")
        (self.top / "bin/grep").unlink()
        return done.stdout.splitlines()


class EndOfPods(Case):
    def process(self, script):
        process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def start_end(self, seconds):
        end = subprocess.Popen([SCRIPTS / "end-pods", self.pods, str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(end.stdout.close)
        self.addCleanup(end.wait)
        self.addCleanup(end.kill)
        return end

    def end(self, seconds):
        end = self.start_end(seconds)
        said = end.communicate(timeout=60)[0]
        return end.returncode, said

    def test_all_processes_are_asked_to_end_and_waited_for_no_longer_than_it_takes(self):
        processes = [self.process(ENDS) for _ in range(3)]
        gone = self.process("print('ready')")
        gone.wait()
        self.group("burstable/pod1/one", *processes[:2])
        self.group("pod2/two", gone, processes[2])
        self.populated(1)

        end = self.start_end(30)
        self.assertEqual([process.stdout.readline() for process in processes], ["asked\n"] * 3)
        self.assertIsNone(end.poll())
        self.assertEqual([process.communicate("go on\n")[0] for process in processes], ["written\n"] * 3)
        self.assertIsNone(end.poll())
        self.populated(0)  # what the kernel says of it
        self.assertEqual((end.communicate(timeout=20)[0], end.returncode), ("waiting for the pods to end, at most 30 s\n", 0))

    def test_one_that_does_not_end_holds_the_machine_up_for_the_time_that_was_given(self):
        process = self.process(STAYS)
        self.group("pod1/one", process)
        self.populated(1)
        code, said = self.end(1)
        self.assertEqual((code, said.splitlines()[1:]), (1, ["some pods have not ended within 1 s, and are killed"]))
        self.assertIsNone(process.poll())

    def test_without_pods_nothing_is_waited_for(self):
        self.assertEqual(self.end(30), (0, ""))
        self.group("besteffort")
        self.populated(0)
        self.assertEqual(self.end(30), (0, ""))


class EndOfTheMachine(Case):
    def stop(self):
        said = self.run_script("stop", "forget_starts() { :; }\nnote_trial() { :; }\nnote_password() { :; }\n",
                               "rc-service openrc killall5 mount touch sync hostname end-pods", kubepods="/sys/fs/cgroup/kubepods",
                               **{"bin/end-pods": "/usr/libexec/macula/end-pods", "called": "/var/lib/maculaos/hostname"})
        return [line.replace(f"{self.top}/", "") for line in said if line.split()[0] in ("rc-service", "end-pods", "openrc", "killall5")]

    def test_pods_end_after_node_and_k3s_and_before_the_network_and_everybody_else(self):
        self.group("pod1")
        self.populated(1)
        self.assertEqual(self.stop(), ["rc-service --ifstarted macula stop", "rc-service --ifstarted k3s stop", "end-pods kubepods 30", "openrc shutdown",
                                       "killall5 -15"])

    def test_without_pods_openrc_stops_k3s_with_the_others(self):
        without = ["rc-service --ifstarted macula stop", "openrc shutdown", "killall5 -15"]
        self.assertEqual(self.stop(), without)
        self.group("besteffort")
        self.populated(0)
        self.assertEqual(self.stop(), without)


class Mounts(Case):
    def test_what_the_first_program_mounts_and_all_below_the_root_is_shared(self):
        (self.top / "openrc").mkdir()
        (self.top / "line").write_text("quiet\n")
        (self.top / "keep").write_text("#!/bin/sh\n")
        (self.top / "keep").chmod(0o755)
        # As where a system is installed, because that start ends before the node.
        said = self.run_script("start", "mode=install watchdog= watchdog_s=0\nhas_password() { :; }\n", "mkdir mount hostname ip sysctl sed sleep",
                               openrc="/run/openrc", keep="/usr/libexec/macula/keep", phases="/run/initramfs/phases", line="/proc/cmdline", inittab="/etc/inittab", state="/var/lib/maculaos")
        mounts = [line for line in said if line.startswith("mount ")]
        self.assertEqual(mounts[-1], "mount --make-rshared /")
        self.assertEqual(len(mounts), 5)


if __name__ == "__main__":
    unittest.main()
