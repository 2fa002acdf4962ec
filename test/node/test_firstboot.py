#!/usr/bin/env python3
"""A node is set up by a browser without JavaScript, and does not forget how far it was."""
import re
import stat
import unittest

from node_harness import Node
from setup_page import CONSOLE, Page


class Wizard(unittest.TestCase):
    def test_the_whole_way_configures_the_node_in_one_generation(self):
        with Node() as node:
            page = Page(node)
            before = node.generation()
            page.get("/")
            page.enter()
            page.answer_all()
            with node.events("node.paired", count=1) as events:
                page.finish()
                event = events.wait(r'"hostname"\s*:\s*"edge-7"')
                self.assertTrue(event)
            self.assertTrue(node.path("/var/lib/maculaos/.configured").exists())
            self.assertEqual(node.generation(), before + 1)
            self.assertEqual(node.get("maculaos.timezone"), "Europe/Berlin")
            history = node.cli("config", "history", "-o", "json").ok().json()
            self.assertEqual(history["generations"][0]["author"], "first boot")
            self.assertIn("The node is configured", page.get("/").text)

    def test_when_it_is_over_the_process_ends_and_the_supervisor_leaves_it_so(self):
        with Node(env={"MACULA_FIRSTBOOT_LINGER_MS": "0"}) as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.answer_all()
            try:
                page.finish()
            except OSError:
                pass  # it does not linger: the process may be gone before it has shown the last page
            self.wait_until_finished(node)
            node.stop()
            node.start()
            self.wait_until_finished(node)
            self.assertFalse(node.path(CONSOLE).exists())

    def wait_until_finished(self, node):
        for _ in range(600):
            status = node.cli("services", "processes", "-o", "json").ok().json()
            unit = next(unit for unit in status["units"] if unit["name"] == "firstboot")
            if unit["state"] == "finished":
                return
        self.fail(f"firstboot is {unit['state']}")

    def test_wrong_answers_are_said_beside_their_fields_and_nothing_is_kept(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/system")
            answer = page.post("/system", hostname="not_a_name", timezone="Europe/Berlin", keyboard="de", locale="x y",
                               password="", ssh_keys="nonsense")
            self.assertEqual(answer.status, 422)
            self.assertEqual(sorted(answer.errors()), ["hostname", "locale", "ssh_keys"])
            self.assertIn('value="not_a_name"', answer.text)
            self.assertEqual(sorted(page.post("/system", hostname="a", timezone="Nowhere/Else", password="", ssh_keys="").errors()),
                             ["password", "timezone"])
            self.assertNotIn("not_a_name", page.get("/system").text)

    def test_every_wrong_field_of_a_page_is_said_at_once(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/system")
            answer = page.post("/system", hostname="not_a_name", timezone="Nowhere/Else", keyboard="x y", ssh_keys="nonsense")
            self.assertEqual(sorted(answer.errors()), ["hostname", "keyboard", "ssh_keys", "timezone"])
            page.get("/network")
            answer = page.post("/network", net_mode="static", net_interface="", net_gateway="gate", net_dns="x")
            self.assertEqual(sorted(answer.errors()), ["net_address", "net_dns", "net_gateway", "net_interface"])
            self.assertEqual(answer.errors()["net_interface"], "the name of the interface is needed")

    def test_an_answer_that_is_too_long_is_said_at_its_field_and_nothing_else_is_lost(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            for keys in ("k" * 9000, "k" * 60000):
                page.get("/system")
                answer = page.post("/system", hostname="edge-7", keyboard="de", ssh_keys=keys)
                self.assertEqual((answer.status, list(answer.errors())), (422, ["ssh_keys"]))
                self.assertIn("longer than 8192 bytes", answer.errors()["ssh_keys"])
                self.assertIn('value="edge-7"', answer.text)
                self.assertIn(keys, answer.text)

    def test_a_password_beside_a_mistake_is_asked_for_again(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/system")
            answer = page.post("/system", hostname="not_a_name", password="correct horse", ssh_keys="")
            self.assertEqual(sorted(answer.errors()), ["hostname", "password"])
            self.assertIn("type it once more", answer.errors()["password"])
            self.assertNotIn("correct horse", answer.text)
            page.get("/network")
            answer = page.post("/network", net_mode="wifi", wifi_name="n" * 40, wifi_passphrase="correct-horse")
            self.assertEqual(sorted(answer.errors()), ["wifi_name", "wifi_passphrase"])
            answer = page.post("/network", net_mode="dhcp", net_dns="x", wifi_name="n" * 40, wifi_passphrase="correct-horse")
            self.assertEqual(answer.status, 200, answer.errors())

    def test_an_address_that_contradicts_itself_is_said_at_once(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            name = self.first_interface(page)
            for address, gateway, field in (("192.168.7.2/24", "10.0.0.1", "net_gateway"), ("192.168.7.0/24", "", "net_address"),
                                            ("192.168.7.2/24", "192.168.7.2", "net_gateway"), ("0.0.0.0/0", "", "net_address"),
                                            ("192.168.7.2/24 192.168.7.2/24", "", "net_address"),
                                            ("192.168.7.255/24", "", "net_address")):
                page.get("/network")
                answer = page.post("/network", net_mode="static", net_interface=name, net_address=address, net_gateway=gateway)
                self.assertEqual((answer.status, list(answer.errors())), (422, [field]), (address, gateway))
            self.assertEqual(page.post("/network", net_mode="static", net_interface=name, net_address="192.168.7.2/24",
                                       net_gateway="192.168.7.1").status, 200)

    def first_interface(self, page):
        found = re.search(r'<datalist id="net_interface-list"><option value="([^"]+)">', page.get("/network").text)
        return found.group(1) if found else self.skipTest("this machine has no network interface but the loopback")

    def test_what_a_service_refuses_at_the_end_is_said_at_its_field_until_it_is_answered_anew(self):
        taken = "maculaos: {network: {interfaces: {other0: {addresses: [192.168.7.2/24]}}}}\n"  # the page does not look there
        with Node(config=taken) as node:
            page = Page(node)
            page.get("/")
            page.enter()
            fixed = {"net_mode": "static", "net_interface": self.first_interface(page), "net_gateway": "192.168.7.1"}
            page.post("/network", **fixed, net_address="192.168.7.2/24")
            page.answer_all_but_network()
            page.finish()
            node.until(lambda: page.status()["failed"])
            self.assertRegex(page.get("/review").text, r'<a href="/network#net_address">Address[^<]*</a>: 192.168.7.2/24 is given to')
            self.assertIn("is given to", page.get("/network").errors()["net_address"])
            self.assertIn('value="192.168.7.2/24"', page.last.text)
            self.assertEqual(page.get("/system").errors(), {})
            page.get("/network")
            page.post("/network", **fixed, net_address="192.168.7.3/24")
            self.assertEqual(page.get("/network").errors(), {})
            self.assertNotIn("was not accepted", page.get("/review").text)

    def test_a_wifi_is_open_only_where_that_is_said_and_its_name_is_taken_as_it_is(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            text = page.get("/network").text
            self.assertEqual("besides the cable (no Wi-Fi device was found)" in text, "<h2>Wi-Fi networks</h2>" not in text)
            answer = page.post("/network", net_mode="wifi", wifi_name="depot", wifi_passphrase="")
            self.assertEqual((answer.status, list(answer.errors())), (422, ["wifi_passphrase"]))
            self.assertEqual(list(page.post("/network", net_mode="wifi", wifi_name="  ", wifi_open="yes").errors()), ["wifi_name"])
            page.post("/network", net_mode="wifi", wifi_name=" a b ", wifi_open="yes")
            self.assertIn("begins or ends with a space", page.get("/review").text)
            self.assertIn('value=" a b "', page.get("/network").text)

    def test_the_last_page_says_how_the_node_is_reached_then(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.answer_all()
            page.get("/system")
            page.post("/system", hostname="edge-${RANDOM_SUFFIX}", password="correct horse", ssh_keys="")
            page.get("/network")
            fixed = {"net_mode": "static", "net_interface": self.first_interface(page), "net_address": "192.168.7.2/24"}
            page.post("/network", **fixed)
            with node.events("node.paired", count=1) as events:
                page.finish()
                name = events.wait(r'"hostname"\s*:\s*"(edge-\w+)"').group(1)
            text = page.get("/").text
            self.assertEqual(name, "edge-" + node.read("/var/lib/maculaos/identity/suffix").strip())
            self.assertIn(f"{name}.local", text)
            self.assertIn(f"192.168.7.2/24 on {fixed['net_interface']}", text)
            self.assertNotIn("ssh macula@", text)
            self.assertIn("no SSH key was given", text)

    def test_a_hash_is_taken_whole_or_not_at_all_for_a_password(self):
        whole = "$6$saltsalt$" + "a" * 86
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/system")
            for damaged in (whole[:-1], whole + ":", "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "$2a$10$" + "a" * 53):
                answer = page.post("/system", hostname="edge-7", password=damaged)
                self.assertEqual((answer.status, sorted(answer.errors())), (422, ["password"]), damaged)
                self.assertIn("copy a whole one", answer.errors()["password"])
                self.assertNotIn(damaged, answer.text)
            page.post("/system", hostname="edge-7", password=whole)
            page.post("/mesh")
            page.get("/network")
            page.post("/network", net_mode="dhcp")
            page.finish()
            node.runner.wait_once('msg="the node is configured"')
            self.assertIn(whole, node.read("/var/lib/maculaos/config.yaml"))

    def test_a_fixed_address_is_checked_as_yaml_is(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.get("/network")
            self.assertEqual(sorted(page.post("/network", net_mode="static", net_interface="nope0").errors()),
                             ["net_address", "net_interface"])
            answer = page.post("/network", net_mode="static", net_interface=self.first_interface(page), net_address="192.168.7.300/24",
                               net_gateway="gate", net_dns="1.1.1.1 x")
            self.assertEqual(sorted(answer.errors()), ["net_address", "net_dns", "net_gateway"])

    def test_another_browser_and_a_restart_go_on_where_it_was(self):
        with Node() as node:
            first = Page(node)
            first.get("/")
            first.enter()
            first.get("/network")
            first.post("/network", net_mode="wifi", wifi_name="depot", wifi_passphrase="correct-horse")
            second = Page(node)
            second.get("/")
            self.assertIn("System", second.enter().text)
            self.assertIn('value="depot"', second.get("/network").text)
            self.assertNotIn("correct-horse", second.last.text)
            node.kill()
            node.start()
            third = Page(node)
            third.get("/")
            self.assertIn("Go on with: System", third.enter().text)
            self.assertIn('value="depot"', third.get("/network").text)

    def test_two_browsers_do_not_overwrite_each_other(self):
        with Node() as node:
            first, second = Page(node), Page(node)
            for page in (first, second):
                page.get("/")
                page.enter()
                page.get("/mesh")
            first.post("/mesh", realm="com.example.first")
            answer = second.post("/mesh", realm="com.example.second")
            self.assertEqual(answer.status, 409)
            self.assertIn("another browser", answer.text)
            self.assertIn('value="com.example.first"', answer.text)

    def test_what_is_kept_is_sealed_and_nobody_elses(self):
        with Node() as node:
            page = Page(node)
            page.get("/")
            page.enter()
            page.answer_all(password="a very secret word")
            for path in node.path("/var/lib/maculaos").rglob("*"):
                if path.is_file():
                    self.assertNotIn(b"a very secret word", path.read_bytes(), path)
            draft = node.path("/var/lib/maculaos/firstboot/draft")
            self.assertEqual(stat.S_IMODE(draft.stat().st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(draft.parent.stat().st_mode), 0o700)
            self.assertTrue(draft.read_text().startswith("sealed:v1:"))
            self.assertEqual(stat.S_IMODE(node.path(CONSOLE).stat().st_mode), 0o600)

    def test_the_script_has_no_words_of_its_own(self):
        with Node() as node:
            page = Page(node)
            self.assertNotRegex(page.get("/script.js").text, "Show|Hide")
            page.get("/")
            page.enter()
            self.assertRegex(page.get("/system").text, '<input id="password"[^>]* data-show="Show" data-hide="Hide"')

    def test_the_code_is_in_no_log(self):
        with Node() as node:
            page = Page(node)
            codes = [page.code()]
            page.get("/")
            page.enter()
            codes.append(page.code())
            page.get("/")
            self.assertIn(codes[1], page.last.text)
            log = "\n".join(node.runner.lines.drain())
            for code in codes:
                self.assertNotIn(code, log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
