"""Floods an address with INVITEs of distinct calls over UDP: `python sip_flood.py HOST PORT SECONDS`. Prints how many it sent."""

from __future__ import annotations

import socket
import sys
import time


def main() -> None:
    target = (sys.argv[1], int(sys.argv[2]))
    end = time.monotonic() + float(sys.argv[3])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    port = sock.getsockname()[1]
    body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
    sent = 0
    while time.monotonic() < end:
        for _ in range(50):
            sent += 1
            data = (
                f"INVITE sip:rec@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKf{sent};rport\r\n"
                f"From: <sip:f@127.0.0.1>;tag=f{sent}\r\nTo: <sip:rec@h>\r\nCall-ID: flood{sent}\r\nCSeq: 1 INVITE\r\n"
                f"Contact: <sip:f@127.0.0.1:{port}>\r\nX-Filler: {'x' * 1500}\r\n"
                f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            )
            try:
                sock.sendto(data.encode(), target)
            except BlockingIOError:
                pass
        try:
            while True:
                sock.recv(65535)
        except BlockingIOError:
            pass
        time.sleep(0.002)
    print(sent)


main()
