"""Session descriptions (SDP, RFC 8866): lines kept in order, typed access on top, printing that gives the same lines back.

Liberal: missing `c=`, `s=` or `t=`, `o=` with 0.0.0.0, LF line ends, unknown lines. Refused is only what cannot be answered: no
SDP at all, an m-line that cannot be read, too much of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from callward.sip.grammar import parse_number
from callward.sip.lazy import lazy
from callward.sip.sdp_fields import (
    DIRECTIONS,
    PAYLOAD_TYPES,
    STATIC_CODECS,
    Codec,
    Connection,
    Crypto,
    Direction,
    Origin,
    RtcpAddress,
    parse_connection,
    parse_crypto,
    parse_origin,
    parse_rtcp,
    parse_rtpmap,
)

MAX_SDP_BYTES = 65_536
MAX_LINES = 4_096
MAX_MEDIA = 64
"""m-lines. Audio and video of many parties stay below; each costs a port."""
MAX_FORMATS = 128
"""There are 128 payload types."""

Line = tuple[str, str]
"""Type letter and value of one line: `("a", "sendonly")`."""

_CONTROLS: dict[int, str | None] = {**dict.fromkeys(range(0x20)), 0x7F: None, 0x09: " "}
_BEFORE_CONNECTION = "i"


@dataclass(frozen=True, slots=True)
class SdpFailure:
    """The body is no session description that could be answered; `reason` says why (answer 400 or 488)."""

    reason: str


class _Attributes:
    """Look-ups in the attribute lines of a level."""

    lines: tuple[Line, ...]

    def attribute(self, name: str) -> str | None:
        """The value of the first `a=name[:value]`, `""` without value, None when absent. Names are case-sensitive (RFC 8866)."""
        values = self.attributes.get(name)
        return values[0] if values else None

    def attribute_values(self, name: str) -> tuple[str, ...]:
        """The values of every `a=name`, in order."""
        return tuple(self.attributes.get(name, ()))

    @lazy
    def attributes(self) -> dict[str, list[str]]:
        """Attribute values by name, in order."""
        found: dict[str, list[str]] = {}
        for kind, value in self.lines:
            if kind == "a":
                name, _, rest = value.partition(":")
                if name in found:
                    found[name].append(rest.strip())
                else:
                    found[name.strip()] = [rest.strip()]
        return found

    @lazy
    def own_direction(self) -> Direction | None:
        """The direction attribute of this level, None when there is none (of several the last, as stacks do)."""
        own: Direction | None = None
        for name in self.attributes:
            found = DIRECTIONS.get(name) or DIRECTIONS.get(name.lower())
            if found is not None:
                own = found
        return own

    @lazy
    def own_connection(self) -> Connection | None:
        """The `c=` line of this level."""
        return next(
            (c for kind, value in self.lines if kind == "c" and (c := parse_connection(value)) is not None), None
        )

    @property
    def record(self) -> str | None:
        """`a=record:` on, off or paused, lower case (RFC 7866 7.1.2)."""
        value = self.attribute("record")
        return None if value is None else value.lower()

    @property
    def recordpref(self) -> str | None:
        """`a=recordpref:` on, off, pause or nopreference, lower case (RFC 7866 7.1.3)."""
        value = self.attribute("recordpref")
        return None if value is None else value.lower()


def _codecs(formats: tuple[str, ...], maps: tuple[str, ...], fmtps: tuple[str, ...]) -> tuple[Codec, ...]:
    mapped = {found[0]: found[1:] for value in maps if (found := parse_rtpmap(value)) is not None}
    parameters: dict[int, str] = {}
    for value in fmtps:
        number, _, text = value.partition(" ")
        if (payload_type := PAYLOAD_TYPES.get(number)) is not None:
            parameters.setdefault(payload_type, text.strip())
    codecs: list[Codec] = []
    for payload_type in [PAYLOAD_TYPES[text] for text in formats if text in PAYLOAD_TYPES]:
        name, clock_hz, channels = mapped.get(payload_type) or STATIC_CODECS.get(payload_type, ("", 8000, 1))
        codecs.append(Codec(payload_type, name, clock_hz, channels, parameters.get(payload_type, "")))
    return tuple(codecs)


@lru_cache(maxsize=512)  # a peer offers the same formats in every call
def _usual_codecs(formats: tuple[str, ...], maps: tuple[str, ...], fmtps: tuple[str, ...]) -> tuple[Codec, ...]:
    return _codecs(formats, maps, fmtps)


@dataclass(frozen=True)
class MediaDescription(_Attributes):
    """One m-line and the lines under it. `port` 0: rejected or removed (RFC 3264 6, 8.2)."""

    media: str
    port: int
    protocol: str
    formats: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    port_count: int = 1

    @lazy
    def payload_types(self) -> tuple[int, ...]:
        """The numeric formats in order of preference."""
        return tuple(PAYLOAD_TYPES[text] for text in self.formats if text in PAYLOAD_TYPES)

    @lazy
    def codecs(self) -> tuple[Codec, ...]:
        """One per numeric format, in order of preference."""
        maps, fmtps = self.attribute_values("rtpmap"), self.attribute_values("fmtp")
        if len(maps) + len(fmtps) <= 32 and len("".join((*self.formats, *maps, *fmtps))) <= 2_048:
            return _usual_codecs(self.formats, maps, fmtps)
        return _codecs(self.formats, maps, fmtps)

    @lazy
    def crypto(self) -> tuple[Crypto, ...]:
        """The SDES keys that can be read, in order of preference (RFC 4568)."""
        return tuple(c for value in self.attribute_values("crypto") if (c := parse_crypto(value)) is not None)

    @property
    def label(self) -> str | None:
        """`a=label` (RFC 4574), which SIPREC metadata refers to."""
        return self.attribute("label")

    @property
    def ptime_ms(self) -> int | None:
        return parse_number((self.attribute("ptime") or "").partition(".")[0], 10_000)

    @property
    def rtcp(self) -> RtcpAddress | None:
        value = self.attribute("rtcp")
        return None if value is None else parse_rtcp(value)

    @property
    def rtcp_mux(self) -> bool:
        """RTP and RTCP on one port (RFC 5761)."""
        return "rtcp-mux" in self.attributes

    @property
    def candidates(self) -> tuple[str, ...]:
        """ICE candidates as they came."""
        return self.attribute_values("candidate")

    @property
    def is_rtp(self) -> bool:
        return "RTP/" in self.protocol.upper()

    @property
    def is_secure(self) -> bool:
        """True for the SRTP profiles SAVP and SAVPF."""
        return "SAVP" in self.protocol.upper()

    def with_attribute(self, name: str, value: str | None = None) -> MediaDescription:
        """With one more `a=` line at the end."""
        return replace(self, lines=(*self.lines, ("a", name if value is None else f"{name}:{value}")))

    def without_attribute(self, name: str) -> MediaDescription:
        """Without the `a=` lines of that name."""
        return replace(
            self, lines=tuple(line for line in self.lines if line[0] != "a" or line[1].partition(":")[0] != name)
        )

    def with_direction(self, direction: Direction) -> MediaDescription:
        """With that direction attribute and no other."""
        kept = tuple(line for line in self.lines if line[0] != "a" or line[1].strip().lower() not in DIRECTIONS)
        return replace(self, lines=(*kept, ("a", direction.value)))

    def with_connection(self, address: str | None) -> MediaDescription:
        """With that `c=` line and no other; without any for None."""
        kept = [line for line in self.lines if line[0] != "c"]
        if address is not None:
            position = 0
            while position < len(kept) and kept[position][0] in _BEFORE_CONNECTION:
                position += 1
            kept.insert(position, ("c", str(Connection.of(address))))
        return replace(self, lines=tuple(kept))

    def to_lines(self) -> list[Line]:
        port = str(self.port) if self.port_count == 1 else f"{self.port}/{self.port_count}"
        return [("m", " ".join((self.media, port, self.protocol, *self.formats))), *self.lines]


@dataclass(frozen=True)
class SessionDescription(_Attributes):
    """A whole description: `lines` are those before the first m-line."""

    lines: tuple[Line, ...]
    media: tuple[MediaDescription, ...] = ()

    @lazy
    def origin(self) -> Origin | None:
        """The `o=` line; None when absent or malformed."""
        return next((o for kind, value in self.lines if kind == "o" and (o := parse_origin(value)) is not None), None)

    @property
    def timing(self) -> str:
        """The `t=` line, `0 0` when absent."""
        return next((value for kind, value in self.lines if kind == "t"), "0 0")

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """Where media of that m-line goes: its own `c=`, else the session's, else (a tolerated defect) the address of `o=`."""
        found = media.own_connection or self.own_connection
        if found is None and self.origin is not None and not self.origin.connection.is_unspecified:
            return self.origin.connection
        return found

    def direction_of(self, media: MediaDescription) -> Direction:
        """The m-line's direction: its own, else the session's, else sendrecv (RFC 8866 6.7)."""
        return media.own_direction or self.own_direction or Direction.SENDRECV

    def is_held(self, media: MediaDescription) -> bool:
        """True for the two forms of hold that also pause a recording: an unspecified address (RFC 3264 8.4) and `inactive`."""
        connection = media.own_connection or self.own_connection
        unspecified = connection is not None and connection.is_unspecified
        return unspecified or self.direction_of(media) is Direction.INACTIVE

    def record_of(self, media: MediaDescription) -> str | None:
        return media.record or self.record

    def recordpref_of(self, media: MediaDescription) -> str | None:
        return media.recordpref or self.recordpref

    def by_label(self, label: str) -> MediaDescription | None:
        """The m-line with that `a=label`."""
        return next((media for media in self.media if media.label == label), None)

    def to_lines(self) -> list[Line]:
        return [*self.lines, *(line for media in self.media for line in media.to_lines())]

    def to_bytes(self) -> bytes:
        return "".join([f"{kind}={value}\r\n" for kind, value in self.to_lines()]).encode("utf-8", "replace")

    def __str__(self) -> str:
        return self.to_bytes().decode("utf-8")


