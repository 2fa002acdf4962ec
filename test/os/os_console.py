"""The serial console of a machine: remembers everything that it said, waits for text, logs in, runs commands.

Every wait ends with the text, with the machine, or with a deadline; a failure shows the last lines and where the whole log is."""
import os
import re
import select
import socket
import sys
import threading
import time

PATIENCE = float(os.environ.get("MACULA_OS_PATIENCE", "1"))  # scales every deadline; a busy machine wants more
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-Za-z]|\x1b[=>78cDEHMNOZ]|[\r\x00]")
# The kernel says so when who has armed the softdog hands it on: on the console, in the middle of anything.
SOFTDOG = re.compile(r"^\[ *\d+\.\d+\] watchdog: watchdog\d+: watchdog did not stop!\n", re.MULTILINE)
UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*[ -/]*|[()])?$")
TAIL_LINES = 40
PROMPT = r"[$#] ?$"
HANDED_BACK = b"\x1d"  # Ctrl-]


class Failed(AssertionError):
    """A machine did not do what was waited for."""


class Ended(Failed):
    """The machine ended while something was waited for."""


class Console:
    """One serial line of one boot. `log` is the file that QEMU itself writes, whoever listens."""

    def __init__(self, connection, log):
        self._socket, self.log = connection, log
        self._text, self._mark, self._carry = "", 0, ""
        self._changed = threading.Condition()
        self._ended, self._mirror, self._numbered = False, None, 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            with self._changed:
                if data:
                    if self._mirror:
                        self._mirror(data)
                    raw = self._carry + data.decode("utf-8", "replace")
                    unfinished = UNFINISHED.search(raw)
                    self._carry = unfinished.group() if unfinished else ""
                    self._text += ESCAPES.sub("", raw[:len(raw) - len(self._carry)])
                else:
                    self._ended = True
                self._changed.notify_all()
            if not data:
                return

    # ---- what it said ----
    @property
    def text(self):
        """Everything said in this boot, without escape sequences."""
        with self._changed:
            return self._text

    def tail(self, lines=TAIL_LINES):
        return "\n".join(self.text.splitlines()[-lines:])

    def failed(self, what, kind=Failed):
        return kind(f"{what}\n---- the console's last lines; all of it: {self.log}\n{self.tail()}\n----")

    # ---- waiting ----
    def expect(self, pattern, seconds=120, never=None):
        """Waits for what matches after the last thing that was waited for; returns the match.

        Text that matches `never` fails at once."""
        return self.expect_any({"": pattern}, seconds, never)[1]

    def expect_any(self, patterns, seconds=120, never=None):
        """Waits for the first of several; returns its name and match. `patterns` maps names to regular expressions."""
        compiled = {name: re.compile(pattern, re.M) for name, pattern in patterns.items()}
        wanted = " or ".join(repr(pattern) for pattern in patterns.values())
        deadline = time.monotonic() + seconds * PATIENCE
        with self._changed:
            while True:
                matches = [(name, m) for name, p in compiled.items() if (m := p.search(self._text, self._mark))]
                bad = re.compile(never, re.M).search(self._text, self._mark) if never else None
                if matches:
                    name, match = min(matches, key=lambda item: item[1].start())
                    if not bad or bad.start() > match.start():
                        self._mark = match.end()
                        return name, match
                if bad:
                    raise self.failed(f"said {bad.group()!r} while {wanted} was waited for")
                if self._ended:
                    raise self.failed(f"the machine ended and never said {wanted}", Ended)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self.failed(f"did not say {wanted} within {seconds * PATIENCE:.0f} s")
                self._changed.wait(left)

    def expect_end(self, seconds=120):
        deadline = time.monotonic() + seconds * PATIENCE
        with self._changed:
            while not self._ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self.failed(f"the machine was still running after {seconds * PATIENCE:.0f} s")
                self._changed.wait(left)

    def expect_quiet(self, seconds):
        """Waits until it says more, at most that long: between two tries of something outside of the console."""
        with self._changed:
            self._changed.wait(seconds)

    # ---- typing ----
    def send(self, text):
        self._socket.sendall(text.encode())

    def line(self, text=""):
        self.send(text + "\r")

    def log_in(self, user="macula", seconds=240, never=None):
        """Waits for the login prompt of a system that is up, and logs in without a password.

        The prompt may come again before the name has arrived (the screen is drawn anew); of a node that is not configured
        the set-up is left."""
        self.expect(r"login: ?$", seconds, never)
        self.line(user)
        said, _ = self.expect_any({"prompt": PROMPT, "setup": r"Set up this node\.", "login": r"login: ?$"}, 60)
        while said != "prompt":
            self.send("\x03") if said == "setup" else self.line(user)
            said, _ = self.expect_any({"prompt": PROMPT, "setup": r"Set up this node\.", "login": r"login: ?$"}, 60)
        self.take_shell()

    def log_in_with(self, password, user="macula", seconds=240):
        """The same with a password, which the node may not have put in force yet."""
        deadline, wanted = time.monotonic() + seconds * PATIENCE, {"login": r"login: ?$", "password": r"Password: ?$", "prompt": PROMPT,
                                                               "setup": r"Set up this node\."}
        said, _ = self.expect_any({"login": wanted["login"]}, seconds)
        while said != "prompt":
            if time.monotonic() > deadline:
                raise self.failed("takes no such password")
            self.send("\x03") if said == "setup" else self.line(user if said == "login" else password)
            said, _ = self.expect_any(wanted, 60)

    def take_shell(self):
        """A prompt is there: make the shell behind it one for programs."""
        self.line("PS1= PS2=; stty -echo cols 4000 2>/dev/null; export TERM=dumb")
        self.run("true")

    def run(self, command, seconds=60):
        """Runs a command in the shell; returns (exit code, output). The marks are printed split, so that an echo of the
        command line is not taken for its output."""
        self._numbered += 1
        begin, end = f"@@{self._numbered}:begin@@", f"@@{self._numbered}:end:"
        self.line(f"printf '\\n@@%s:begin@@\\n' {self._numbered}; {{ {command}\n}} 2>&1; "
                  f"printf '\\n@@%s:end:%s@@\\n' {self._numbered} $?")
        self.expect(rf"^{re.escape(begin)}\n", seconds)
        start = self._mark
        match = self.expect(rf"\n{re.escape(end)}(\d+)@@\n", seconds)
        return int(match.group(1)), SOFTDOG.sub("", self.text[start:match.start()]).strip("\n")

    def ok(self, command, seconds=60):
        """Runs a command that must succeed; returns its output."""
        code, output = self.run(command, seconds)
        if code:
            raise self.failed(f"{command!r} ended with {code}: {output}")
        return output

    # ---- for a person ----
    def hand_over(self):
        """Gives the console to the terminal this runs in, until Ctrl-] or the end of the machine."""
        if not sys.stdin.isatty():
            print("no terminal to hand the console to", file=sys.stderr)
            return
        import termios  # pylint: disable=import-outside-toplevel
        import tty  # pylint: disable=import-outside-toplevel
        print("\n---- the console is yours; Ctrl-] gives it back ----", flush=True)
        before = termios.tcgetattr(sys.stdin)
        out = sys.stdout.fileno()
        with self._changed:
            self._mirror = lambda data: os.write(out, data)
        try:
            tty.setraw(sys.stdin)
            self.line("stty echo; PS1='\\w # '")
            while not self._ended:
                if not select.select([sys.stdin], [], [], 0.2)[0]:
                    continue
                typed = os.read(sys.stdin.fileno(), 1024)
                if not typed or HANDED_BACK in typed:
                    break
                self._socket.sendall(typed)
        except OSError:
            pass  # the machine ended while something was typed
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            with self._changed:
                self._mirror = None
            print("\n---- taken back ----", flush=True)

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(10)
        self._socket.close()
