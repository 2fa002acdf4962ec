#!/usr/bin/env python3
"""Pairing with the stand-in of the Portal over real HTTPS; what goes wrong there, and what a power cut leaves."""
import contextlib
import json
import pathlib
import re
import select
import shutil
import socket
import socketserver
import ssl
import stat
import tempfile
import threading
import unittest
import urllib.parse
import urllib.request

from node_harness import Node
from setup_page import Page, portal

CREDENTIALS = "/var/lib/maculaos/credentials/portal"
UNPAIRED, CONTACTING, WAITING, PAIRED, REFUSED = range(5)


def settled(page):
    """Waits until the Portal has answered; the state."""
    for _ in range(100000):
        state = page.status()["pairing"]
        if state != CONTACTING:
            return state
    raise AssertionError("the Portal was asked and nothing came of it")


def pair(page, code):
    page.get("/pairing")
    page.post("/pairing", action="code", portal_code=code)
    return settled(page)


def entered(node):
    page = Page(node)
    page.get("/")
    page.enter()
    return page


@contextlib.contextmanager
def cut_at(point):
    """(node, file, page): a node whose power is cut at a point while that file is there; its page, where everything has been answered."""
    with tempfile.TemporaryDirectory() as folder:
        armed = pathlib.Path(folder, "armed")
        with Node(env={"MACULA_FAULT": point, "MACULA_FAULT_ARMED": str(armed)}) as node:
            page = entered(node)
            page.answer_all()
            yield node, armed, page


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy that knows CONNECT and nothing else."""
    daemon_threads = allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Connection)
        self.asked, self.port = [], self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    class Connection(socketserver.StreamRequestHandler):
        def handle(self):
            verb, place, _ = self.rfile.readline().decode().split()
            while self.rfile.readline().strip():
                pass
            assert verb == "CONNECT", verb
            self.server.asked.append(place)
            host, port = place.split(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                ends = {self.connection: there, there: self.connection}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)


class Pairing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.portal, cls.env = portal()

    @classmethod
    def tearDownClass(cls):
        cls.portal.stop()
        cls.portal.close()

    def asked(self):
        context = ssl.create_default_context(cafile=self.env["MACULA_CA_FILE"])
        with urllib.request.urlopen(self.env["MACULA_PORTAL"] + "/requests", context=context) as answer:
            return json.load(answer)

    def test_a_code_of_the_portal_pairs_the_node(self):
        with Node(env=self.env) as node:
            page = entered(node)
            self.assertEqual(pair(page, "GITOPS-23"), PAIRED)
            text = page.get("/pairing").text
            self.assertIn("Ada Lovelace", text)
            self.assertIn("Analytical Engines", text)
            question = self.asked()[-1]
            self.assertEqual((question["pairing_code"], question["path"]), ("GITOPS-23", "/api/console/pair"))
            self.assertRegex(question["node_code"], r"^[A-Z2-9]{3}-[A-Z2-9]{3}$")
            self.assertRegex(question["node_id"], "^U")
            page.answer_all()
            with node.events("node.paired", count=1) as events:
                page.finish()
                events.wait('"organisation"')

    def test_credentials_are_sealed_and_private_and_nowhere_else(self):
        with Node(env=self.env) as node:
            page = entered(node)
            self.assertEqual(pair(page, "BUSY-2222"), PAIRED)
            path = node.path(CREDENTIALS)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
            self.assertTrue(path.read_text().startswith("sealed:v1:"))
            for file in node.root.rglob("*"):
                if file.is_file():
                    self.assertNotIn(b"refresh-", file.read_bytes(), file)
            self.assertNotIn("refresh-", page.get("/pairing").text)
            self.assertNotIn("refresh-", node.cli("call", "firstboot.status").out)
            self.assertNotIn("refresh-", "\n".join(node.runner.lines.drain()))

    def test_what_the_portal_says_is_shown_and_the_way_goes_on(self):
        with Node(env=self.env) as node:
            page = entered(node)
            for code, words in (("EXPIRED-2", "has expired"), ("DENIED-22", "no room for another node"), ("WRONG-222", "does not know"),
                                ("BROKEN-22", "makes no sense"), ("EMPTY-222", "refresh_token is missing"),
                                ("HUGE-2222", "larger than"), ("LEAD-2222", "HTTP 307"), ("HANGUP-22", "broke the connection off")):
                with self.subTest(code):
                    self.assertEqual(pair(page, code), REFUSED)
                    self.assertIn(words, page.get("/pairing").text)
                    self.assertFalse(node.path(CREDENTIALS).exists())
            self.assertEqual(pair(page, "HTML-2222"), PAIRED)
            self.assertNotIn("<script>alert", page.get("/pairing").text)
            self.assertIn("&lt;script&gt;", page.last.text)

    def test_a_slow_portal_can_be_left(self):
        with Node(env=self.env) as node:
            page = entered(node)
            page.get("/pairing")
            page.post("/pairing", action="code", portal_code="SLOW-2222")
            self.assertEqual(page.status()["pairing"], CONTACTING)
            page.get("/pairing")
            page.post("/pairing", action="cancel")
            self.assertEqual(settled(page), UNPAIRED)

    def test_a_certificate_nobody_vouches_for_is_refused(self):
        with Node(env={**self.env, "MACULA_CA_FILE": ""}) as node:
            page = entered(node)
            self.assertEqual(pair(page, "GOOD-2345"), REFUSED)
            self.assertIn("is not trusted", page.get("/pairing").text)

    def test_a_certificate_of_another_name_or_time_is_refused(self):
        elsewhere = self.env["MACULA_PORTAL"].replace("localhost", "127.0.0.2")
        over, env = portal(days=0)
        with over:
            for wrong in ({**self.env, "MACULA_PORTAL": elsewhere}, env):
                with self.subTest(wrong["MACULA_PORTAL"]), Node(env=wrong) as node:
                    page = entered(node)
                    self.assertEqual(pair(page, "GOOD-never"), REFUSED)
                    self.assertRegex(page.get("/pairing").text, "is not trusted")
                    self.assertFalse(node.path(CREDENTIALS).exists())
            over.stop()
        self.assertNotIn("GOOD-never", [question.get("pairing_code") for question in self.asked()])

    def test_the_portal_is_reached_through_the_proxy_of_the_configuration(self):
        with Proxy() as proxy:
            config = f"maculaos:\n  environment:\n    https_proxy: http://localhost:{proxy.port}\n"
            with Node(config=config, env={**self.env, "no_proxy": "", "NO_PROXY": ""}) as node:
                self.assertEqual(pair(entered(node), "GOOD-proxy"), PAIRED)
        self.assertEqual(proxy.asked, [urllib.parse.urlsplit(self.env["MACULA_PORTAL"]).netloc])

    def test_a_portal_that_is_not_there_is_said(self):
        with Node(env={**self.env, "MACULA_PORTAL": "https://localhost:9"}) as node:
            page = entered(node)
            self.assertEqual(pair(page, "GOOD-2345"), REFUSED)
            self.assertIn("does not accept the connection", page.get("/pairing").text)

    def test_somebody_authorises_the_node_in_the_portal(self):
        with Node(env=self.env) as node:
            page = entered(node)
            page.get("/pairing")
            page.post("/pairing", action="device")
            self.assertEqual(settled(page), WAITING)
            text = page.get("/pairing").text
            url = re.search(r"https://localhost:\d+/authorise\?code=([A-Z2-9-]{7})", text)
            self.assertIn('role="img"', text)
            context = ssl.create_default_context(cafile=self.env["MACULA_CA_FILE"])
            with urllib.request.urlopen(url.group(0).split("?")[0], f"code={url.group(1)}".encode(), context=context) as answer:
                self.assertEqual(answer.status, 200)
            node.runner.wait("pairing.*state=paired")
            self.assertIn("Ada Lovelace", page.get("/pairing").text)

    def test_a_paired_node_can_be_paired_with_another_account(self):
        with Node(env=self.env) as node:
            page = entered(node)
            self.assertEqual(pair(page, "GOOD-mine"), PAIRED)
            page.get("/pairing")
            self.assertIn("Pair with another account", page.last.text)
            self.assertEqual(page.request("POST", "/pairing", "action=leave").status, 403)  # of another page
            self.assertEqual(page.status()["pairing"], PAIRED)
            self.assertIn("Pairing code from the Portal", page.post("/pairing", action="leave").text)
            self.assertFalse(node.path(CREDENTIALS).exists())
            self.assertEqual(pair(page, "GOOD-yours"), PAIRED)
            self.assertTrue(node.path(CREDENTIALS).exists())

    def test_a_power_cut_before_the_credentials_are_stored_lets_the_same_code_pair_again(self):
        for fault in ("fs.write.temporary", "firstboot.credentials"):
            with self.subTest(fault), tempfile.TemporaryDirectory() as folder:
                armed = pathlib.Path(folder, "armed")
                with Node(env={**self.env, "MACULA_FAULT": fault, "MACULA_FAULT_ARMED": str(armed)}) as node:
                    page = entered(node)
                    page.get("/pairing")
                    code = f"GOOD-{fault}"
                    self.cut_when_armed(node, armed, lambda: page.post("/pairing", action="code", portal_code=code))
                    node.start()
                    page = entered(node)
                    if fault == "firstboot.credentials":
                        self.assertEqual(page.status()["pairing"], PAIRED)
                    else:
                        self.assertFalse(node.path(CREDENTIALS).exists())
                        self.assertEqual(pair(page, code), PAIRED)

    def cut_when_armed(self, node, armed, act):
        armed.write_text("")
        try:
            act()
        except OSError:
            pass  # the process died under it
        node.runner.wait("unit=firstboot state=waiting.*signal 9")
        node.kill()
        armed.unlink()

    def test_unattended_with_a_code_pairs_and_is_configured_without_anybody(self):
        config = "hostname: alone\nmaculaos:\n  first_boot:\n    unattended: true\n    pairing_code: GITOPS-alone\n"
        env = {**self.env, "MACULA_FIRSTBOOT_LINGER_MS": "0"}
        with Node(config=config, env=env) as node:
            node.runner.wait_once('msg="the node is configured"')
            self.assertTrue(node.path(CREDENTIALS).exists())
            self.assertTrue(node.path("/var/lib/maculaos/.configured").exists())
            self.assertEqual(node.generation(), 1)


    def test_unattended_goes_on_when_the_disk_takes_its_end_again(self):
        config = "hostname: alone\nmaculaos:\n  first_boot:\n    unattended: true\n"
        with tempfile.TemporaryDirectory() as folder:
            notice = pathlib.Path(folder, "var/lib/maculaos/firstboot/paired")
            (notice / "in the way").mkdir(parents=True)
            with Node(root=folder, config=config, env={"MACULA_FIRSTBOOT_LINGER_MS": "0"}) as node:
                node.runner.wait_once('msg="the set-up could not be finished"')
                shutil.rmtree(notice)
                node.runner.wait_once('msg="the node is configured"')
                self.assertTrue(node.path("/var/lib/maculaos/.configured").exists())


class Faults(unittest.TestCase):
    """A power cut at each step of the end: the node finishes by itself, once."""

    def wait_until_finished(self, node):
        for _ in range(600):
            units = node.cli("services", "processes", "-o", "json").ok().json()["units"]
            if next(unit for unit in units if unit["name"] == "firstboot")["state"] == "finished":
                return
        self.fail("firstboot goes on")

    POINTS = ("firstboot.draft", "firstboot.finish.applied", "firstboot.finish.marked", "firstboot.notice.told", "fs.write.temporary", "fs.write.renamed")

    def test_a_power_cut_at_any_step_of_the_end_is_made_good_by_the_next_start(self):
        for point in self.POINTS:
            with self.subTest(point), cut_at(point) as (node, armed, page):
                page.get("/review")
                before = node.generation()
                armed.write_text("")
                try:
                    page.post("/finish")
                except OSError:
                    pass
                node.runner.wait("state=waiting.*signal 9")
                node.kill()
                armed.unlink()
                node.start()
                if not node.path("/var/lib/maculaos/.configured").exists():
                    again = entered(node) if "asking" in node.cli("call", "firstboot.status").out else None
                    if again:
                        self.assertIn("Go on with: Review", again.last.text)
                        again.finish()
                    node.runner.wait_once('msg="the node is configured"')
                self.assertEqual(node.get("hostname"), "edge-7")
                self.assertEqual(node.generation(), before + 1)
                self.assertFalse(node.path("/var/lib/maculaos/firstboot/draft").exists()
                                 and node.cli("call", "firstboot.status").code == 0)

    def test_a_power_cut_before_a_network_for_elsewhere_is_confirmed_is_made_good_by_the_next_start(self):
        with cut_at("firstboot.finish.pending") as (node, armed, page):
            found = re.search(r'<datalist id="net_interface-list"><option value="([^"]+)">', page.get("/network").text)
            if not found:
                self.skipTest("this machine has no network interface but the loopback")
            page.post("/network", net_mode="static", net_interface=found.group(1), net_address="10.44.0.2/24",
                      net_gateway="10.44.0.1", net_elsewhere="yes")
            self.assertRegex(page.get("/review").text, r"For another network than this one</dt><dd>yes")
            armed.write_text("")
            with contextlib.suppress(OSError):
                page.post("/finish")
            node.runner.wait("unit=firstboot state=waiting.*signal 9")
            node.kill()
            armed.unlink()
            node.start(MACULA_BOOT_ID="another")
            node.runner.wait_once('msg="the node is configured"')
            self.assertEqual(node.get(f"maculaos.network.interfaces.{found.group(1)}.gateway"), "10.44.0.1")
            self.assertNotIn("pending", node.cli("config", "status", "-o", "json").ok().json())

    def test_that_the_node_is_paired_is_told_whenever_the_process_dies_after_the_mark(self):
        for point in ("firstboot.finish.marked", "firstboot.notice.told"):
            with self.subTest(point), cut_at(point) as (node, armed, page):
                page.get("/review")
                generation = node.generation() + 1
                listener = node.events("node.paired", count=1 if "marked" in point else 2)
                armed.write_text("")
                with contextlib.suppress(OSError):
                    page.post("/finish")
                node.runner.wait("unit=firstboot state=waiting.*signal 9")
                armed.unlink()  # the supervisor starts it again by itself
                for _ in range(1 if "marked" in point else 2):
                    self.assertEqual(int(listener.wait(r'"generation"\s*:\s*"?(\d+)').group(1)), generation)
                self.wait_until_finished(node)
                self.assertEqual(sorted(p.name for p in node.path("/var/lib/maculaos/firstboot").iterdir()), [])

    def test_a_power_cut_while_an_answer_is_kept_loses_this_answer_or_none(self):
        for point in ("fs.write.temporary", "fs.write.renamed", "firstboot.draft"):
            with self.subTest(point), cut_at(point) as (node, armed, page):
                page.get("/mesh")
                page.post("/mesh", realm="com.example.before")
                page.get("/mesh")
                armed.write_text("")
                with contextlib.suppress(OSError):
                    page.post("/mesh", realm="com.example.plant")
                node.runner.wait("state=waiting.*signal 9")
                node.kill()
                armed.unlink()
                node.start()
                page = entered(node)
                self.assertIn("Go on with: Review", page.last.text)
                self.assertIn('value="edge-7"', page.get("/system").text)
                after = "com.example.before" if point == "fs.write.temporary" else "com.example.plant"
                self.assertIn(f'value="{after}"', page.get("/mesh").text)
                page.finish()
                node.runner.wait_once('msg="the node is configured"')

    def test_an_answer_that_cannot_be_kept_is_not_taken_for_given(self):
        with Node() as node:
            page = entered(node)
            page.answer_all()
            page.get("/mesh")
            page.post("/mesh", realm="com.example.before")
            draft = node.path("/var/lib/maculaos/firstboot/draft")
            kept = draft.read_bytes()
            draft.unlink()
            pathlib.Path(draft, "in the way").mkdir(parents=True)
            page.get("/mesh")
            self.assertEqual(page.post("/mesh", realm="com.example.plant").status, 507)
            self.assertIn('value="com.example.before"', page.get("/mesh").text)
            page.get("/review")
            self.assertEqual(page.post("/finish").status, 507)
            self.assertFalse(node.path("/var/lib/maculaos/.configured").exists())
            shutil.rmtree(draft)
            draft.write_bytes(kept)
            page.finish()
            node.runner.wait_once('msg="the node is configured"')

    def test_what_cannot_be_read_any_more_is_asked_again(self):
        for damage in ("draft", "key"):
            with self.subTest(damage), Node() as node:
                entered(node).answer_all()
                node.kill()
                if damage == "draft":
                    path = node.path("/var/lib/maculaos/firstboot/draft")
                    text = path.read_text()
                    path.write_text(text[:len(text) // 2])
                else:
                    node.path("/var/lib/maculaos/identity/machine.key").unlink()
                node.start()
                page = entered(node)
                self.assertNotIn("Go on with", page.last.text)
                page.answer_all()
                page.finish()
                node.runner.wait_once('msg="the node is configured"')


if __name__ == "__main__":
    unittest.main(verbosity=2)
