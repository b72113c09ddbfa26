"""Octets to header lines: where the head of a message ends, unfolding, normalising, Content-Length (RFC 3261 7.3, 18.3, 25).

Line ends are CRLF; a bare LF is accepted as one (files, old stacks). A bare CR is refused: others may read it as a line end, and
two readers that disagree about where a header ends can be played against each other. Everything is linear in the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from callward.sip.grammar import is_token
from callward.sip.header_names import CANONICAL, KEYS
from callward.sip.headers import Headers
from callward.sip.limits import Limits

BEST_EFFORT_LINES = 48
"""Header lines read of a message that is refused for its size: enough to find what a response copies."""


@dataclass(slots=True)
class Head:
    """Start line and headers of one message. `status` is 0, or the status code of the first defect with its `reason`."""

    start_line: str
    headers: Headers
    status: int = 0
    reason: str = ""

    def refuse(self, status: int, reason: str) -> None:
        if self.status == 0:
            self.status = status
            self.reason = reason


def end_of_head(data: bytes | bytearray, start: int = 0) -> tuple[int, int] | None:
    """Where the head ends and where the body begins; None while the empty line has not come."""
    crlf = data.find(b"\n\r\n", start)
    lf = data.find(b"\n\n", start, crlf + 1 if crlf >= 0 else len(data))
    if lf >= 0:
        return lf, lf + 2
    return (crlf, crlf + 3) if crlf >= 0 else None


def _text(data: bytes) -> list[str]:
    """The lines of a head as text: UTF-8, and Latin-1 for a line that is not UTF-8."""
    try:
        return data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        lines: list[str] = []
        for line in data.split(b"\n"):
            try:
                lines.append(line.decode("utf-8"))
            except UnicodeDecodeError:
                lines.append(line.decode("latin-1"))
        return lines


def read_head(data: bytes, limits: Limits) -> Head:
    """Reads the octets before the empty line. Never raises; the first defect is in `status`."""
    head = Head("", Headers())
    if len(data) > limits.head_bytes:
        head.refuse(513, "Message Too Large")
        data = data[: limits.head_bytes]
    if data.count(b"\n") > limits.headers * 2:
        head.refuse(513, "Too Many Headers")
    lines = _text(data)
    if head.status:
        lines = lines[:BEST_EFFORT_LINES]
    start_line = lines[0]
    head.start_line = start_line[:-1] if start_line[-1:] == "\r" else start_line
    if "\r" in head.start_line:
        head.refuse(400, "Bad Line End")
    items: list[tuple[str, str, str]] = []
    line_limit = limits.line_bytes
    position = 1
    count = len(lines)
    while position < count:
        line = lines[position]
        position += 1
        if position < count and lines[position][:1] in (" ", "\t"):
            folded = [line.rstrip("\r")]
            while position < count and lines[position][:1] in (" ", "\t"):
                folded.append(lines[position].strip(" \t\r"))
                position += 1
            line = " ".join(folded)
        elif line[-1:] == "\r":
            line = line[:-1]
        if len(line) > line_limit:
            head.refuse(513, "Header Line Too Long")
            continue
        name, colon, value = line.partition(":")
        key = KEYS.get(name)
        if key is None:
            if not colon:
                if position < count or line.strip(" \t"):
                    head.refuse(400, "Header Without Colon")
                continue
            name = name.rstrip(" \t")
            if not is_token(name):
                head.refuse(400, "Bad Header Name")
                continue
            key = KEYS.get(name) or name.lower()
            key = KEYS.get(key, key)
            name = CANONICAL.get(key, name)
        else:
            name = CANONICAL[name]
        if "\r" in line:
            head.refuse(400, "Bad Line End")
            continue
        items.append((key, name, value.strip(" \t")))
    if len(items) > limits.headers:
        head.refuse(513, "Too Many Headers")
        del items[limits.headers :]
    head.headers = Headers.of_normalised(items)
    return head


def content_length(headers: Headers) -> int | str | None:
    """The Content-Length: None when absent, a sentence when it is malformed or contradicts itself (RFC 4475 3.1.2.3, 3.3.9)."""
    values = headers.get_lines("Content-Length")
    if not values:
        return None
    first = values[0]
    if any(value != first for value in values[1:]):
        return "Contradicting Content-Length"
    if not first.isascii() or not first.isdigit() or len(first) > 10:
        return "Bad Content-Length"
    return int(first)
