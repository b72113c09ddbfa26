"""The oracle: remembers in a process of its own what the media process acknowledged, per track, and never forgets.

Run as a script with the path of the control socket. Lines on standard input: `connect` (the media process is up), `report` (it has
ended: read what it still said, and print all that is remembered).
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from typing import Any

POLL_S = 0.02
"""Acknowledgements are told four times a second; asking more often makes the promise tighter."""


class Oracle:
    """One connection at a time; a memory for good."""

    def __init__(self, path: str, poll_s: float) -> None:
        self.acked: dict[str, int] = {}
        self._path = path
        self._poll_s = poll_s
        self._socket: socket.socket | None = None
        self._rest = b""

    def run(self) -> None:
        """Serve until standard input ends."""
        orders = b""
        while True:
            wanted: list[Any] = [0] + ([self._socket] if self._socket else [])
            ready = select.select(wanted, [], [], self._poll_s)[0]
            if 0 in ready:
                more = os.read(0, 4096)
                if not more:
                    return
                orders += more
                while b"\n" in orders:
                    order, orders = orders.split(b"\n", 1)
                    self._obey(order.decode())
            elif self._socket is not None:
                if self._socket in ready:
                    self._read()
                else:
                    self._ask()

    def _obey(self, order: str) -> None:
        if order == "connect":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(self._path)
            self._rest = b""
            self._socket.sendall(b'{"id":1,"op":"watch_acks","on":true}\n')
            print("{}", flush=True)
        else:
            while self._socket is not None:
                self._read()
            print(json.dumps(self.acked), flush=True)

    def _ask(self) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(b'{"id":2,"op":"list_tracks"}\n')
        except OSError:
            return  # killed; what it said is still to be read

    def _read(self) -> None:
        assert self._socket is not None
        try:
            more = self._socket.recv(1 << 20)
        except ConnectionError:
            more = b""
        if not more:
            self._socket.close()
            self._socket = None
            return
        *lines, self._rest = (self._rest + more).split(b"\n")
        for line in lines:
            message = json.loads(line)
            for track, acked in message["tracks"].items() if message.get("event") == "acked" else ():
                self._remember(track, acked)
            for one in message.get("tracks", ()) if message.get("id") == 2 else ():
                self._remember(one["track"], one["acked_bytes"])

    def _remember(self, track: str, acked: int) -> None:
        self.acked[track] = max(self.acked.get(track, 0), acked)


if __name__ == "__main__":
    Oracle(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else POLL_S).run()
