"""Messages out of a TCP or TLS stream (RFC 3261 18.3), and CRLF keep-alives between them (RFC 5626 3.5.1, 4.4.1).

The framer is bounded and linear: it never holds more than one message of the limits, and never looks at an octet twice for the end
of the head. Once the framing is lost (no or bad Content-Length, head too large) nothing after it can be trusted: the failure is
`fatal`, `broken` stays true and everything that follows is ignored; the driver answers where it can, and closes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from callward.sip.limits import STREAM, Limits
from callward.sip.message import ParseFailure, Request, Response, assemble
from callward.sip.wire import Head, content_length, end_of_head, read_head


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A CRLF keep-alive. `ping`: CRLF CRLF, to be answered with one CRLF; else a pong, which is answered by nothing."""

    ping: bool


Framed = Request | Response | KeepAlive | ParseFailure


class StreamFramer:
    """Feed it what a connection received; it gives back whole messages in order."""

    def __init__(self, limits: Limits = STREAM) -> None:
        self.broken = False
        """True once the framing is lost; close the connection."""
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._head: Head | None = None
        self._body_start = 0
        self._length = 0
        self._half_ping = False

    @property
    def buffered_bytes(self) -> int:
        """Octets of an unfinished message; a driver closes connections that stay above 0 for too long."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Framed]:
        """Takes octets and returns what they complete. Never raises."""
        framed: list[Framed] = []
        if self.broken:
            return framed
        self._buffer += data
        while self._buffer and not self.broken:
            if self._head is None and not self._begin(framed):
                break
            if self._head is None:
                continue
            end = self._body_start + self._length
            if len(self._buffer) < end:
                break
            raw = bytes(self._buffer[:end])
            head, self._head = self._head, None
            del self._buffer[:end]
            self._scanned = 0
            framed.append(assemble(head, raw[self._body_start :], raw))
        return framed

    def _begin(self, framed: list[Framed]) -> bool:
        """Skips keep-alives and reads a head; False when more octets are needed."""
        if self._buffer[0] in b"\r\n":
            return self._keep_alive(framed)
        self._half_ping = False
        found = end_of_head(self._buffer, max(0, self._scanned - 3))
        if found is None:
            self._scanned = len(self._buffer)
            if self._scanned > self._limits.head_bytes:
                self._lose(framed, read_head(bytes(self._buffer), self._limits), 513, "Message Too Large")
            return False
        head = read_head(bytes(self._buffer[: found[0]]), self._limits)
        length = content_length(head.headers)
        if head.status == 513:
            self._lose(framed, head, 513, head.reason)
            return False
        if length is None or isinstance(length, str):
            self._lose(framed, head, 400, length or "Missing Content-Length")
            return False
        if length > self._limits.body_bytes:
            self._lose(framed, head, 413, "Request Entity Too Large")
            return False
        self._head, self._body_start, self._length = head, found[1], length
        return True

    def _keep_alive(self, framed: list[Framed]) -> bool:
        buffer = self._buffer
        end = 0
        while end < len(buffer) and buffer[end] in b"\r\n":
            end += 1
        pairs = buffer[:end].count(b"\n")
        waits = end == len(buffer) and buffer[end - 1] == 0x0D
        del buffer[: end - 1 if waits else end]
        self._scanned = 0
        if pairs:
            ping = pairs > 1 or self._half_ping
            self._half_ping = not ping
            framed.append(KeepAlive(ping))
        return not waits

    def _lose(self, framed: list[Framed], head: Head, status: int, reason: str) -> None:
        self.broken = True
        head.status, head.reason = 0, ""
        head.refuse(status, reason)
        failure = assemble(head, b"", bytes(self._buffer[:2_048]))
        if isinstance(failure, ParseFailure):
            framed.append(replace(failure, fatal=True))
        self._buffer.clear()
