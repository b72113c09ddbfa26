"""Phones in a process of their own: they send numbered RTP packets to many ports, whatever happens to the receiver.

Run as a script: prints `{"source": address}`, reads one line with a JSON list of ports, sends until the next line comes, and prints how
many packets each stream was sent.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

PACKET_S = 0.020
PAYLOAD_BYTES = 160
PARTS = 10
"""Each packet time is cut so often, so that the load is even."""


def payload(stream: int, number: int) -> bytes:
    """What the packet with this number of this stream carries."""
    return struct.pack("!LL", stream, number) * (PAYLOAD_BYTES // 8)


def packet(stream: int, number: int) -> bytes:
    """The whole packet; the stream is also its SSRC, less one."""
    stamp = number * PAYLOAD_BYTES & 0xFFFFFFFF
    return struct.pack("!BBHLL", 0x80, 8, number & 0xFFFF, stamp, stream + 1) + payload(stream, number)


def main() -> None:
    """Send until told to stop."""
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.bind(("127.0.0.1", 0))
    print(json.dumps({"source": f"127.0.0.1:{phone.getsockname()[1]}"}), flush=True)
    targets = [(stream, ("127.0.0.1", port)) for stream, port in enumerate(json.loads(sys.stdin.readline()))]
    size = -(-len(targets) // PARTS)
    parts = [targets[begin : begin + size] for begin in range(0, len(targets), size)]
    begun, sent = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for place, part in enumerate(parts):
            wait = begun + PACKET_S * (sent + place / len(parts)) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            for stream, target in part:
                phone.sendto(packet(stream, sent), target)
        sent += 1
    print(json.dumps({"packets_per_stream": sent}), flush=True)


if __name__ == "__main__":
    main()
