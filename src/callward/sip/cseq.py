"""CSeq (RFC 3261 20.16), RAck and RSeq (RFC 3262 7)."""

from __future__ import annotations

from dataclasses import dataclass

from callward.sip.grammar import is_token, parse_number

METHODS = frozenset(
    {"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER",
     "SUBSCRIBE", "UPDATE"}
)  # fmt: skip
"""The methods of the IANA registry; others are as legal (RFC 3261 7.1)."""

MAX_SEQUENCE = 2**31 - 1
"""RFC 3261 8.1.1.5: the number is below 2**31."""


@dataclass(frozen=True, slots=True)
class CSeq:
    """`4711 INVITE`. The method keeps its case: methods are case-sensitive (RFC 3261 7.1)."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class RAck:
    """`rseq cseq method` of a PRACK (RFC 3262 7.2)."""

    rseq: int
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.rseq} {self.number} {self.method}"


def parse_cseq(text: str) -> CSeq | None:
    """Parses CSeq; None when malformed or 2**31 and above (RFC 4475 3.1.2.4)."""
    parts = text.split()
    if len(parts) != 2:
        return None
    number = parse_number(parts[0].lstrip("0") or parts[0][:1], MAX_SEQUENCE)
    if number is None or (parts[1] not in METHODS and not is_token(parts[1])):
        return None
    return CSeq(number, parts[1])


def parse_rack(text: str) -> RAck | None:
    """Parses RAck; None when malformed."""
    parts = text.split()
    if len(parts) != 3 or not is_token(parts[2]):
        return None
    rseq = parse_number(parts[0], 2**32 - 1)
    number = parse_number(parts[1], MAX_SEQUENCE)
    return None if rseq is None or number is None else RAck(rseq, number, parts[2])
