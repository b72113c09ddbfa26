"""The typed values of SDP lines (RFC 8866, RFC 3264, RFC 4568, RFC 3605). Every `parse_*` returns None for text it cannot read."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from callward.sip.grammar import parse_number


class Direction(StrEnum):
    """Which way media flows, seen by whose description it stands in (RFC 8866 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, sends: bool, receives: bool) -> Direction:
        return _BY_FLOW[bool(sends), bool(receives)]

    @property
    def sends(self) -> bool:
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @property
    def reversed(self) -> Direction:
        """The same flow seen by the other side."""
        return _BY_FLOW[self.receives, self.sends]

    def __and__(self, other: Direction) -> Direction:
        """What both allow."""
        return _BY_FLOW[self.sends and other.sends, self.receives and other.receives]


_BY_FLOW = {
    (True, True): Direction.SENDRECV,
    (True, False): Direction.SENDONLY,
    (False, True): Direction.RECVONLY,
    (False, False): Direction.INACTIVE,
}
DIRECTIONS = {direction.value: direction for direction in Direction}


@dataclass(frozen=True, slots=True)
class Connection:
    """`c=IN IP4 192.0.2.1` (RFC 8866 5.7). A multicast TTL or count after `/` stays in `address_suffix`."""

    address: str
    family: str = "IP4"
    network: str = "IN"
    address_suffix: str = ""

    @classmethod
    def of(cls, address: str) -> Connection:
        """The connection for an IPv4 or IPv6 address."""
        return cls(address, "IP6" if ":" in address else "IP4")

    @property
    def is_unspecified(self) -> bool:
        """True for 0.0.0.0 and ::, the hold of RFC 2543 (RFC 3264 8.4)."""
        return self.address in ("0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0")  # noqa: S104 - compared, not bound

    def __str__(self) -> str:
        return f"{self.network} {self.family} {self.address}{self.address_suffix}"


