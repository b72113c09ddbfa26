"""MIME bodies of SIP (RFC 2046 5.1, RFC 5621): multipart in, parts out, and the other way.

Liberal, because recording clients are odd and their audio must not be lost for it: no closing boundary, LF line ends, a preamble, a
boundary that is quoted, missing or wrong (then guessed where the body leaves no doubt), a multipart inside a multipart (one level,
its parts are listed in place). What was odd is told in `Parts.defects`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from callward.sip.headers import Headers
from callward.sip.limits import Limits
from callward.sip.media_type import Disposition, MediaType, parse_disposition, parse_media_type
from callward.sip.wire import read_head

MAX_PARTS = 100
"""Parts read of one body. SIPREC needs two, three with a vendor's own."""
MAX_BOUNDARY_CHARACTERS = 200
"""RFC 2046 allows 70; longer ones are seen."""

_PART_LIMITS = Limits(head_bytes=16_384, headers=32)
_GUESS = re.compile(rb"^--([^\r\n]{1,200}?)[ \t]{0,8}\r?\n(?=content-)", re.IGNORECASE | re.MULTILINE)
_SDP = MediaType("application", "sdp")
_UNKNOWN = MediaType("application", "octet-stream")
_XML = MediaType("application", "xml")


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `body` is decoded where Content-Transfer-Encoding says base64 or quoted-printable."""

    headers: Headers
    content_type: MediaType
    body: bytes
    disposition: Disposition | None = None

    @classmethod
    def of(cls, content_type: str, body: bytes, disposition: str | None = None) -> Part:
        """A part of our own; `content_type` and `disposition` as header values."""
        return cls(
            Headers(),
            parse_media_type(content_type) or _UNKNOWN,
            body,
            None if disposition is None else parse_disposition(disposition),
        )

    @property
    def optional(self) -> bool:
        """True with `handling=optional`: who does not know it ignores it."""
        return self.disposition is not None and self.disposition.optional


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a body in order, and what was odd.

    Defects: `boundary_guessed`, `not_closed`, `too_many_parts`, `no_parts`, `bad_part_header`, `bad_transfer_encoding`.
    """

    parts: list[Part] = field(default_factory=list)
    defects: tuple[str, ...] = ()


def parse(content_type: MediaType | str | None, body: bytes) -> list[Part]:
    """The parts of a body; a body that is no multipart is one part. Never raises, linear."""
    return parse_with_defects(content_type, body).parts


def parse_with_defects(content_type: MediaType | str | None, body: bytes) -> Parts:
    """As `parse`, and tells what was odd."""
    kind = parse_media_type(content_type) if isinstance(content_type, str) else content_type
    if not body:
        return Parts()
    if kind is None:
        kind = _sniff(body)
    defects: list[str] = []
    parts: list[Part] = []
    _read(kind, Headers(), body, None, parts, defects, depth=0)
    return Parts(parts, tuple(dict.fromkeys(defects)))


def build(parts: Sequence[Part], boundary: str) -> bytes:
    """The multipart body of `parts`. The Content-Type to send with it is `content_type(boundary)`.

    Raises ValueError when the boundary occurs in a part: pick another one.
    """
    mark = boundary.encode("ascii")
    pieces: list[bytes] = []
    for part in parts:
        if b"--" + mark in part.body:
            raise ValueError(f"the boundary {boundary!r} occurs in a part of the body")
        headers = part.headers.copy()
        headers.set("Content-Type", part.content_type)
        if part.disposition is not None:
            headers.set("Content-Disposition", part.disposition)
        headers.remove("Content-Length")
        headers.remove("Content-Transfer-Encoding")
        pieces += [b"--", mark, b"\r\n", headers.to_text().encode("utf-8", "replace"), b"\r\n", part.body, b"\r\n"]
    return b"".join([*pieces, b"--", mark, b"--\r\n"])


def content_type(boundary: str, subtype: str = "mixed") -> MediaType:
    """`multipart/mixed;boundary=...`."""
    return MediaType("multipart", subtype, (("boundary", boundary),))


