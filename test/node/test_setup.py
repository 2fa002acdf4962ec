#!/usr/bin/env python3
"""The set-up in a terminal: the same questions, checks and end as the page."""
import codecs
import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

from node_harness import BIN, PATIENCE, SOURCE, Node
from setup_page import CONSOLE, Page, portal

sys.path.insert(0, str(SOURCE / "test/os"))
from os_console import Console  # noqa: E402

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjkxFNOtbnvj4WVzUCrF me"


class Terminal:
    """A person at a terminal."""

    def __init__(self, node, *arguments, program=BIN / "maculaos", **env):
        self.seen = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(program, [str(program), *map(str, arguments)], {**node.env, "TERM": "dumb", **env})

    def expect(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {pattern!r} on the terminal:\n{self.seen}")
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                raise AssertionError(f"it ended without {pattern!r}:\n{self.seen}") from None
            self.seen += self.decoder.decode(data).replace("\r", "")
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def press(self, keys):
        os.write(self.fd, keys)

    # What a console of the harness wants of a machine's serial line.
    def recv(self, size):
        return os.read(self.fd, size)

    def sendall(self, data):
        os.write(self.fd, data)

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def answer(self, pattern, text):
        self.expect(pattern)
        self.type(text)

    def end(self, seen=None, echoes=None):
        """Reads to the end; the exit code, or minus the signal. What was to be seen, and how the terminal was left."""
        with contextlib.suppress(OSError):
            while select.select([self.fd], [], [], PATIENCE)[0] and (data := os.read(self.fd, 4096)):
                self.seen += self.decoder.decode(data)
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            os.kill(self.pid, signal.SIGKILL)
        if seen and seen not in self.seen:
            raise AssertionError(f"no {seen!r} at the end:\n{self.seen}")
        if echoes is not None and self.echoes() != echoes:
            raise AssertionError("the terminal does not show what is typed" if echoes else "it shows a password")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Setup(unittest.TestCase):
    def test_a_person_at_the_terminal_sets_the_node_up(self):
        with Node() as node:
            person = Terminal(node, "setup")
            person.answer(r"Connection\n(?s:.*)\[dhcp\] ", "1")
            person.answer(r"Name of the node(?s:.*?)\] ", "bad_name")
            person.answer(r"Time zone(?s:.*?)\] ", "Berl")
            person.answer(r"Keyboard(?s:.*?)\] ", "de")
            person.answer(r"Language of programs(?s:.*?)\] ", "")
            person.answer(r"Password of the user macula(?s:.*?)\n  (?!\S)", "a secret word")
            person.answer(r"once more: ", "a secret word")
            person.answer(r"SSH keys(?s:.*?)> ", "")
            person.expect("hostname: expected a host name")
            person.answer(r"Name of the node(?s:.*?)\] ", "edge-7")
            person.expect("only at its own console")
            person.answer(r"Bootstrap(?s:.*?)\[y/N\] ", "")
            person.answer(r"Gateway(?s:.*?)\[y/N\] ", "y")
            person.answer(r"Realm(?s:.*?)\] ", "")
            person.answer(r"Entry points(?s:.*?)> ", "")
            person.expect("no public address|Portal")
            person.answer(r"Pairing code of the Portal.*?: ", "")
            person.answer(r"Write this configuration now\?.*\] ", "y")
            person.expect("The node is configured")
            self.assertEqual(person.end(), 0)
            self.assertEqual(node.get("hostname"), "edge-7")
            self.assertEqual(node.get("maculaos.timezone"), "Europe/Berlin")
            self.assertTrue(node.get("maculaos.mesh.roles.gateway"))
            self.assertTrue(node.path("/var/lib/maculaos/.configured").exists())

    def test_what_stands_in_brackets_can_be_emptied_and_everything_is_shown_before_it_is_written(self):
        with Node() as node:
            answers = f"hostname=edge-7\nssh_keys={KEY}\\ngithub:octocat\nrealm=com.example.plant\nbootstrap_peers=https://a.example\n"
            node.cli("setup", "--answers", "-", stdin=answers).ok()
            person = Terminal(node, "setup")
            person.answer(r"Connection\n(?s:.*)\[dhcp\] ", "7")
            person.answer(r"Choose one by its number, 1 to 3(?s:.*)\[dhcp\] ", "")
            self.answer_system(person, "")
            person.answer(r"Password of the user macula(?s:.*?)\n  (?=\Z)", "")
            person.answer(r"\[ssh-ed25519 (?s:.*)\[github:octocat\](?s:.*?)> ", "")
            person.answer(r"Bootstrap(?s:.*?)\[y/N\] ", "")
            person.answer(r"Gateway(?s:.*?)\[y/N\] ", "y")
            person.answer(r"Realm(?s:.*?)\[com.example.plant\] ", "-")
            person.answer(r"\[https://a.example\](?s:.*?)> ", "-")
            person.answer(r"Pairing code of the Portal.*?: ", "")
            person.expect(r"--- Review ---(?s:.*)Name of the node: edge-7\s+Time zone: UTC(?s:.*)Password of the user macula: not set\s+"
                          r"SSH keys: ssh-ed25519 .*\s+github:octocat\s+Bootstrap.*: no\s+Gateway.*: yes\s+Realm: not set\s+"
                          r"Entry points: not set")
            person.answer(r"Write this configuration now\?.*\] ", "y")
            person.expect("The node is configured")
            self.assertEqual(person.end(), 0)
            self.assertEqual(node.get("ssh_authorized_keys")[1], "github:octocat")
            self.assertNotIn("com.example.plant", node.read("/var/lib/maculaos/config.yaml"))

    def test_a_line_of_a_file_has_line_breaks_and_backslashes(self):
        with Node() as node:
            node.cli("setup", "--answers", "-", stdin="hostname=edge-7\nssh_keys=" + KEY + r"@C:\\new\\\\x\y\ngithub:octocat" + "\n").ok()
            steps = node.cli("call", "firstboot.steps").ok().json()["steps"]
            values = {field["name"]: field.get("value") for step in steps for field in step["fields"]}
            self.assertEqual(values["ssh_keys"], KEY + r"@C:\new\\x\y" + "\ngithub:octocat")

    def test_the_terminal_says_what_was_found_and_what_each_choice_means(self):
        with Node() as node:
            node.cli("setup", "--answers", "-", stdin=f"hostname=edge-7\nssh_keys={KEY}\n").ok()
            found = node.cli("call", "firstboot.steps").ok().json()["steps"][0]["found"]
            self.assertTrue(found)
            person = Terminal(node, "setup")
            person.expect(r"--- Network ---\nFound\n" + "".join(f"  {re.escape(line)}\n" for line in found)
                          + r"(?=Connection\n  1  dhcp: Automatic \(DHCP\)(?s:.*)  2  static: A fixed address)")
            self.keep_all(person)
            person.answer(r"Pairing code of the Portal.*?: ", "")
            person.expect(r"--- Review ---\n  Connection: Automatic \(DHCP\) on every cable\n")
            person.answer(r"Write this configuration now\?.*\] ", "n")
            person.end()

    def test_an_unusual_keyboard_or_language_is_asked_about(self):
        with Node() as node:
            def warnings(keyboard, locale):
                answers = f"hostname=edge-7\nssh_keys={KEY}\nkeyboard={keyboard}\nlocale={locale}\n"
                node.cli("setup", "--answers", "-", stdin=answers).ok()
                steps = node.cli("call", "firstboot.steps").ok().json()["steps"]
                return " ".join(next(step for step in steps if step["name"] == "system").get("warnings", []))

            self.assertRegex(warnings("xx", "qq_QQ.UTF-8"), "layout xx is none(?s:.*)language qq_QQ.UTF-8 is none")
            self.assertEqual(warnings("de-latin1-nodeadkeys", "de_AT.UTF-8"), "")
            self.assertEqual(warnings("us", "C.UTF-8"), "")

    def test_only_a_layout_that_the_image_has_is_taken_and_it_holds_before_the_password(self):
        node = Node()
        for name in ("de", "dvorak", "us"):
            node.write(f"/usr/share/maculaos/keymaps/{name}.bmap", "")
        node.write("/programs/loadkeys", f'#!/bin/sh\necho "$*" >>{node.path("/loaded")}\n')
        node.path("/programs/loadkeys").chmod(0o755)
        with node:
            person = Terminal(node, "setup", PATH=f"{node.path('/programs')}:{os.environ['PATH']}",
                              MACULA_KEYMAPS=str(node.path("/usr/share/maculaos/keymaps")))
            person.answer(r"Connection\n(?s:.*)\[dhcp\] ", "1")
            person.answer(r"Name of the node(?s:.*?)\] ", "edge-7")
            person.answer(r"Time zone(?s:.*?)\] ", "UTC")
            person.answer(r"Keyboard(?s:.*?)\] ", "de-nonsense")
            person.answer(r"There is no layout de-nonsense here, but these:\n    de dvorak us\n(?s:.*?)\] ", "dvorak")
            person.answer(r"Language of programs(?s:.*?)\] ", "")
            person.expect(r"Password of the user macula")
            self.assertEqual(node.path("/loaded").read_text(), "-- dvorak\n")
            person.press(b"\x03")
            person.end(echoes=True)
            # Without a terminal, and on the page, it is a warning, as is what a configuration says already.
            node.cli("setup", "--answers", "-", stdin=f"hostname=edge-7\nssh_keys={KEY}\nkeyboard=de-nonsense\n").ok()
            steps = node.cli("call", "firstboot.steps").ok().json()["steps"]
            warnings = " ".join(next(step for step in steps if step["name"] == "system")["warnings"])
            self.assertIn("layout de-nonsense is none of those known here", warnings)

    def answer_system(self, person, name):
        person.answer(r"Name of the node(?s:.*?)\] ", name)
        person.answer(r"Time zone(?s:.*?)\] ", "UTC")
        person.answer(r"Keyboard(?s:.*?)\] ", "")
        person.answer(r"Language of programs(?s:.*?)\] ", "")

    def answer_mesh(self, person):
        person.answer(r"Bootstrap(?s:.*?)\[y/N\] ", "")
        person.answer(r"Gateway(?s:.*?)\[y/N\] ", "")
        person.answer(r"Realm(?s:.*?)\] ", "")
        person.answer(r"Entry points(?s:.*?)> ", "")

    def keep_all(self, person):
        """Of a node that is configured: up to the Portal."""
        person.answer(r"Connection\n(?s:.*)\[dhcp\] ", "")
        self.answer_system(person, "")
        person.answer(r"Password of the user macula(?s:.*?)\n  (?=\Z)", "")
        person.answer(r"SSH keys(?s:.*?)> ", "")
        self.answer_mesh(person)

    def test_who_leaves_at_any_question_goes_on_there_later_and_sees_what_is_typed(self):
        with Node() as node:
            person = Terminal(node, "setup")
            person.answer(r"Connection\n(?s:.*)\[dhcp\] ", "wifi")
            person.answer(r"Name of the Wi-Fi(?s:.*?)\n  (?=\Z)", "depot")
            person.answer(r"An open network(?s:.*?)\[y/N\] ", "")
            person.answer(r"Wi-Fi password(?s:.*?)\n  (?=\Z)", "correct-horse")
            person.answer(r"once more: ", "battery")
            person.expect("not the same")
            person.expect(r"\n  (?=\Z)")
            self.assertFalse(person.echoes())
            person.type("correct-horse")
            person.answer(r"once more: ", "correct-horse")
            self.answer_system(person, "edge-7")
            person.expect(r"Password of the user macula(?s:.*?)\n  (?=\Z)")
            self.assertFalse(person.echoes())
            person.press(b"\x03")
            self.assertEqual(person.end(echoes=True), -2)

            person = Terminal(node, "setup")
            person.expect(r"Connection\n(?s:.*)\[wifi\] ")
            person.press(b"\x03")
            self.assertEqual(person.end(), -2)

            person = Terminal(node, "setup")
            person.answer(r"Connection\n(?s:.*)\[wifi\] ", "")
            person.answer(r"Name of the Wi-Fi(?s:.*?)\[depot\] ", "")
            person.answer(r"An open network(?s:.*?)\[y/N\] ", "")
            person.answer(r"empty: as it is\) ", "")
            person.expect(r"\n\n--- System ---\n")
            self.answer_system(person, "edge-8")
            person.expect(r"Password of the user macula(?s:.*?)\n  (?=\Z)")
            person.press(b"\x04")
            self.assertEqual(person.end(seen="what you answered is kept"), 1)
            self.assertFalse(node.path("/var/lib/maculaos/.configured").exists())
            self.assertNotIn("correct-horse", "\n".join(node.runner.lines.drain()))

    def test_the_terminal_pairs_with_a_code_or_waits_for_the_portal(self):
        process, env = portal(auto=1)
        with process, Node(env=env) as node:
            node.cli("setup", "--answers", "-", stdin=f"hostname=edge-9\nssh_keys={KEY}\n").ok()
            for word in ("WRONG-22", "w"):
                person = Terminal(node, "setup")
                self.keep_all(person)
                person.answer(r"Pairing code of the Portal.*?: ", word)
                if word == "w":
                    code = person.expect(r"(?:[█▀▄ ]{25,}\n){12,}Scan this code, or open https://\S+\?code=(\S+) and authorise").group(1)
                    person.expect(rf"the Portal shows the code {code}\.")
                    person.expect(r"belongs to Ada Lovelace \(Analytical Engines\)")
                else:
                    person.expect("does not know this pairing code")
                    person.answer(r"Pairing code of the Portal.*?: ", "")
                person.answer(r"Write this configuration now\?.*\] ", "y" if word == "w" else "n")
                self.assertEqual(person.end(), 0 if word == "w" else 1)
            self.assertEqual(node.get("hostname"), "edge-9")
            process.stop()

    def test_a_code_takes_the_place_of_waiting_and_a_paired_node_says_so_until_it_is_to_be_paired_anew(self):
        process, env = portal()
        with process, Node(env=env) as node:
            node.cli("setup", "--answers", "-", stdin=f"hostname=edge-9\nssh_keys={KEY}\n").ok()
            person = Terminal(node, "setup", "--pair", "")
            code = person.expect(r"open https://\S+\?code=(\S+) and authorise").group(1)
            person.expect(rf"the Portal shows the code {code}\.")
            os.kill(person.pid, signal.SIGINT)
            person.end()
            self.assertIn("waiting for an authorisation", node.cli("setup", "status").ok().out)
            self.assertIn("Paired: this node belongs to Ada", node.cli("setup", "--pair", "GOOD-first").ok().out)
            self.assertIn("Paired already: this node belongs to Ada", node.cli("setup", "--pair", "EXPIRED-2").ok().out)

            person = Terminal(node, "setup")
            self.keep_all(person)
            person.expect(r"Paired already: this node belongs to Ada Lovelace")
            person.answer(r"Pair with another account\?.*\] ", "y")
            person.answer(r"Pairing code of the Portal.*?: ", "EXPIRED-2")
            person.answer(r"expired(?s:.*)Pairing code of the Portal.*?: ", "")
            person.answer(r"Write this configuration now\?.*\] ", "y")
            self.assertEqual(person.end(), 0)
            self.assertFalse(node.path("/var/lib/maculaos/credentials/portal").exists())
            process.stop()

    def test_what_the_page_changed_meanwhile_is_not_overwritten(self):
        with Node() as node:
            person = Terminal(node, "setup")
            person.expect(r"Connection\n(?s:.*)\[dhcp\] ")
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/mesh")
            page.post("/mesh", realm="com.example.plant")
            person.type("")
            person.expect("(?i)changed")
            self.assertEqual(person.end(), 1)
            self.assertIn("com.example.plant", node.cli("call", "firstboot.steps").ok().out)

    def test_a_script_gives_a_file_of_answers(self):
        process, env = portal()
        with process, Node(env=env) as node:
            answers = f"hostname=edge-8\ntimezone=Europe/Paris\nssh_keys={KEY}\\n{KEY}2\nrealm=io.macula\n"
            node.cli("setup", "--answers", "-", stdin=answers.replace("2\n", "\n", 1)).ok()
            status = node.cli("setup", "status", "-o", "json").ok().json()
            self.assertEqual(status.get("step"), None)
            node.cli("setup", "--pair", "GOOD-setup").ok()
            self.assertIn("Portal: paired: Ada Lovelace\n", node.cli("setup", "status").ok().out)
            node.cli("setup", "--finish").ok()
            self.assertEqual(node.get("hostname"), "edge-8")
            self.assertEqual(len(node.get("ssh_authorized_keys")), 2)
            process.stop()

    def test_wrong_answers_are_named_and_rejected(self):
        with Node() as node:
            for name in ("bad_name", "localhost", "Localhost", "localhost.localdomain"):
                wrong = node.cli("setup", "--answers", "-", stdin=f"hostname={name}\npassword=x\n").exits(5)
                self.assertIn("hostname: expected a host name", wrong.err)
            self.assertIn("no question", node.cli("setup", "--answers", "-", stdin="colour=red\n").exits(2).err)
            self.assertIn("is a directory", node.cli("setup", "--answers", node.root).exits(2).err.lower())
            self.assertIn("NAME=VALUE", node.cli("setup", "--answers", "-", stdin="nonsense\n").exits(2).err)
            self.assertIn("not a terminal", node.cli("setup", stdin="").exits(2).err)
            node.cli("setup", "--finish").exits(5)

    def test_answers_that_come_too_late_are_refused_with_the_reason(self):
        with Node() as node:
            node.cli("setup", "--answers", "-", "--finish", "--no-reboot", stdin="password=a secret word\n").ok()
            late = node.cli("setup", "--answers", "-", stdin="hostname=edge-8\n").exits(5)
            self.assertIn("it takes no more answers", late.err)

    def test_page_and_terminal_see_the_same_answers(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/mesh")
            page.post("/mesh", realm="com.example.plant")
            steps = node.cli("call", "firstboot.steps").ok().json()["steps"]
            field = next(field for step in steps for field in step["fields"] if field["name"] == "realm")
            self.assertEqual(field["value"], "com.example.plant")

    def test_code_and_answers_are_for_the_administrator_only(self):
        with Node() as node:
            self.assertRegex(node.cli("setup", "code").ok().out, r"[A-Z2-9]{3}-[A-Z2-9]{3}")
            node.anonymous("setup", "code").exits(6)
            node.anonymous("call", "firstboot.steps").exits(6)
            self.assertNotRegex(node.anonymous("setup", "status", "-o", "json").ok().out, r"[A-Z2-9]{3}-[A-Z2-9]{3}")


# A terminal of a node: getty, login and the shell that reads the profile of the image, with names of its own for root's power.
# Only this process sees those files.
LOGIN = """
mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/macula/firstboot || exit 1
mount --bind "$STAGE" /etc/profile.d && mount --bind "$STAGE/bin" /usr/local/sbin || exit 1
printf '\\nedge login: '
read -r name
exec python3 -c 'import os; os.execv("/bin/sh", ["-sh"])'
"""


# The greeting of the image over what this node shows.
GREETING = """
mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/macula/firstboot /run/initramfs || exit 1
mount -t tmpfs none /usr/libexec && mkdir /usr/libexec/macula && cp "$OVERLAY"/* /usr/libexec/macula/ || exit 1
cp "$CONSOLE" /run/macula/firstboot/console
/usr/libexec/macula/greeting && stat -c %a /run/issue && cat /run/issue
"""


def needs_root(case):
    if os.geteuid() != 0 or pathlib.Path("/var/lib/maculaos/.configured").exists():
        case.skipTest("needs root, on a machine that is no node")


class Screen(unittest.TestCase):
    def greeting(self, node):
        env = {**os.environ, "OVERLAY": str(SOURCE / "overlay/usr/libexec/macula"), "CONSOLE": str(node.path(CONSOLE))}
        done = subprocess.run(["unshare", "-m", "sh", "-c", GREETING], env=env, capture_output=True, text=True, timeout=PATIENCE, check=True)
        mode, _, text = done.stdout.partition("\n")
        self.assertEqual(mode, "600")
        return text

    def test_code_and_qr_fit_a_screen_of_25_lines_with_the_login_below(self):
        needs_root(self)
        with Node() as node:
            text = self.greeting(node)
            code = Page(node).code()
            self.assertIn(f"Code: {code}", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 80)
            # On a node the address stands below the name; a live system and a slot have a line of their own.
            self.assertLessEqual(text.count("\n") + 2, 24)

    def test_a_code_that_was_used_leaves_the_screen(self):
        with Node() as node:
            page = Page(node)
            code = page.code()
            page.get("/")
            page.enter()
            self.assertNotIn(code, node.read(CONSOLE))
            self.assertRegex(node.read(CONSOLE), r"Code: [A-Z2-9]{3}-[A-Z2-9]{3}\n")


class LogIn(unittest.TestCase):
    def stage(self, folder):
        """The profile of the image as it is; doas, tty and maculaos as this machine can have them."""
        shutil.copy(SOURCE / "overlay/etc/profile.d/macula-setup.sh", folder)
        (folder / "bin").mkdir()
        for name, text in (("doas", 'exec "$@"'), ("tty", "echo /dev/tty1"), ("maculaos", f'exec {BIN}/maculaos "$@"')):
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)

    def test_the_harness_of_the_image_leaves_the_set_up_that_a_login_begins(self):
        needs_root(self)
        with Node() as node, tempfile.TemporaryDirectory() as folder:
            self.stage(pathlib.Path(folder))
            terminal = Terminal(node, "-m", "sh", "-c", LOGIN, program=pathlib.Path("/usr/bin/unshare"), STAGE=folder)
            console = Console(terminal, "the terminal itself")
            console.log_in()
            self.assertIn("Set up this node.", console.text)
            self.assertEqual(console.ok("echo here"), "here")
            self.assertEqual(console.run("maculaos setup status >/dev/null; false")[0], 1)
            console.line("exit")
            console.expect_end()
            os.waitpid(terminal.pid, 0)
            os.close(terminal.fd)


if __name__ == "__main__":
    unittest.main(verbosity=2)
