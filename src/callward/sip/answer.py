"""Building an answer (RFC 3264 6): every m-line of the offer in order, each accepted or rejected with port 0.

An accepted RTP m-line keeps every payload type of the offer by default, telephone-event included: a peer that forks media
(rtpengine) refuses an answer that drops one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from callward.sip.sdp import Line, MediaDescription, SessionDescription, describe
from callward.sip.sdp_fields import KEY_BYTES, Connection, Crypto, Direction, Origin

DEFAULT_SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
"""SRTP suites that are accepted unless told otherwise (RFC 4568 6.2)."""

MAX_FMTP_LINES = 256


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer the m-line with port 0."""


@dataclass(frozen=True, slots=True)
class Accept:
    """How to accept one m-line. It is rejected all the same when the offer has port 0, no format that is kept, a transport that
    is none of RTP/AVP, AVPF, SAVP and SAVPF, or is SRTP without a key that we can use."""

    port: int
    address: str | None = None
    """Own `c=` of the m-line where it differs from the session's."""
    direction: Direction = Direction.SENDRECV
    """What we are ready to do; the answer allows no more than the offer (RECVONLY for a recorder, INACTIVE while not ready)."""
    payload_types: frozenset[int] | None = None
    """The payload types kept, None for all."""
    crypto_key: bytes | None = None
    """Fresh entropy of at least 46 octets for our SRTP key; None keeps the key of the previous answer while the peer keeps its own."""
    suites: tuple[str, ...] = DEFAULT_SUITES
    rtcp_port: int | None = None
    """Written as `a=rtcp` where it is not port + 1 and RTCP is not multiplexed."""
    rtcp_mux: bool = True
    """Multiplex where the offer does."""
    ptime_ms: int | None = None
    attributes: tuple[str, ...] = ()
    """Further `a=` values of the m-line, e.g. `record:on`."""


def build_answer(
    offer: SessionDescription,
    choices: Sequence[Accept | Reject],
    origin: Origin,
    address: str,
    previous: SessionDescription | None = None,
    attributes: Sequence[str] = (),
) -> SessionDescription:
    """The answer to `offer`; m-lines without a choice are rejected. `previous` is our description in force (SRTP keys are kept)."""
    answered: list[MediaDescription] = []
    for index, offered in enumerate(offer.media):
        choice = choices[index] if index < len(choices) else Reject()
        before = previous.media[index] if previous is not None and index < len(previous.media) else None
        answered.append(_rejected(offered) if isinstance(choice, Reject) else _accepted(offer, offered, choice, before))
    return describe(origin, address, answered, attributes, offer.timing)


def _rejected(offered: MediaDescription) -> MediaDescription:
    lines: tuple[Line, ...] = () if offered.label is None else (("a", f"label:{offered.label}"),)
    return MediaDescription(offered.media, 0, offered.protocol, offered.formats or ("0",), lines)


def _accepted(
    offer: SessionDescription, offered: MediaDescription, choice: Accept, before: MediaDescription | None
) -> MediaDescription:
    if not offered.port or offered.protocol.upper() not in ("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"):
        return _rejected(offered)
    kept = tuple(
        text
        for text in offered.formats
        if choice.payload_types is None or (text.isascii() and text.isdigit() and int(text) in choice.payload_types)
    )
    if not kept:
        return _rejected(offered)
    lines: list[Line] = []
    if choice.address is not None:
        lines.append(("c", str(Connection.of(choice.address))))
    lines += _format_lines(offered, frozenset(kept))
    if choice.ptime_ms is not None:
        lines.append(("a", f"ptime:{choice.ptime_ms}"))
    if offered.is_secure:
        crypto = choose_crypto(offered, choice, before)
        if crypto is None:
            return _rejected(offered)
        lines.append(("a", f"crypto:{crypto}"))
    if offered.label is not None:
        lines.append(("a", f"label:{offered.label}"))
    multiplexed = choice.rtcp_mux and offered.rtcp_mux
    if multiplexed:
        lines.append(("a", "rtcp-mux"))
    elif choice.rtcp_port is not None and choice.rtcp_port != choice.port + 1:
        lines.append(("a", f"rtcp:{choice.rtcp_port}"))
    lines += [("a", value) for value in choice.attributes]
    lines.append(("a", _direction(offer, offered, choice.direction).value))
    return MediaDescription(offered.media, choice.port, offered.protocol, kept, tuple(lines))


def _format_lines(offered: MediaDescription, kept: frozenset[str]) -> list[Line]:
    """The offer's rtpmap and fmtp lines of the formats that are kept."""
    lines: list[Line] = []
    for kind, value in offered.lines:
        if kind == "a" and value.startswith(("rtpmap:", "fmtp:")) and len(lines) < MAX_FMTP_LINES:
            name, _, rest = value.partition(":")
            if rest.strip().partition(" ")[0] in kept:
                lines.append(("a", f"{name}:{rest.strip()}"))
    return lines


def _direction(offer: SessionDescription, offered: MediaDescription, ready: Direction) -> Direction:
    """RFC 3264 6.1, and 8.4 for the unspecified address: nothing can be sent there; sendonly with it is a recording client's pause."""
    direction = offer.direction_of(offered).reversed & ready
    connection = offered.own_connection or offer.own_connection
    if connection is not None and connection.is_unspecified:
        if offer.direction_of(offered) is Direction.SENDONLY:
            return Direction.INACTIVE
        return Direction.of(sends=False, receives=direction.receives)
    return direction


def choose_crypto(offered: MediaDescription, choice: Accept, before: MediaDescription | None) -> Crypto | None:
    """Our crypto line: the first offered one that can be used, with its tag and suite and our own key (RFC 4568 5.1.2)."""
    for line in offered.crypto:
        if line.suite not in choice.suites or not line.is_usable:
            continue
        size = KEY_BYTES[line.suite]
        if choice.crypto_key is not None:
            if len(choice.crypto_key) < size:
                raise ValueError(f"crypto_key has {len(choice.crypto_key)} octets, {line.suite} needs {size}")
            return Crypto(line.tag, line.suite, choice.crypto_key[:size])
        old = before.crypto[0] if before is not None and before.crypto else None
        if old is not None and old.suite == line.suite and old.is_valid:
            return Crypto(line.tag, line.suite, old.key)
    return None
