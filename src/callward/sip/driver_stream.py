"""TCP and TLS connections of the driver: listeners with caps, deadlines against slow senders, bounded write buffers."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from .driver_settings import DriverSettings
from .flow import Flow, HostPort
from .framing import Framed, StreamFramer
from .message import ParseFailure
from .tls import TlsPeerError, TlsSettings, identify

logger = structlog.get_logger()

_BACKLOG = 512
_ACCEPTS = 32
"""Connections taken from the backlog in one turn."""
_EMFILE_PAUSE_S = 1.0


class StreamUser(Protocol):
    """The driver, as its connections see it."""

    settings: DriverSettings

    def now(self) -> float: ...
    def received(self, connection: Connection, framed: Framed) -> None: ...
    def batch_done(self) -> None: ...
    def opened(self, connection: Connection) -> bool:
        """Keep it? False: not an allowed peer, or too many."""

    def closed(self, connection: Connection) -> None: ...
    def may_accept(self, remote: HostPort, transport: str) -> bool: ...


class Connection(asyncio.Protocol):
    """One TCP or TLS connection, ours or a peer's."""

    def __init__(
        self, user: StreamUser, number: int, transport: str, remote: HostPort, tls: TlsSettings | None, inbound: bool
    ) -> None:
        self._user = user
        self._number = number
        self._kind = transport
        self._tls = tls
        self._remote = remote
        self.inbound = inbound
        self.flow: Flow | None = None
        self.waiting = 0
        """Messages that wait in the queue."""
        self.refused = ""
        """Why the certificate was refused."""
        self._transport: asyncio.Transport | None = None
        self._framer = StreamFramer()
        self._paused = False
        self._closing = False
        now = user.now()
        self._opened_at = now
        self._active_at = now
        self._begun_at: float | None = None
        self._any_message = False

    # asyncio.Protocol -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._user.settings.write_buffer_bytes)
        local = transport.get_extra_info("sockname") or ("", 0)
        certificate = None
        secure = transport.get_extra_info("ssl_object")
        if secure is not None and self._tls is not None:
            der = secure.getpeercert(binary_form=True)
            try:
                certificate = identify(der, self._tls, server=self.inbound) if der else None
            except TlsPeerError as error:
                self.refused = str(error)
                logger.warning("sip_tls_peer_refused", remote=self._remote[0], reason=str(error))
                self._closing = True
                self._transport.abort()
                return
        self.flow = Flow(self._kind, (local[0], local[1]), self._remote, self._number, certificate=certificate)
        if not self._user.opened(self):
            self._closing = True
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing or self.flow is None:
            return
        self._active_at = self._user.now()
        for framed in self._framer.feed(data):
            self._any_message = True
            self._begun_at = None
            self._user.received(self, framed)
            if isinstance(framed, ParseFailure) and framed.fatal:
                self._closing = True
        if self._framer.buffered_bytes == 0:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = self._active_at
        self._user.batch_done()
        if self._framer.broken:
            # What could be answered was; nothing after this can be trusted.
            self.close()
        elif self.waiting >= self._user.settings.paused_at and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._user.closed(self)

    # For the driver ---------------------------------------------------------------------------------------------------

    def handled(self) -> None:
        """One of its messages was processed."""
        self.waiting -= 1
        if self._paused and self.waiting < self._user.settings.paused_at // 2 and not self._closing:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    @property
    def open(self) -> bool:
        return not self._closing and self._transport is not None and not self._transport.is_closing()

    def write(self, data: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(data) > self._user.settings.write_buffer_bytes:
            logger.warning("sip_connection_not_reading", remote=self._remote[0])
            self.abort()
            return False
        transport.write(data)
        return True

    def overdue(self, now: float) -> str:
        """Why this connection must go, or nothing."""
        settings = self._user.settings
        if self._begun_at is not None and not self._paused and now - self._begun_at > settings.message_deadline_s:
            return "message not finished in time"
        if self.inbound and not self._any_message and now - self._opened_at > settings.first_message_deadline_s:
            return "no message in time"
        if now - self._active_at > settings.idle_timeout_s:
            return "idle"
        return ""

    def keep_alive(self, now: float) -> None:
        if not self.inbound and now - self._active_at > self._user.settings.keep_alive_s:
            self._active_at = now
            self.write(b"\r\n\r\n")

    def close(self) -> None:
        """After what was written."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()


def open_listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class StreamListener:
    """Accepts connections of one socket. Each costs nothing before it was checked against the caps."""

    def __init__(
        self,
        user: StreamUser,
        sock: socket.socket,
        owned: bool,
        transport: str,
        number: Callable[[], int],
        tls: TlsSettings | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._user = user
        self._sock = sock
        self._owned = owned
        self._kind = transport
        self._number = number
        self.tls = tls
        self.context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending: dict[str, int] = {}
        """Remote address -> handshakes under way."""
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        name = sock.getsockname()
        self.local: HostPort = (name[0], name[1])
        self._closed = False
        self._watch()

    def _watch(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    logger.error("sip_cannot_accept", reason=str(error))
                    self._loop.remove_reader(self._sock.fileno())
                    self._loop.call_later(_EMFILE_PAUSE_S, self._watch)
                return
            remote = (address[0], address[1])
            if not self._user.may_accept(remote, self._kind):
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock)
            self.pending[remote[0]] = self.pending.get(remote[0], 0) + 1
            task = self._loop.create_task(self._admit(sock, remote))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _admit(self, sock: socket.socket, remote: HostPort) -> None:
        connection = Connection(self._user, self._number(), self._kind, remote, self.tls, True)
        try:
            if self.context is None:
                await self._loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=self.context,
                    ssl_handshake_timeout=self._user.settings.handshake_timeout_s,
                )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            sock.close()
            if self.context is not None and not connection.refused:
                logger.warning("sip_tls_peer_refused", remote=remote[0], reason=_reason(error))
        finally:
            left = self.pending.get(remote[0], 1) - 1
            if left > 0:
                self.pending[remote[0]] = left
            else:
                self.pending.pop(remote[0], None)

    async def close(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._owned:
            self._sock.close()


def keep_alive(sock: socket.socket) -> None:
    """A dead peer is noticed after about two minutes, also when nobody sends."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return str(error) or type(error).__name__
