"""UDP sockets of the driver: read in batches straight from the socket, because asyncio's own transport hands over one at a time."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable

from .context import WILDCARDS
from .flow import Flow, HostPort

_BATCH = 256
"""Datagrams taken from a socket in one turn: all of them are looked at, to find those of existing calls."""
_FLOWS = 4096
"""Remembered flows, so that not every datagram makes a new one."""

Received = Callable[[Flow, bytes], None]


def open_datagram(host: str, port: int) -> socket.socket:
    """A bound UDP socket. An IPv6 socket takes IPv6 only, so that both can be bound to one port."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


class DatagramSocket:
    """One UDP socket."""

    def __init__(
        self,
        sock: socket.socket,
        number: int,
        owned: bool,
        receive_buffer_bytes: int,
        received: Received,
        batch_done: Callable[[], None],
    ) -> None:
        self.sock = sock
        self.number = number
        self.family = sock.family
        self._owned = owned
        self._received = received
        self._batch_done = batch_done
        self._buffer = bytearray(65_536)
        self._view = memoryview(self._buffer)
        self._flows: OrderedDict[HostPort, Flow] = OrderedDict()
        self.unsent = 0
        sock.setblocking(False)
        _enlarge(sock, receive_buffer_bytes)
        name = sock.getsockname()
        self.local: HostPort = (name[0], name[1])
        self._wildcard = self.local[0] in WILDCARDS
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_BATCH):
            try:
                size, address = self.sock.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP error of an earlier datagram
            self._received(self._flow((address[0], address[1])), bytes(self._view[:size]))
        self._batch_done()

    def _flow(self, remote: HostPort) -> Flow:
        flow = self._flows.get(remote)
        if flow is None:
            local = (self._local_towards(remote), self.local[1]) if self._wildcard else self.local
            flow = self._flows[remote] = Flow("UDP", local, remote, 0, self.number)
            if len(self._flows) > _FLOWS:
                self._flows.popitem(last=False)
        return flow

    def _local_towards(self, remote: HostPort) -> str:
        """Our address as this peer sees it: the one that the system's routes choose."""
        with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(remote)
            except OSError:
                return self.local[0]
            return str(probe.getsockname()[0])

    def send(self, data: bytes, remote: HostPort) -> bool:
        """False when the network says that this cannot be delivered. A full socket buffer counts as loss on the way."""
        try:
            self.sock.sendto(data, remote)
        except (BlockingIOError, InterruptedError):
            self.unsent += 1
        except OSError:
            self.unsent += 1
            return False
        return True

    def close(self) -> None:
        self._loop.remove_reader(self.sock.fileno())
        if self._owned:
            self.sock.close()


def _enlarge(sock: socket.socket, size: int) -> None:
    """SO_RCVBUFFORCE where allowed (root), else as much as the system grants."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
