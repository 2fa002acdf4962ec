"""The first boot of a machine: found on its screens, set up from a phone, paired with the Portal, and closed afterwards."""
import contextlib
import http.client
import json
import ssl
import subprocess
import sys
import time
import unittest
import urllib.request

from os_case import SOURCE, OsTest
from os_console import PATIENCE

sys.path.insert(0, str(SOURCE / "test" / "web"))
from setup_page import Page, portal  # noqa: E402

PASSWORD = "correct horse"
FIRST_BOOT = """  first_boot: {{portal: "{url}"}}
write_files:
  - path: /etc/ssl/certs/ca-certificates.crt
    content: |
{ca}
"""


class ScreenPage(Page):
    """A browser without JavaScript, beside the machine's screen."""

    def __init__(self, machine, code):
        self.host, self.cookie, self.last, self._code = f"127.0.0.1:{machine.ports['web']}", None, None, code

    def code(self):
        return self._code


class Pairing(OsTest):
    def setUp(self):
        super().setUp()
        process, env = portal()
        self.addCleanup(process.close)
        self.url = env["MACULA_PORTAL"].replace("localhost", "10.0.2.2")  # QEMU's name for this host's loopback
        with open(env["MACULA_CA_FILE"], encoding="utf-8") as ca:
            lines = "".join(f"      {line}" for line in ca)
        self.asks = lambda path: json.load(urllib.request.urlopen(
            env["MACULA_PORTAL"] + path, context=ssl.create_default_context(cafile=env["MACULA_CA_FILE"])))
        self.first_boot = self.medium(more=FIRST_BOOT.format(url=self.url, ca=lines.rstrip()))

    def greeting(self, machine, seconds=240):
        """What the serial terminal shows of the page: (address, code)."""
        address = machine.console.expect(r"or http://(10\.0\.2\.\d+)$", seconds).group(1)
        return address, machine.console.expect(r"Code: ([A-Z2-9]{3}-[A-Z2-9]{3})$", 60).group(1)

    def screen(self, console, wanted):
        """Looks at the other terminal, tty1, until it is so."""
        deadline = time.monotonic() + 120 * PATIENCE
        while not wanted(seen := console.ok("doas cat /dev/vcs1")):
            if time.monotonic() > deadline:
                raise console.failed(f"tty1 never was so:\n{seen}")

    def set_up_by_browser(self, machine, code):
        """With Chromium where it can be had; whether it was."""
        try:
            import web
            browser = web.prepare()
        except SystemExit:
            return False
        console = self.folder / "code"
        console.write_text(f"Code: {code}\n")
        given = {"url": f"http://127.0.0.1:{machine.ports['web']}", "console": str(console), "browser": browser,
                 "screens": str(self.folder / "screens"), "password": PASSWORD}
        done = subprocess.run(["node", web.WORK / "machine.mjs", json.dumps(given)], cwd=web.WORK, text=True, capture_output=True,
                              timeout=400 * PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return True

    def set_up_by_hand(self, machine, code):
        page = ScreenPage(machine, code)
        page.get("/")
        page.enter()
        page.answer_all(password=PASSWORD)
        page.get("/pairing")
        page.post("/pairing", action="code", portal_code="GOOD-machine")
        deadline = time.monotonic() + 120 * PATIENCE
        while "belongs to Ada Lovelace" not in page.get("/pairing").text:
            self.assertLess(time.monotonic(), deadline, page.last.text)
        with contextlib.suppress(OSError, http.client.HTTPException):  # it may be off before the last page has come
            page.finish()

    def nobody_serves(self, machine):
        """The port is closed: what QEMU forwards there is reset."""
        connection = http.client.HTTPConnection("127.0.0.1", machine.ports["web"], timeout=30 * PATIENCE)
        with self.assertRaises((OSError, http.client.HTTPException)):
            connection.request("GET", "/")
            connection.getresponse()

    def find(self, disk, *texts):
        """Which of these stand on the raw disk."""
        found, rest = set(), b""
        with open(disk.path, "rb") as raw:
            while data := raw.read(16 << 20):
                found |= {text for text in texts if text in rest + data}
                rest = data[-200:]
        return found

    def test_a_machine_is_set_up_from_a_phone_and_paired(self):
        disk = self.disk()
        machine = self.machine(disk, self.first_boot, outside=True).start()
        console = machine.console

        # Its screens: both have address, code and QR code, and follow the address.
        address, _ = self.greeting(machine)
        self.assertRegex(console.text, "[▀▄█]{5}")
        console.log_in()
        self.screen(console, lambda text: address in text and "Code: " in text)
        link = next(link["name"] for link in json.loads(console.ok("doas maculaos net status -o json"))["links"]
                    if any(a["address"].startswith(address) for a in link.get("addresses", [])))
        console.ok(f"doas maculaos net down {link} --force")
        self.screen(console, lambda text: address not in text and "Code: " in text)
        console.ok(f"doas maculaos net up {link}")
        self.screen(console, lambda text: address in text)
        console.line("exit")
        _, code = self.greeting(machine)

        # The page.
        browser = self.set_up_by_browser(machine, code)
        print(f"driven by {'Chromium' if browser else 'an HTTP client'}", file=sys.stderr, flush=True)
        if not browser:
            self.set_up_by_hand(machine, code)
        self.assertEqual(machine.wait_end(180), "reset")
        self.is_configured_and_closed(machine)
        self.nobody_reads_what_the_portal_gave(disk)

    def is_configured_and_closed(self, machine):
        machine.start().console.log_in_with(PASSWORD)
        console = machine.console
        self.assertEqual(console.ok("hostname"), "edge-7")
        self.assertRegex(console.ok("doas cat /var/lib/maculaos/.configured"), r"generation=\d+")
        self.assertEqual(console.ok("doas stat -c %a /var/lib/maculaos/credentials /var/lib/maculaos/credentials/portal").split(),
                         ["700", "600"])
        self.assertEqual(json.loads(console.ok("doas maculaos config get hostname -o json")), "edge-7")
        self.assertIn("finished", console.ok("doas maculaos services processes | grep firstboot"))
        self.nobody_serves(machine)
        self.assertNotIn("Code: ", console.text)
        console.ok("sync")
        machine.power_cut()

    def nobody_reads_what_the_portal_gave(self, disk):
        """It is on the disk: sealed."""
        pairing = [asked for asked in self.asks("/requests") if asked.get("pairing_code")]
        self.assertEqual([asked["hostname"] for asked in pairing][-1:], ["edge-7"])
        token = self.asks("/tokens")[pairing[-1]["node_id"]]
        secrets = [token.encode(), PASSWORD.encode(), b"GOOD-machine"]
        self.assertEqual(self.find(disk, b"sealed:v1:", b"edge-7", *secrets), {b"sealed:v1:", b"edge-7"})


if __name__ == "__main__":
    unittest.main()
