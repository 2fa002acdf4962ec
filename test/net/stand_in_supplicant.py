#!/usr/bin/env python3
"""A stand-in for wpa_supplicant: its control socket, without a radio. Started as netd starts the real one, with
-i INTERFACE -D DRIVER -C DIRECTORY; MACULA_STAND_IN names a directory with

    air.json    what can be heard: [{"ssid": hex, "bssid": …, "level": …, "freq": …, "flags": …, "psk": …}]
    asked       what it was asked, a line each, for tests to read

Of the protocol it has what netd uses; the real program is asked the same in test_wifi.py, as far as it goes without a
radio."""
import json
import os
import pathlib
import socket
import sys


def escape(name):
    """As wpa_supplicant writes names (printf_encode)."""
    plain = {0x22: '\\"', 0x5C: "\\\\", 0x1B: "\\e", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
    return "".join(plain.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in name)


class Supplicant:
    def __init__(self, interface, directory, scene):
        self.scene, self.networks, self.watchers, self.joined = pathlib.Path(scene), {}, set(), None
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.path = os.path.join(directory, interface)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket.bind(self.path)

    def air(self):
        return json.loads((self.scene / "air.json").read_text())

    def tell(self, event):
        for watcher in list(self.watchers):
            try:
                self.socket.sendto(f"<3>{event}".encode(), watcher)
            except OSError:
                self.watchers.discard(watcher)

    # ---- what it is asked ----

    def bss(self, number):
        heard = self.air()
        if number >= len(heard):
            return ""
        found = heard[number]
        return (f"id={number}\nbssid={found['bssid']}\nfreq={found.get('freq', 2412)}\nlevel={found['level']}\n"
                f"flags={found['flags']}\nssid={escape(bytes.fromhex(found['ssid']))}\n")

    def status(self):
        if not self.joined:
            return "wpa_state=SCANNING\naddress=02:00:00:00:01:00\n"
        return (f"bssid={self.joined['bssid']}\nfreq={self.joined.get('freq', 2412)}\n"
                f"ssid={escape(bytes.fromhex(self.joined['ssid']))}\nid=0\nmode=station\nwpa_state=COMPLETED\n")

    def join(self):
        """The network of the highest priority that is in the air, with the passphrase that it wants."""
        wanted = sorted((n for n in self.networks.values() if n.get("on")), key=lambda n: -int(n.get("priority", 0)))
        for network in wanted:
            for heard in self.air():
                if heard["ssid"] != network.get("ssid"):
                    continue
                if (heard.get("psk") or None) == network.get("psk"):
                    self.joined = heard
                    self.tell(f"CTRL-EVENT-CONNECTED - Connection to {heard['bssid']} completed [id=0 id_str=]")
                    return
                name = escape(bytes.fromhex(heard["ssid"]))
                self.tell(f'CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="{name}" auth_failures=1 duration=10 '
                          "reason=WRONG_KEY")

    def answer(self, command, sender):
        word, *rest = command.split(" ", 3)
        if word == "ATTACH":
            self.watchers.add(sender)
        elif word == "ADD_NETWORK":
            number = len(self.networks)
            self.networks[number] = {}
            return f"{number}\n"
        elif word == "REMOVE_NETWORK":
            self.networks.clear()
            if self.joined:
                self.joined = None
                self.tell("CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:01 reason=3 locally_generated=1")
        elif word == "SET_NETWORK":
            self.networks[int(rest[0])][rest[1]] = rest[2].removeprefix('"').removesuffix('"')
        elif word == "ENABLE_NETWORK":
            self.networks[int(rest[0])]["on"] = True
            self.join()
        elif word == "SCAN":
            self.tell("CTRL-EVENT-SCAN-STARTED ")
            self.later = "CTRL-EVENT-SCAN-RESULTS "
        elif word == "BSS":
            return self.bss(0 if rest[0] == "FIRST" else int(rest[0].removeprefix("NEXT-")) + 1)
        elif word == "STATUS":
            return self.status()
        elif word == "SIGNAL_POLL":
            return f"RSSI={self.joined['level']}\nLINKSPEED=65\n" if self.joined else "FAIL\n"
        elif word == "TERMINATE":
            self.ended = True
        elif word != "PING":
            return "UNKNOWN COMMAND\n"
        return "OK\n"

    later, ended = None, False

    def run(self):
        while not self.ended:
            data, sender = self.socket.recvfrom(4096)
            command = data.decode()
            with open(self.scene / "asked", "a", encoding="utf-8") as asked:
                asked.write(command + "\n")
            self.later = None
            self.socket.sendto(self.answer(command, sender).encode(), sender)
            if self.later:
                self.tell(self.later)
        os.unlink(self.path)


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    os.makedirs(options["-C"], exist_ok=True)
    Supplicant(options["-i"], options["-C"], os.environ["MACULA_STAND_IN"]).run()
