"""Building an offer (RFC 3264 5, 8): first ones, and changed ones that keep every slot of the session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from callward.sip.sdp import Line, MediaDescription, SessionDescription, describe
from callward.sip.sdp_fields import STATIC_CODECS, Codec, Connection, Crypto, Direction, Origin


@dataclass(frozen=True, slots=True)
class MediaOffer:
    """One m-line that we offer. Port 0 removes the stream of its slot."""

    port: int
    codecs: tuple[Codec, ...]
    media: str = "audio"
    protocol: str = "RTP/AVP"
    address: str | None = None
    """Own `c=` of the m-line where it differs from the session's."""
    direction: Direction = Direction.SENDRECV
    label: str | None = None
    crypto: tuple[Crypto, ...] = ()
    """For SAVP and SAVPF, in order of preference, each with a key of its own."""
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    ptime_ms: int | None = None
    attributes: tuple[str, ...] = ()
    """Further `a=` values of the m-line, e.g. `record:on`, `recordpref:nopreference`."""


def build_offer(
    media: Sequence[MediaOffer],
    origin: Origin,
    address: str,
    previous: SessionDescription | None = None,
    attributes: Sequence[str] = (),
) -> SessionDescription:
    """The offer. Slots of `previous` beyond `media` are offered with port 0: m-lines never vanish (RFC 3264 8)."""
    described = [_described(item) for item in media]
    if previous is not None:
        described += [
            MediaDescription(old.media, 0, old.protocol, old.formats or ("0",))
            for old in previous.media[len(described) :]
        ]
    return describe(origin, address, described, attributes)


def _described(item: MediaOffer) -> MediaDescription:
    formats = tuple(str(codec.payload_type) for codec in item.codecs) or ("0",)
    if item.port == 0:
        lines: tuple[Line, ...] = () if item.label is None else (("a", f"label:{item.label}"),)
        return MediaDescription(item.media, 0, item.protocol, formats, lines)
    written: list[Line] = []
    if item.address is not None:
        written.append(("c", str(Connection.of(item.address))))
    for codec in item.codecs:
        if codec.name or codec.payload_type not in STATIC_CODECS:
            written.append(("a", f"rtpmap:{codec.rtpmap}"))
        if codec.fmtp:
            written.append(("a", f"fmtp:{codec.payload_type} {codec.fmtp}"))
    if item.ptime_ms is not None:
        written.append(("a", f"ptime:{item.ptime_ms}"))
    written += [("a", f"crypto:{line}") for line in item.crypto]
    if item.label is not None:
        written.append(("a", f"label:{item.label}"))
    if item.rtcp_port is not None and item.rtcp_port != item.port + 1:
        written.append(("a", f"rtcp:{item.rtcp_port}"))
    if item.rtcp_mux:
        written.append(("a", "rtcp-mux"))
    written += [("a", value) for value in item.attributes]
    written.append(("a", item.direction.value))
    return MediaDescription(item.media, item.port, item.protocol, formats, tuple(written))
