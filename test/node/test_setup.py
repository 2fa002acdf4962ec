#!/usr/bin/env python3
"""The set-up in a terminal: the same questions, checks and end as the page."""
import os
import pty
import re
import select
import time
import unittest

from node_harness import BIN, PATIENCE, Node
from setup_page import Page, portal

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjkxFNOtbnvj4WVzUCrF me"


class Terminal:
    """A person at a terminal."""

    def __init__(self, node, *arguments):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(BIN / "maculaos", ["maculaos", *arguments], {**node.env, "TERM": "dumb"})

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
            self.seen += data.decode(errors="replace").replace("\r", "")
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def answer(self, pattern, text):
        self.expect(pattern)
        self.type(text)

    def end(self):
        while True:
            try:
                if not os.read(self.fd, 4096):
                    break
            except OSError:
                break
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

    def test_a_script_gives_a_file_of_answers(self):
        process, env = portal()
        with process, Node(env=env) as node:
            answers = f"hostname=edge-8\ntimezone=Europe/Paris\nssh_keys={KEY}\\n{KEY}2\nrealm=io.macula\n"
            node.cli("setup", "--answers", "-", stdin=answers.replace("2\n", "\n", 1)).ok()
            status = node.cli("setup", "status", "-o", "json").ok().json()
            self.assertEqual(status.get("step"), None)
            node.cli("setup", "--pair", "GOOD-setup").ok()
            node.cli("setup", "--finish").ok()
            self.assertEqual(node.get("hostname"), "edge-8")
            self.assertEqual(len(node.get("ssh_authorized_keys")), 2)
            process.stop()

    def test_wrong_answers_are_named_and_rejected(self):
        with Node() as node:
            wrong = node.cli("setup", "--answers", "-", stdin="hostname=bad_name\npassword=x\n").exits(5)
            self.assertIn("hostname", wrong.err)
            self.assertIn("no question", node.cli("setup", "--answers", "-", stdin="colour=red\n").exits(2).err)
            self.assertIn("NAME=VALUE", node.cli("setup", "--answers", "-", stdin="nonsense\n").exits(2).err)
            self.assertIn("not a terminal", node.cli("setup", stdin="").exits(2).err)
            node.cli("setup", "--finish").exits(5)

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
