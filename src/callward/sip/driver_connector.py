"""Outbound connections and host names of the driver: found, opened, or given up in time."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable

import structlog

from .driver_stream import Connection, StreamUser, keep_alive
from .flow import Destination, HostPort, Transmit
from .tls import TlsSettings

logger = structlog.get_logger()

Key = tuple[str, str, int, str]
_MOST_CONNECTS = 256
"""Connections being made at once."""


def is_address(host: str) -> bool:
    """True for an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Connector:
    """One connection for each destination; messages wait in order while it is made."""

    def __init__(self, user: StreamUser, number: Callable[[], int], failed: Callable[[Transmit], None]) -> None:
        self._user = user
        self._number = number
        self._failed = failed
        self._open: dict[Key, Connection] = {}
        self._waiting: dict[Key, list[Transmit]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.tls: tuple[TlsSettings, ssl.SSLContext] | None = None

    def send(self, destination: Destination, item: Transmit) -> None:
        """Write it to the destination's connection, or make one. A failure is reported later, never here."""
        key = (destination.transport, destination.host, destination.port, destination.server_name)
        connection = self._open.get(key)
        if connection is not None:
            if connection.open and connection.write(item.data):
                return
            del self._open[key]
        waiting = self._waiting.get(key)
        if waiting is not None:
            if len(waiting) < self._user.settings.connect_queue:
                waiting.append(item)
            else:
                self._failed(item)
            return
        if len(self._waiting) >= _MOST_CONNECTS or not destination.host:
            self._failed(item)
            return
        self._waiting[key] = [item]
        task = asyncio.get_running_loop().create_task(self._connect(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, key: Key) -> None:
        transport, host, port, _ = key
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._user.settings.connect_timeout_s):
                connection = await self._make(key)
        except (OSError, ssl.SSLError, TimeoutError, UnicodeError) as error:
            logger.warning(
                "sip_connect_failed", transport=transport, host=host, port=port, reason=str(error) or "timeout"
            )
        waiting = self._waiting.pop(key, [])
        if connection is not None and connection.open:
            self._open[key] = connection
        for item in waiting:
            if connection is None or not connection.write(item.data):
                self._failed(item)
        self._user.batch_done()

    async def _make(self, key: Key) -> Connection:
        transport, host, port, server_name = key
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, proto, _, address = addresses[0]
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock)
            await loop.sock_connect(sock, address)
            remote: HostPort = (str(address[0]), int(address[1]))
            if transport == "TLS":
                if self.tls is None:
                    raise OSError("no TLS settings for outbound connections")
                settings, context = self.tls
                connection = Connection(self._user, self._number(), transport, remote, settings, False)
                await loop.create_connection(
                    lambda: connection, sock=sock, ssl=context, server_hostname=server_name or host
                )
            else:
                connection = Connection(self._user, self._number(), transport, remote, None, False)
                await loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    def forget(self, connection: Connection) -> None:
        for key, known in list(self._open.items()):
            if known is connection:
                del self._open[key]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
