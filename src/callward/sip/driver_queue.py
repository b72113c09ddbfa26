"""What was received and waits for its turn: calls in progress first, newcomers as long as there is time.

Under a flood the core has less time than there are messages. Then requests of dialogs, answers and ACKs go first, and requests that
would begin something new wait in a short queue, and leave it with 503 when it is full or they waited too long. So the rate of
finished set-ups stays at what the machine can do, and existing calls notice nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .driver_settings import DriverSettings
from .endpoint import Endpoint
from .flow import Flow
from .framing import Framed, KeepAlive
from .message import ParseFailure, Request, Response, parse
from .shed import is_newcomer

if TYPE_CHECKING:
    from .driver_stream import Connection

_NEVER_NEW = frozenset({"ACK", "BYE", "CANCEL", "PRACK", "UPDATE"})


class ReceiveQueue:
    """Bounded; hands one message after the other to the endpoint."""

    __slots__ = ("_endpoint", "_newcomers", "_settings", "_urgent", "dropped")

    def __init__(self, endpoint: Endpoint, settings: DriverSettings) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._urgent: deque[tuple[Flow, bytes | Framed, Connection | None]] = deque()
        self._newcomers: deque[tuple[Flow, bytes | Framed, Connection | None, float]] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._newcomers)

    def put_datagram(self, flow: Flow, data: bytes, now: float) -> None:
        if is_newcomer(data):
            if len(self._newcomers) >= self._settings.newcomer_queue:
                self._endpoint.shed(flow, data, now)
            else:
                self._newcomers.append((flow, data, None, now))
        elif len(self._urgent) < self._settings.urgent_queue:
            self._urgent.append((flow, data, None))
        else:
            self.dropped += 1

    def put_framed(self, flow: Flow, framed: Framed, connection: Connection, now: float) -> None:
        """Messages of connections are never dropped: the connection stops being read instead. Newcomers may be refused."""
        if isinstance(framed, Request) and framed.method not in _NEVER_NEW and framed.to_tag is None:
            if len(self._newcomers) >= self._settings.newcomer_queue:
                self._endpoint.shed(flow, framed.raw, now)
                return
            connection.waiting += 1
            self._newcomers.append((flow, framed, connection, now))
        else:
            connection.waiting += 1
            self._urgent.append((flow, framed, connection))

    def step(self, now: float) -> bool:
        """Hand over one message. False when none waits."""
        late = False
        if self._urgent:
            flow, item, connection = self._urgent.popleft()
        elif self._newcomers:
            flow, item, connection, since = self._newcomers.popleft()
            late = now - since > self._settings.newcomer_wait_s
        else:
            return False
        if isinstance(item, bytes):
            if late:
                self._endpoint.shed(flow, item, now)
                return True
            item = parse(item)
        if isinstance(item, Request):
            if late:
                self._endpoint.shed(flow, item.raw, now)
            else:
                self._endpoint.receive_message(flow, item, now)
        elif isinstance(item, Response):
            self._endpoint.receive_message(flow, item, now)
        elif isinstance(item, ParseFailure):
            self._endpoint.receive_failure(flow, item, now)
        elif isinstance(item, KeepAlive) and connection is not None and item.ping:
            connection.write(b"\r\n")
        if connection is not None:
            connection.handled()
        return True
