"""Offer and answer of a recording session (RFC 3264, RFC 7866 sections 7 and 8): what the media process must know, and
our description.

Everything that was offered is accepted: each payload type is kept in the answer (a recording client may refuse an
answer without telephone-event),
because what is not understood today is stored raw and can be decoded later.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from callward.media.protocol import PayloadType, Remote, Srtp, TrackSettings
from callward.recorder.actions import MediaLine
from callward.sip.grammar import parse_number
from callward.sip.sdp import MediaDescription, SessionDescription, describe, parse
from callward.sip.sdp_fields import KEY_BYTES, Codec, Connection, Crypto, Direction, Origin
from callward.siprec.stream_plan import PlannedStream

SUITES = (
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
)
"""SRTP suites that the media process can open (docs/reference/media-protocol.md)."""

MAX_CODECS = 64
MAX_CODEC_BYTES = 64
MAX_FMTP_BYTES = 1024
MAX_CLOCK_HZ = 1_000_000
DEFAULT_CLOCK_HZ = 8000
"""What the media process takes of one stream; the offer may have more."""
MAX_PROBLEMS = 4
MAX_MKI_BYTES = 128


@dataclass(frozen=True, slots=True)
class LocalStream:
    """Our side of one m-line that is open."""

    rtp_port: int
    rtcp_port: int
    srtp_key: str = ""
    """Base64 of master key and salt for what we send; empty without SRTP."""


def read_lines(offer: SessionDescription, source: str) -> tuple[MediaLine, ...]:
    """What each m-line says about its media. `source`: where the SIP message came from.

    The source stands in for an address that the offer leaves out, or that is private while the message came from a
    public one (NAT).
    """
    return tuple(_read_line(offer, index, media, source) for index, media in enumerate(offer.media))


def _read_line(offer: SessionDescription, index: int, media: MediaDescription, source: str) -> MediaLine:
    if not media.is_rtp:
        return MediaLine(index, TrackSettings(), f"{media.protocol[:40]} is no RTP")
    crypto = None
    if media.is_secure:
        crypto = usable_crypto(media)
        if crypto is None:
            return MediaLine(index, TrackSettings(), "no SRTP key of a suite that is supported")
    codecs, problem = _payload_types(media.codecs)
    settings = TrackSettings(
        payload_types=codecs,
        remote=_remote(offer, media, source),
        rtcp_mux=media.rtcp_mux,
        srtp=Srtp(crypto.suite, base64.b64encode(crypto.key).decode("ascii"), mki_bytes(crypto)) if crypto else None,
    )
    return MediaLine(index, settings, problem=problem)


def _payload_types(codecs: Sequence[Codec]) -> tuple[tuple[PayloadType, ...], str]:
    """The codecs within the bounds of the media process, and what was put right.

    Of too many the named ones are told first; packets of the others are stored all the same, as of an unknown type.
    """
    codecs = tuple(dict.fromkeys(codecs))
    named = [codec for codec in codecs if codec.name]
    told = set([*named, *(codec for codec in codecs if not codec.name)][:MAX_CODECS])
    dtmf = next((codec for codec in named if codec.name.lower() == "telephone-event"), None)
    if dtmf is not None and dtmf not in told:
        told.remove(named[MAX_CODECS - 1])
        told.add(dtmf)
    kept, problems = [], []
    if len(codecs) > MAX_CODECS:
        problems.append(f"{len(codecs)} payload types are offered, {MAX_CODECS} are told to the media process")
    for codec in codecs:
        if codec not in told:
            continue
        clock_hz = codec.clock_hz
        if not 0 < clock_hz <= MAX_CLOCK_HZ:
            clock_hz = DEFAULT_CLOCK_HZ
            if codec.name:
                problems.append(f"payload type {codec.payload_type} has a clock of {codec.clock_hz} Hz")
        name, fmtp = _clipped(codec.name, MAX_CODEC_BYTES), _clipped(codec.fmtp, MAX_FMTP_BYTES)
        if name != codec.name or fmtp != codec.fmtp:
            problems.append(f"payload type {codec.payload_type} has a name or parameters that are too long")
        channels = min(max(codec.channels, 1), 255)
        kept.append(PayloadType(codec.payload_type, name, clock_hz, channels, fmtp))
    return tuple(kept), "; ".join(problems[:MAX_PROBLEMS])


def _clipped(text: str, limit: int) -> str:
    """At most so many octets of UTF-8."""
    return text if len(text) * 4 <= limit else text.encode(errors="replace")[:limit].decode(errors="ignore")


def usable_crypto(media: MediaDescription) -> Crypto | None:
    """The first key in the peer's order that the media process can open (RFC 4568 section 5.1.2).

    One with a key identifier (MKI) is fine; one with session parameters that change the packets is not (section 6.3).
    """
    return next((item for item in media.crypto if item.suite in SUITES and _is_usable(item)), None)


def _is_usable(crypto: Crypto) -> bool:
    if not crypto.mki:
        return crypto.is_usable
    return mki_bytes(crypto) > 0 and replace(crypto, mki="").is_usable


def mki_bytes(crypto: Crypto) -> int:
    """Length of the key identifier in each packet (`value:length`, RFC 4568 section 6.1); 0: none, or it makes no sense."""
    return parse_number(crypto.mki.partition(":")[2], MAX_MKI_BYTES) or 0


def key_bytes(suite: str) -> int:
    """How many octets of key and salt we have to make for a suite."""
    return KEY_BYTES[suite]


def _remote(offer: SessionDescription, media: MediaDescription, source: str) -> Remote | None:
    if media.port == 0:
        return None
    connection = offer.connection_of(media)
    if connection is not None and connection.is_unspecified:
        return None
    host = _media_host(connection.address if connection is not None else "", source)
    if host is None:
        return None
    rtcp = media.rtcp
    rtcp_port = media.port if media.rtcp_mux else rtcp.port if rtcp is not None else media.port + 1
    return Remote(f"{host}:{media.port}", f"{host}:{rtcp_port}" if 0 < rtcp_port < 65536 else "")


@lru_cache(maxsize=4096)
def _media_host(named: str, source: str) -> str | None:
    """The address that media comes from, IPv6 in brackets; None when neither is one."""
    host, seen = _address(named), _address(source)
    if host is None or (host.is_private and seen is not None and not seen.is_private):
        host = seen
    if host is None:
        return None
    return f"[{host}]" if host.version == 6 else str(host)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])  # the zone of fe80::1%eth0 is the client's own business
    except ValueError:
        return None


def answer(
    offer: SessionDescription,
    plan: Sequence[PlannedStream],
    local: Mapping[int, LocalStream],
    *,
    address: str,
    session_id: str,
    version: int,
) -> SessionDescription:
    """Our answer:

    as many m-lines as the offer, in its order (S04). `local`: our side of the accepted ones, by position.
    """
    media = []
    for step, offered in zip(plan, offer.media, strict=False):
        mine = local.get(step.index)
        media.append(
            _rejected(offered) if mine is None or not step.accepted else _accepted(step, offered, mine, address)
        )
    return describe(_origin(address, session_id, version), address, media)


def parse_own(text: str) -> SessionDescription:
    """A description of our own that was kept; without m-lines when it was empty."""
    found = parse(text.encode())
    return found if isinstance(found, SessionDescription) else SessionDescription(())


def own_offer(
    last: SessionDescription, local: Mapping[int, LocalStream], *, address: str, session_id: str, version: int
) -> SessionDescription:
    """Our offer: the streams that are open, with their ports of now, and no other (S08)."""
    media = [_moved(described, local.get(index), address) for index, described in enumerate(last.media)]
    return describe(_origin(address, session_id, version), address, media)


def _moved(described: MediaDescription, mine: LocalStream | None, address: str) -> MediaDescription:
    if described.port == 0 or mine is None:
        return _rejected(described)
    return _with_ports(described.without_attribute("rtcp"), mine, address)


def _with_ports(described: MediaDescription, mine: LocalStream, address: str) -> MediaDescription:
    media = replace(described, port=mine.rtp_port, port_count=1)
    if mine.rtcp_port and mine.rtcp_port != mine.rtp_port + 1:
        media = media.with_attribute("rtcp", f"{mine.rtcp_port} {Connection.of(address)}")
    return media


def _origin(address: str, session_id: str, version: int) -> Origin:
    return Origin("callward", session_id, str(version), Connection.of(address))


def _rejected(offered: MediaDescription) -> MediaDescription:
    return replace(offered, port=0, port_count=1, lines=_kept(offered, ("label", "mid")))


def _accepted(step: PlannedStream, offered: MediaDescription, mine: LocalStream, address: str) -> MediaDescription:
    lines = list(_kept(offered, ("label", "mid", "rtpmap", "fmtp", "ptime", "maxptime")))
    media = replace(offered, lines=tuple(lines))
    crypto = usable_crypto(offered) if offered.is_secure else None
    if crypto is not None and mine.srtp_key:
        key = base64.b64decode(mine.srtp_key)
        media = media.with_attribute("crypto", str(Crypto(crypto.tag, crypto.suite, key)))
    if offered.rtcp_mux and mine.rtcp_port == mine.rtp_port:
        media = media.with_attribute("rtcp-mux")
    return _with_ports(media, mine, address).with_direction(Direction(step.direction.value))


def _kept(offered: MediaDescription, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(line for line in offered.lines if line[0] == "a" and line[1].partition(":")[0].strip() in names)
