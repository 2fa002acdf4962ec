#!/usr/bin/python3
"""A stand-in for a DHCP server that offers 192.168.77.60 on lan0 and refuses (NAK) the first COUNT requests for it.

    stand_in_dhcp.py COUNT"""
import socket
import struct
import sys

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
COOKIE = b"\x63\x82\x53\x63"
US, OFFERED = socket.inet_aton("192.168.77.1"), socket.inet_aton("192.168.77.60")


def kind_of(packet):
    """The message type among the options."""
    at = 240
    while at < len(packet) and packet[at] != 255:
        if packet[at] == 53:
            return packet[at + 2]
        at += 1 if packet[at] == 0 else 2 + packet[at + 1]
    return None


def answer(packet, kind):
    options = struct.pack("BBB", 53, 1, kind) + b"\x36\x04" + US
    if kind != NAK:
        options += b"\x33\x04" + struct.pack("!I", 300) + b"\x01\x04" + socket.inet_aton("255.255.255.0")
    address = bytes(4) if kind == NAK else OFFERED
    return b"\x02" + packet[1:12] + bytes(4) + address + US + packet[24:236] + COOKIE + options + b"\xff"


def main():
    left = int(sys.argv[1])
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
    server.bind(("", 67))
    print("ready", flush=True)
    while True:
        packet = server.recv(4096)
        kind = kind_of(packet)
        if kind == REQUEST:
            left -= 1
        if kind in (DISCOVER, REQUEST):
            reply = OFFER if kind == DISCOVER else NAK if left >= 0 else ACK
            server.sendto(answer(packet, reply), ("255.255.255.255", 68))


if __name__ == "__main__":
    main()
