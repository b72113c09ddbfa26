"""Bounds of the driver; each number carries its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """Used by all sockets of one driver."""

    udp_receive_buffer_bytes: int = 8 * 1024 * 1024
    """SO_RCVBUF asked for: a second of 600 set-ups of 3 kB and their other messages."""
    max_connections: int = 2000
    max_connections_per_address: int = 64
    message_deadline_s: float = 10.0
    """A message that was begun must be whole by then (slowloris)."""
    first_message_deadline_s: float = 30.0
    """A new connection must have sent a whole message or keep-alive by then."""
    idle_timeout_s: float = 7200.0
    """A connection without any traffic is closed after this time. Long: some peers end their calls when it is closed."""
    keep_alive_s: float = 120.0
    """Connections that we opened send a CRLF ping after this silence (RFC 5626 4.4.1), so that NAT and the peer keep them."""
    handshake_timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    connect_queue: int = 64
    """Messages that wait for one connection to be made."""
    write_buffer_bytes: int = 1024 * 1024
    """A peer that does not read its answers is disconnected beyond this."""
    turn_budget_s: float = 0.02
    """Longest time spent on messages in one turn of the loop, so that media and journals get theirs."""
    urgent_queue: int = 8192
    """Messages of dialogs and transactions that wait; beyond: dropped, as the network does."""
    newcomer_queue: int = 1024
    """Messages outside dialogs that wait; beyond: 503 with Retry-After, while BYE, ACK and the like go first."""
    newcomer_wait_s: float = 1.5
    """A newcomer that waited longer is answered 503. Callers fail over after 2 to 4 s without an answer; a short stall of the
    machine, which is over by then, should refuse nobody."""
    paused_at: int = 64
    """Messages of one connection that wait before no more are read from it."""