def parse(body: bytes) -> SessionDescription | SdpFailure:
    """Parses a session description. Never raises; linear."""
    if len(body) > MAX_SDP_BYTES:
        return SdpFailure("the session description is larger than 64 kB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        return SdpFailure(f"the session description has more than {MAX_LINES} lines")
    session: list[Line] = []
    media: list[tuple[str, list[Line]]] = []
    current = session
    for raw in lines:
        line = raw.strip()
        if not line.isprintable():
            line = line.translate(_CONTROLS)
        if line[1:2] != "=":
            continue
        if line[0] == "m":
            current = []
            media.append((line[2:], current))
        else:
            current.append((line[0], line[2:]))
    if not media and not any(kind == "v" for kind, _ in session):
        return SdpFailure("the body is no session description")
    if len(media) > MAX_MEDIA:
        return SdpFailure(f"the session description has more than {MAX_MEDIA} m-lines")
    described: list[MediaDescription] = []
    for value, below in media:
        one = _parse_media(value, tuple(below))
        if one is None:
            return SdpFailure(f"the m-line {value[:80]!r} cannot be read")
        described.append(one)
    return SessionDescription(tuple(session), tuple(described))


def _parse_media(value: str, lines: tuple[Line, ...]) -> MediaDescription | None:
    parts = value.split()
    if len(parts) < 3 or len(parts) > MAX_FORMATS + 3:
        return None
    port_text, slash, count_text = parts[1].partition("/")
    port = parse_number(port_text, 65535)
    count = parse_number(count_text, 65535) if slash else 1
    if port is None or not count:
        return None
    return MediaDescription(parts[0].lower(), port, parts[2], tuple(parts[3:]), lines, count)


def describe(
    origin: Origin, address: str, media: Sequence[MediaDescription], attributes: Sequence[str] = (), timing: str = "0 0"
) -> SessionDescription:
    """A description of our own with the lines in the order of RFC 8866 5."""
    lines: list[Line] = [("v", "0"), ("o", str(origin)), ("s", "-"), ("c", str(Connection.of(address))), ("t", timing)]
    return SessionDescription((*lines, *(("a", value) for value in attributes)), tuple(media))
