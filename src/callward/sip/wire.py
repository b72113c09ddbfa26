"""Octets to header lines: where the head of a message ends, unfolding, normalising, Content-Length (RFC 3261 7.3, 18.3, 25).

Line ends are CRLF; a bare LF is accepted as one (files, old stacks). A bare CR is refused: others may read it as a line end, and
two readers that disagree about where a header ends can be played against each other. Everything is linear in the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from callward.sip.grammar import is_token
from callward.sip.header_names import KEY_AND_NAME
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


def _text(data: bytes) -> str:
    """A head as text: UTF-8, and Latin-1 for each line that is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        lines: list[str] = []
        for line in data.split(b"\n"):
            try:
                lines.append(line.decode("utf-8"))
            except UnicodeDecodeError:
                lines.append(line.decode("latin-1"))
        return "\n".join(lines)


def read_head(data: bytes, limits: Limits) -> Head:
    """Reads the octets before the empty line. Never raises; the first defect is in `status`."""
    head = Head("", Headers())
    if len(data) > limits.head_bytes:
        head.refuse(513, "Message Too Large")
        data = data[: limits.head_bytes]
    if data.count(b"\n") > limits.headers * 2:
        head.refuse(513, "Too Many Headers")
    text = _text(data)
    if text[-1:] == "\r":
        text = text[:-1]  # of the last header's CRLF, whose LF was taken for the end of the head
    lines, bare = _lines(text)
    if bare:
        head.refuse(400, "Bad Line End")
    if head.status:
        lines = lines[:BEST_EFFORT_LINES]
    head.start_line = lines[0]
    items: list[tuple[str, str, str]] = []
    append = items.append
    longest = limits.line_bytes if len(data) > limits.line_bytes else 0
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        known = KEY_AND_NAME.get(name)
        if longest and len(line) > longest:
            head.refuse(513, "Header Line Too Long")
        elif known is not None and colon:
            append((known[0], known[1], value.strip(" \t")))
        elif colon:
            name = name.rstrip(" \t")
            if is_token(name):
                key, name = KEY_AND_NAME.get(name) or KEY_AND_NAME.get(name.lower()) or (name.lower(), name)
                append((key, name, value.strip(" \t")))
            else:
                head.refuse(400, "Bad Header Name")
        elif line.strip(" \t"):
            head.refuse(400, "Header Without Colon")
    if len(items) > limits.headers:
        head.refuse(513, "Too Many Headers")
        del items[limits.headers :]
    head.headers = Headers.of_normalised(items)
    return head


def _lines(text: str) -> tuple[list[str], bool]:
    """The lines without their ends, folded ones joined by one space (RFC 3261 7.3.1), and whether a bare CR was among them."""
    bare = False
    ends = text.count("\r\n")
    if text.count("\n") == ends and text.count("\r") == ends:
        lines = text.split("\r\n")
    else:
        bare = text.count("\r") != ends
        lines = text.replace("\r\n", "\n").split("\n")
    if "\n " not in text and "\n\t" not in text:
        return lines, bare
    unfolded = [lines[0]]
    pieces: list[str] = []
    for line in lines[1:]:
        if line[:1] in (" ", "\t") and pieces:
            pieces.append(line.strip(" \t"))
            continue
        if pieces:
            unfolded.append(" ".join(pieces))
        pieces = [line]
    unfolded.append(" ".join(pieces))
    return unfolded, bare


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
