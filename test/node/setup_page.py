"""A browser without JavaScript at the page of a node that is not configured."""
import http.client
import json
import re
import urllib.parse

from node_harness import PATIENCE, SOURCE, Background

CONSOLE = "/run/macula/firstboot/console"


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()

    def errors(self):
        """What stands beside the fields, by field."""
        return dict(re.findall(r'id="(\w+)-error">(.*?)</p>', self.text))

    def hidden(self):
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.text))


class Page:
    """One browser."""

    def __init__(self, node):
        self.node, self.cookie, self.last = node, None, None
        self.host = re.search(r"http://(127[^\s/]*)", node.read(CONSOLE)).group(1)

    def code(self):
        return re.search(r"Code: (\S+)", self.node.read(CONSOLE)).group(1)

    def connect(self):
        return http.client.HTTPConnection(self.host, timeout=PATIENCE)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        extra = {"Cookie": self.cookie} if self.cookie else {}
        if body is not None:
            extra["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, {**extra, **(headers or {})})
        answer = Answer(connection.getresponse())
        connection.close()
        if answer.headers.get("Set-Cookie"):
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        return answer

    def get(self, path):
        """As a browser does: follows where it is led, remembers the hidden fields."""
        answer = self.request("GET", path)
        while answer.status == 303:
            answer = self.request("GET", answer.headers["Location"])
        self.last = answer
        return answer

    def post(self, path, **fields):
        """Sends the form that was shown last."""
        hidden = self.last.hidden() if self.last else {}
        answer = self.request("POST", path, urllib.parse.urlencode({**hidden, **fields}))
        if answer.status == 303:
            return self.get(answer.headers["Location"])
        self.last = answer
        return answer

    def enter(self):
        answer = self.post("/session", code=self.code())
        assert answer.status == 200, answer.text
        return answer

    def status(self):
        return json.loads(self.request("GET", "/status").text)

    def answer_all(self, **more):
        self.get("/network")
        self.post("/network", net_mode="dhcp")
        self.answer_all_but_network(**more)

    def answer_all_but_network(self, **more):
        self.get("/system")
        answer = self.post("/system", **{"hostname": "edge-7", "timezone": "Europe/Berlin", "keyboard": "de", "locale": "en_US.UTF-8",
                                         "password": "correct horse", "ssh_keys": "", **more})
        assert answer.status == 200, answer.errors()
        self.post("/mesh", realm="io.macula")

    def finish(self):
        self.get("/review")
        return self.post("/finish")


def portal(**options):
    """The stand-in of the Portal; (process, environment for the node)."""
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = Background("/usr/bin/python3", SOURCE / "test/portal/portal.py", *arguments)
    url, ca = process.wait(r"portal ready: (\S+) ca=(\S+)").groups()
    return process, {"MACULA_PORTAL": url, "MACULA_CA_FILE": ca}