def _sniff(body: bytes) -> MediaType:
    start = body[:256].lstrip()
    if start.startswith(b"v=0"):
        return _SDP
    if start.startswith(b"<"):
        return _XML
    return MediaType("multipart", "mixed") if start.startswith(b"--") else _UNKNOWN


def _read(
    kind: MediaType,
    headers: Headers,
    body: bytes,
    disposition: Disposition | None,
    parts: list[Part],
    defects: list[str],
    depth: int,
) -> None:
    if kind.type != "multipart" or depth > 1:
        parts.append(Part(headers, kind, body, disposition))
        return
    boundary = (kind.param("boundary") or "").rstrip().encode("utf-8", "replace")
    pieces = _split(body, boundary, defects) if 0 < len(boundary) <= MAX_BOUNDARY_CHARACTERS else None
    if pieces is None:
        guess = _GUESS.search(body)
        pieces = _split(body, guess.group(1), defects) if guess is not None else None
        if pieces is None:
            defects.append("no_parts")
            parts.append(Part(headers, kind, body, disposition))
            return
        defects.append("boundary_guessed")
    for piece in pieces:
        if len(parts) >= MAX_PARTS:
            defects.append("too_many_parts")
            return
        _read_part(piece, parts, defects, depth)


def _read_part(piece: bytes, parts: list[Part], defects: list[str], depth: int) -> None:
    if piece[:2] == b"\r\n" or piece[:1] == b"\n":
        head, body = b"", piece[2:] if piece[:1] == b"\r" else piece[1:]
    else:
        crlf = piece.find(b"\n\r\n")
        lf = piece.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(piece))
        end = lf if lf >= 0 else crlf
        if end < 0:
            defects.append("bad_part_header")
            head, body = b"", piece
        else:
            head, body = piece[:end], piece[end + (2 if lf >= 0 else 3) :]
    read = read_head(b"\n" + head, _PART_LIMITS) if head else None
    if read is not None and read.status:
        defects.append("bad_part_header")
    headers = read.headers if read is not None else Headers()
    encoding = (headers.get("Content-Transfer-Encoding") or "").lower()
    if encoding in ("base64", "quoted-printable"):
        try:
            body = base64.b64decode(body, validate=False) if encoding == "base64" else binascii.a2b_qp(body)
        except (binascii.Error, ValueError):
            defects.append("bad_transfer_encoding")
    kind = parse_media_type(headers.get("Content-Type") or "") or _sniff(body)
    disposition = parse_disposition(headers.get("Content-Disposition") or "")
    _read(kind, headers, body, disposition, parts, defects, depth + 1)


def _split(body: bytes, boundary: bytes, defects: list[str]) -> list[bytes] | None:
    """The octets between the delimiter lines; None when the boundary never begins a line."""
    delimiter = b"--" + boundary
    pieces: list[bytes] = []
    begin = -1
    position = 0
    while (found := body.find(delimiter, position)) >= 0:
        position = found + len(delimiter)
        if found and body[found - 1] != 0x0A:
            continue
        closing = body[position : position + 2] == b"--"
        line_end = body.find(b"\n", position)
        rest = body[position + 2 * closing : line_end if line_end >= 0 else len(body)][:200]
        if rest.strip(b" \t\r"):
            continue  # a longer boundary of which this one is the beginning, or text
        if begin >= 0:
            pieces.append(_without_last_line_end(body[begin:found]))
            if len(pieces) > MAX_PARTS:
                return pieces
        if closing:
            return pieces
        begin = line_end + 1 if line_end >= 0 else len(body)
        position = max(position, begin - 1)
    if begin < 0:
        return None
    defects.append("not_closed")
    if begin < len(body):
        pieces.append(body[begin:])
    return pieces


def _without_last_line_end(piece: bytes) -> bytes:
    if piece[-2:] == b"\r\n":
        return piece[:-2]
    return piece[:-1] if piece[-1:] == b"\n" else piece
