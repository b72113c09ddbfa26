"""The one asyncio driver of the SIP core: UDP, TCP and TLS sockets, and the clock.

Use: make a `Driver`, `listen_*`, and handle events in `on_event` (synchronous, quick; it may call verbs of the endpoint with
`driver.now()`). Verbs called elsewhere, in tasks, are followed by `driver.flush()`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from .endpoint import Endpoint
from .events import Event
from .flow import HostPort
from .tls import TlsSettings


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """Bounds of the driver; each number carries its reason."""

    udp_receive_buffer_bytes: int = 8 * 1024 * 1024
    """SO_RCVBUF asked for: a second of 600 set-ups of 3 kB and their other messages."""
    max_connections: int = 2000
    max_connections_per_address: int = 64
    message_deadline_s: float = 10.0
    """A message that was begun must be whole by then (slowloris)."""
    idle_timeout_s: float = 900.0
    """A connection without any traffic is closed after this time; keep-alives count as traffic."""
    first_message_deadline_s: float = 30.0
    """A new connection must have sent a whole message by then."""
    handshake_timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    write_buffer_bytes: int = 1024 * 1024
    """A peer that does not read its answers is disconnected beyond this."""
    turn_budget_s: float = 0.02
    """Longest time spent on messages in one turn of the loop, so that media and journals get theirs."""
    newcomer_queue: int = 512
    """Messages outside dialogs that wait; beyond: 503 with Retry-After, while BYE, ACK and the like go first."""
    newcomer_wait_s: float = 0.5
    """A newcomer that waited longer is answered 503: its sender is retransmitting already."""


class Driver:
    """Runs one endpoint."""

    def __init__(
        self, endpoint: Endpoint, on_event: Callable[[Event], None], settings: DriverSettings | None = None
    ) -> None:
        raise NotImplementedError

    def now(self) -> float:
        """The clock of the endpoint: `loop.time()`."""
        raise NotImplementedError

    async def listen_udp(self, host: str, port: int, *, sock: socket.socket | None = None, advertised: str = "") -> HostPort:
        """Open (or adopt) a UDP socket. `advertised` is the host for Via and Contact. Returns the bound address."""
        raise NotImplementedError

    async def listen_tcp(self, host: str, port: int, *, sock: socket.socket | None = None, advertised: str = "") -> HostPort:
        """Open (or adopt) a listening TCP socket."""
        raise NotImplementedError

    async def listen_tls(
        self, host: str, port: int, tls: TlsSettings, *, sock: socket.socket | None = None, advertised: str = ""
    ) -> HostPort:
        """Open (or adopt) a listening TCP socket for TLS."""
        raise NotImplementedError

    def connect_with(self, tls: TlsSettings) -> None:
        """Settings of outbound TLS connections."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send what the endpoint has to send, deliver its events, set its timer."""
        raise NotImplementedError

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Stop reading, wait up to `grace_s` for open exchanges, close all sockets that were opened here."""
        raise NotImplementedError
