#!/usr/bin/env python3
"""The page of the first boot and clients that mean it no good: raw sockets, nothing a browser would send."""
import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import threading
import time
import unittest
import urllib.parse

from node_harness import PATIENCE, SANITIZED, Node
from setup_page import Page

LIMIT = 65536  # bytes of a form


def connect(page, source=""):
    host, port = page.host.split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE, source_address=(source, 0))


def read_all(client):
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := client.recv(65536):
            data += more
    return data.decode(errors="replace")


def ask(page, text):
    """Sends bytes; what comes back until the end of the connection."""
    with connect(page) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(text if isinstance(text, bytes) else text.encode())
        return read_all(client)


def status(answer):
    match = re.match(r"HTTP/1\.[01] (\d+)", answer)
    return int(match.group(1)) if match else None


class SlowRequests:
    """An address with sixteen connections whose requests never end, and another one for each that is cut off."""

    def __init__(self, page, address):
        host, port = page.host.split(":")
        self.server, self.address, self.clients, self.ends = (host, int(port)), address, {}, False
        self.thread = threading.Thread(target=self.hold)
        self.holds = threading.Event()

    def add(self):
        client = socket.socket()
        client.setblocking(False)
        client.bind((self.address, 0))
        client.connect_ex(self.server)
        self.clients[client] = False

    def hold(self):
        while not self.ends:
            while len(self.clients) < 16:
                self.add()
            silent = [client for client, asked in self.clients.items() if not asked]
            readable, writable, _ = select.select(self.clients, silent, [], 0.1)
            for client in writable:
                with contextlib.suppress(OSError):
                    client.send(b"GET / HTTP/1.1\r\n")
                self.clients[client] = True
            for client in readable:  # an end: nothing is ever asked
                client.close()
                del self.clients[client]
            if writable:
                self.holds.set()

    def __enter__(self):
        self.thread.start()
        self.holds.wait(PATIENCE)
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        for client in self.clients:
            client.close()


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()
        cls.page = Page(cls.node)

    @classmethod
    def tearDownClass(cls):
        with cls.node:
            pass

    def setUp(self):
        self.pid = self.node.pids()["firstboot"]

    def tearDown(self):
        """Whatever was done: the same process, and it answers."""
        self.assertEqual(self.node.pids()["firstboot"], self.pid)
        self.assertEqual(Page(self.node).get("/").status, 200)

    def test_paths_lead_nowhere_else(self):
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/style.css/../../etc/shadow",
                     "/network/../status", "/%00", "/style.css%00.html", "/" + "a" * 4000):
            with self.subTest(path[:40]):
                answer = ask(self.page, f"GET {path} HTTP/1.1\r\nHost: {self.page.host}\r\n\r\n")
                self.assertIn(status(answer), (400, 404, 414, 431))
                self.assertNotIn("root:", answer)

    def test_ten_megabytes_are_refused_before_they_are_read(self):
        head = f"POST /session HTTP/1.1\r\nHost: {self.page.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        self.assertEqual(status(ask(self.page, head + f"Content-Length: {10 << 20}\r\n\r\n" + "a" * 100)), 413)
        self.assertEqual(status(ask(self.page, head + "Content-Length: 99999999999999999999\r\n\r\n")), 413)
        self.assertIn(status(ask(self.page, head + "Content-Length: -1\r\n\r\n")), (400, 413))
        self.assertEqual(status(ask(self.page, head + f"Content-Length: {LIMIT + 1}\r\n\r\n")), 413)

    def test_ten_megabytes_that_come_all_the_same_are_not_kept(self):
        head = f"POST /session HTTP/1.1\r\nHost: {self.page.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        ask(self.page, head + f"Content-Length: {10 << 20}\r\n\r\n" + "a" * (10 << 20))
        peak = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", peak).group(1)), 1 << 20 if SANITIZED else 8 << 10)

    def test_headers_without_end_are_refused(self):
        many = "".join(f"X-{number}: {'a' * 100}\r\n" for number in range(1000))
        self.assertIn(status(ask(self.page, f"GET / HTTP/1.1\r\nHost: {self.page.host}\r\n{many}\r\n")), (413, 431))

    def test_requests_are_not_smuggled(self):
        body = "code=AAA-AAA"
        inner = f"GET /status HTTP/1.1\r\nHost: {self.page.host}\r\n\r\n"
        head = f"POST /session HTTP/1.1\r\nHost: {self.page.host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        for extra in (f"Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 3\r\nContent-Length: 5\r\n",
                      "Transfer-Encoding: chunked\r\n", f"Transfer-Encoding : chunked\r\nContent-Length: {len(body)}\r\n",
                      f"Content-Length: {len(body)}\r\nHost: evil.example\r\n", f"Content-Length : {len(body)}\r\n"):
            with self.subTest(extra):
                answer = ask(self.page, head + extra + "\r\n" + body + inner)
                self.assertEqual(answer.count("HTTP/1."), 1 if answer else 0)
                self.assertIn(status(answer), (400, 403, None))
        answer = ask(self.page, inner + inner)
        self.assertEqual(answer.count("HTTP/1."), 1)

    def test_foreign_names_are_refused(self):
        own = self.page.get("/") and re.search(r"This is the node ([\w-]+)", self.page.last.text).group(1)
        self.assertEqual(status(ask(self.page, f"GET / HTTP/1.1\r\nHost: {own}.lan\r\n\r\n")), 200)
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", f"{own}.evil.example", f"{own}.lan.evil.example", ""):
            with self.subTest(host):
                answer = ask(self.page, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
                self.assertIn(status(answer), (400, 403))
                self.assertNotIn("<form", answer)
        self.assertEqual(status(ask(self.page, "GET / HTTP/1.0\r\n\r\n")), 400)

    def test_forms_of_other_pages_and_without_token_change_nothing(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/mesh")
            hidden = page.last.hidden()
            good = urllib.parse.urlencode({**hidden, "realm": "com.evil"})
            for headers, body in (({"Origin": "http://evil.example"}, good), ({"Origin": "null"}, good),
                                  ({}, urllib.parse.urlencode({"revision": hidden["revision"], "realm": "com.evil"})),
                                  ({}, good.replace(hidden["csrf"], "0" * 64))):
                self.assertEqual(page.request("POST", "/mesh", body, headers).status, 403)
            self.assertEqual(page.request("POST", "/mesh", good, {"Content-Type": "text/plain"}).status, 415)
            self.assertIn('value="io.macula"', page.get("/mesh").text)
            stranger = Page(node)
            for path in ("/network", "/system", "/mesh", "/pairing", "/finish"):
                self.assertEqual(stranger.request("POST", path, good).status, 403)
            self.assertEqual(stranger.request("GET", "/status").status, 403)
            self.assertEqual(page.request("GET", "/finish").status, 303)
            self.assertFalse(node.path("/var/lib/maculaos/.configured").exists())

    def test_guessing_codes_is_slowed_and_locks_nobody_else_out(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            answers = [page.request("POST", "/session", f"code=AAA-A{letter}A") for letter in "BCDEF"]
            self.assertEqual([answer.status for answer in answers], [403, 403, 403, 429, 429])
            self.assertGreaterEqual(int(answers[-1].headers["Retry-After"]), 1)
            right = page.request("POST", "/session", "code=" + page.code())
            self.assertEqual(right.status, 429)
            self.assertEqual(node.cli("setup", "code").code, 0)

    def test_a_code_opens_one_door_once(self):
        with Node() as node:
            first, second = Page(node), Page(node)
            code = first.code()
            self.assertEqual(first.request("POST", "/session", f"code={code}").status, 303)
            self.assertEqual(second.request("POST", "/session", f"code={code}").status, 403)
            self.assertIsNone(second.cookie)

    def test_five_hundred_connections_do_not_keep_the_owner_out(self):
        with contextlib.ExitStack() as stack:
            for _ in range(500):
                client = stack.enter_context(contextlib.closing(connect(self.page)))
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"GET / HTTP/1.1\r\nHost:")
            # All come from the loopback, so they share the owner's address: he gets in when the first ones are cut off.
            self.assertEqual(self.wait_for_page().status, 200)

    def test_five_hundred_connections_of_one_address_leave_others_alone(self):
        with contextlib.ExitStack() as stack:
            for _ in range(500):
                client = stack.enter_context(contextlib.closing(connect(self.page, "127.0.0.9")))
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"GET / HTTP/1.1\r\nHost:")
            self.assertEqual(Page(self.node).get("/").status, 200)

    def test_slow_requests_of_many_addresses_do_not_keep_the_owner_out(self):
        with contextlib.ExitStack() as stack:
            for number in range(2, 14):
                stack.enter_context(SlowRequests(self.page, f"127.0.0.{number}"))
            for _ in range(5):
                self.assertEqual(Page(self.node).get("/").status, 200)

    def wait_for_page(self):
        deadline = time.monotonic() + PATIENCE * 2
        while True:
            try:
                return Page(self.node).get("/")
            except (OSError, Exception) as error:  # pylint: disable=broad-exception-caught
                if time.monotonic() > deadline:
                    raise AssertionError("the page never came back") from error

    def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(self):
        host = self.page.host.encode()
        for begin in (b"POST /session HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 1000\r\n"
                      b"Content-Type: application/x-www-form-urlencoded\r\n\r\n", b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nX-Slow: "):
            with self.subTest(begin[:4]):
                self.assertTrue(self.is_cut_off(begin))

    def is_cut_off(self, begin):
        begun = time.monotonic()
        with connect(self.page) as client:
            client.sendall(begin)
            client.settimeout(0.5)
            while time.monotonic() < begun + PATIENCE * 2:
                try:
                    client.sendall(b"a")
                    if client.recv(1) == b"":
                        return True
                except TimeoutError:
                    continue
                except OSError:
                    return True
        return False

    def test_a_form_that_is_sent_again_changes_nothing_more(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/mesh")
            form = urllib.parse.urlencode({**page.last.hidden(), "realm": "com.example.first"})
            self.assertEqual(page.request("POST", "/mesh", form).status, 303)
            page.get("/mesh")
            page.post("/mesh", realm="com.example.second")
            self.assertEqual(page.request("POST", "/mesh", form).status, 409)
            self.assertIn('value="com.example.second"', page.get("/mesh").text)
            page.answer_all()
            page.get("/review")
            end = urllib.parse.urlencode(page.last.hidden())
            before = node.generation()
            self.assertEqual(page.request("POST", "/finish", end).status, 303)
            node.runner.wait('msg="the node is configured"')
            self.assertEqual(page.request("POST", "/finish", end).status, 200)
            self.assertIn("The node is configured", page.request("POST", "/mesh", form).text)
            self.assertEqual(node.generation(), before + 1)

    def test_a_session_ends_with_the_process_that_opened_it(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            os.kill(node.pids()["firstboot"], signal.SIGKILL)
            node.runner.wait("unit=firstboot state=ready from=starting")
            again = Page(node)
            again.cookie = page.cookie
            self.assertIn("Your session is over", again.get("/network").text)
            self.assertEqual(again.request("GET", "/status").status, 403)

    def test_hostile_names_of_a_wifi_are_names_or_refused(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            for name in ("a" * 33, "\u00e9" * 17, "a\x00b", "depot\x1b[31m", "a\nb: c", "a\x7f"):
                with self.subTest(name):
                    page.get("/network")
                    answer = page.request("POST", "/network", urllib.parse.urlencode(
                        {**page.last.hidden(), "net_mode": "wifi", "wifi_name": name, "wifi_passphrase": ""}))
                    self.assertIn(answer.status, (400, 422))
            name = '"><script>alert(1)</script> #{}'
            page.get("/network")
            page.post("/network", net_mode="wifi", wifi_name=name, wifi_passphrase="\"}'<b>: [$(x)]`")
            page.answer_all_but_network()
            self.assertNotIn("<script>alert", page.get("/network").text)
            self.assertNotIn("<script>alert", page.get("/review").text)
            self.assertIn("&lt;script&gt;alert", page.last.text)
            page.post("/finish")
            node.runner.wait('msg="the node is configured"')
            self.assertEqual(node.get("maculaos.wifi[0].name"), name)
            self.assertEqual(len(node.get("maculaos.wifi")), 1)

    def test_nonsense_is_no_request(self):
        for text in (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 4096, b"GET / HTTP/9.9\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc"):
            with self.subTest(text[:20]), connect(self.page) as client:
                with contextlib.suppress(ConnectionError):
                    client.sendall(text)
                    client.shutdown(socket.SHUT_WR)
                self.assertNotEqual(status(read_all(client)), 200)

    def test_answers_forbid_what_a_page_may_not(self):
        headers = Page(self.node).get("/").headers
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        with Node() as node:
            page = Page(node)
            answer = page.request("POST", "/session", "code=" + page.code())
            self.assertRegex(answer.headers["Set-Cookie"], "HttpOnly; SameSite=Strict")


if __name__ == "__main__":
    unittest.main(verbosity=2)