@dataclass(frozen=True, slots=True)
class Origin:
    """`o=user session_id version IN IP4 address` (RFC 8866 5.2). Numbers stay text: some are longer than 64 bits."""

    username: str
    session_id: str
    version: str
    connection: Connection

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} {self.connection}"


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of an m-line, from `a=rtpmap` and `a=fmtp` or the static table of RFC 3551 6.

    `name` is as written (compare `key`), empty for a dynamic type without rtpmap. `channels` is 1 when not said.
    """

    payload_type: int
    name: str
    clock_hz: int
    channels: int = 1
    fmtp: str = ""

    @property
    def key(self) -> str:
        """The name in lower case: `pcma`, `telephone-event`."""
        return self.name.lower()

    @property
    def is_dtmf(self) -> bool:
        """True for RFC 4733 telephone-event."""
        return self.key == "telephone-event"

    @property
    def rtpmap(self) -> str:
        """The value of the rtpmap attribute."""
        channels = f"/{self.channels}" if self.channels != 1 else ""
        return f"{self.payload_type} {self.name}/{self.clock_hz}{channels}"


STATIC_CODECS: dict[int, tuple[str, int, int]] = {
    0: ("PCMU", 8000, 1),
    3: ("GSM", 8000, 1),
    4: ("G723", 8000, 1),
    5: ("DVI4", 8000, 1),
    6: ("DVI4", 16000, 1),
    7: ("LPC", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    12: ("QCELP", 8000, 1),
    13: ("CN", 8000, 1),
    14: ("MPA", 90000, 1),
    15: ("G728", 8000, 1),
    16: ("DVI4", 11025, 1),
    17: ("DVI4", 22050, 1),
    18: ("G729", 8000, 1),
    25: ("CelB", 90000, 1),
    26: ("JPEG", 90000, 1),
    28: ("nv", 90000, 1),
    31: ("H261", 90000, 1),
    32: ("MPV", 90000, 1),
    33: ("MP2T", 90000, 1),
    34: ("H263", 90000, 1),
}
"""RFC 3551 6, tables 4 and 5: name, clock rate in Hz, channels."""

KEY_BYTES: dict[str, int] = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "F8_128_HMAC_SHA1_80": 30,
    "AES_192_CM_HMAC_SHA1_80": 38,
    "AES_192_CM_HMAC_SHA1_32": 38,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
"""Octets of master key and salt per suite (RFC 4568 6.2, RFC 6188 4, RFC 7714 14)."""


@dataclass(frozen=True, slots=True)
class Crypto:
    """`a=crypto:tag suite inline:key|lifetime|mki:length session-parameters` (RFC 4568 9.1). Its repr does not show the key."""

    tag: int
    suite: str
    key: bytes
    """Master key and salt, `KEY_BYTES[suite]` octets; empty where the line could not be decoded."""
    lifetime: str = ""
    mki: str = ""
    session_params: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """True when the suite is known and the key has its length."""
        return KEY_BYTES.get(self.suite) == len(self.key)

    @property
    def is_usable(self) -> bool:
        """True when it is valid and asks for nothing besides (RFC 4568 6.1, 6.3): no MKI in the packets, no unprotected streams, no
        other key derivation. A window size hint (WSH) only declares."""
        return self.is_valid and not self.mki and all(item.upper().startswith("WSH=") for item in self.session_params)

    def __str__(self) -> str:
        extras = "".join(f"|{item}" for item in (self.lifetime, self.mki) if item)
        params = "".join(f" {item}" for item in self.session_params)
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode('ascii')}{extras}{params}"

    def __repr__(self) -> str:
        return f"Crypto(tag={self.tag}, suite={self.suite!r}, key=<{len(self.key)} octets>)"


MAX_RTPMAP_CHARACTERS = 128
PAYLOAD_TYPES = {str(number): number for number in range(128)}


@dataclass(frozen=True, slots=True)
class RtcpAddress:
    """`a=rtcp:port [IN IP4 address]` (RFC 3605)."""

    port: int
    address: str | None = None


def parse_connection(text: str) -> Connection | None:
    """`IN IP4 address[/ttl]`."""
    parts = text.split()
    if len(parts) != 3:
        return None
    address, slash, suffix = parts[2].partition("/")
    return Connection(address, parts[1].upper(), parts[0], slash + suffix) if address else None


def parse_origin(text: str) -> Origin | None:
    """An origin of six fields; a user name with spaces (seen in the field) is tolerated."""
    parts = text.split()
    if len(parts) < 6:
        return None
    connection = parse_connection(" ".join(parts[-3:]))
    return None if connection is None else Origin(" ".join(parts[:-5]), parts[-5], parts[-4], connection)


def parse_rtpmap(text: str) -> tuple[int, str, int, int] | None:
    """`payload_type name/clock[/channels]`."""
    return _parse_short_rtpmap(text) if len(text) <= MAX_RTPMAP_CHARACTERS else None


@lru_cache(maxsize=512)  # peers send the same few
def _parse_short_rtpmap(text: str) -> tuple[int, str, int, int] | None:
    number, _, encoding = text.strip().partition(" ")
    payload_type = parse_number(number, 127)
    pieces = encoding.strip().split("/")
    if payload_type is None or len(pieces) < 2 or not pieces[0]:
        return None
    clock_hz = parse_number(pieces[1].strip(), 10_000_000)
    channels = parse_number(pieces[2].strip(), 255) if len(pieces) > 2 else 1
    return None if not clock_hz else (payload_type, pieces[0], clock_hz, channels or 1)


def parse_crypto(text: str) -> Crypto | None:
    """One crypto attribute; only the first of several `inline:` keys is used."""
    parts = text.split()
    if len(parts) < 3:
        return None
    tag = parse_number(parts[0], 999_999_999)
    method, colon, key_info = parts[2].partition(";")[0].partition(":")
    if tag is None or not colon or method.lower() != "inline":
        return None
    encoded, *extras = key_info.split("|")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    mki = next((item for item in extras if ":" in item), "")
    lifetime = next((item for item in extras if ":" not in item), "")
    return Crypto(tag, parts[1].upper(), key, lifetime, mki, tuple(parts[3:]))


def parse_rtcp(text: str) -> RtcpAddress | None:
    """`port [IN IP4 address]`."""
    number, _, rest = text.strip().partition(" ")
    port = parse_number(number, 65535)
    if port is None:
        return None
    connection = parse_connection(rest) if rest else None
    return RtcpAddress(port, None if connection is None else connection.address)
