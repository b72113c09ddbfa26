"""How much of a peer's message is read at all. Each number carries its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one SIP message, in octets and counts. `DATAGRAM` is the default, `STREAM` for TCP and TLS."""

    message_bytes: int = 65_535
    """A UDP datagram cannot be larger. A SIPREC INVITE of 9 kB and more passes."""
    head_bytes: int = 65_535
    """Start line and headers together."""
    line_bytes: int = 8_192
    """One header line, unfolded. Traces of the field stay below 2 kB; a STIR identity token has about 1 kB."""
    headers: int = 256
    """Header lines. 70 hops of Via, Record-Route and History-Info fit."""
    body_bytes: int = 1_048_576
    """1 MiB; the largest SIPREC bodies seen are some 30 kB."""
    trust_content_length: bool = True
    """False for messages read from files (captures pasted with other line ends): the body is all that follows the empty line."""


DATAGRAM = Limits()
STREAM = Limits(message_bytes=65_535 + 1_048_576)
FILE = Limits(message_bytes=65_535 + 1_048_576, trust_content_length=False)
