"""What an offer and its answer agree on per m-line, and how one description differs from the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callward.sip.sdp import MediaDescription, SessionDescription
from callward.sip.sdp_fields import Codec, Crypto, Direction


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """One m-line after offer and answer, seen from our side."""

    index: int
    media: str
    protocol: str
    label: str | None
    """The offer's `a=label`, else the answer's."""
    active: bool
    """False when either side has port 0: the slot carries nothing."""
    direction: Direction
    """What we may do: send, receive, both, nothing."""
    held: bool
    """The peer paused it (unspecified address or inactive)."""
    local_address: str | None
    local_port: int
    remote_address: str | None
    """Where we send to, and where packets must come from; None when the peer gave no usable address."""
    remote_port: int
    remote_rtcp_address: str | None
    remote_rtcp_port: int
    rtcp_mux: bool
    receive_codecs: tuple[Codec, ...]
    """Payload types as our own description defines them: what the peer sends."""
    send_codecs: tuple[Codec, ...]
    """Payload types as the peer's description defines them: what we send."""
    ptime_ms: int | None
    """The peer's wish."""
    local_crypto: Crypto | None
    """The key of what we send."""
    remote_crypto: Crypto | None
    """The key of what we receive."""


ChangeKind = Literal["added", "removed", "reused", "changed"]
ChangedField = Literal["media", "protocol", "address", "port", "codecs", "direction", "label", "crypto", "held"]


@dataclass(frozen=True, slots=True)
class MediaChange:
    """How one m-line differs from before. `reused`: a slot that was free (port 0) carries a stream again (RFC 3264 8.1)."""

    index: int
    kind: ChangeKind
    fields: frozenset[ChangedField] = frozenset()


def negotiated(
    local: SessionDescription, remote: SessionDescription, *, offered_by_us: bool
) -> tuple[NegotiatedMedia, ...]:
    """What both descriptions agree on; one entry per m-line that both have."""
    return tuple(
        _one(index, local, ours, remote, theirs, offered_by_us)
        for index, (ours, theirs) in enumerate(zip(local.media, remote.media, strict=False))
    )


def _one(
    index: int,
    local: SessionDescription,
    ours: MediaDescription,
    remote: SessionDescription,
    theirs: MediaDescription,
    offered_by_us: bool,
) -> NegotiatedMedia:
    local_crypto, remote_crypto = _keys(ours, theirs, offered_by_us)
    local_connection = local.connection_of(ours)
    connection = remote.connection_of(theirs)
    address = connection.address if connection is not None and not connection.is_unspecified else None
    multiplexed = ours.rtcp_mux and theirs.rtcp_mux
    rtcp = None if multiplexed else theirs.rtcp
    rtcp_port = theirs.port if multiplexed else rtcp.port if rtcp is not None else min(theirs.port + 1, 65535)
    direction = local.direction_of(ours) & remote.direction_of(theirs).reversed
    if address is None:
        direction = Direction.of(sends=False, receives=direction.receives)
    return NegotiatedMedia(
        index=index,
        media=ours.media,
        protocol=ours.protocol,
        label=(ours.label or theirs.label) if offered_by_us else (theirs.label or ours.label),
        active=bool(ours.port and theirs.port),
        direction=direction,
        held=remote.is_held(theirs),
        local_address=None if local_connection is None else local_connection.address,
        local_port=ours.port,
        remote_address=address,
        remote_port=theirs.port,
        remote_rtcp_address=address if rtcp is None or rtcp.address is None else rtcp.address,
        remote_rtcp_port=rtcp_port,
        rtcp_mux=multiplexed,
        receive_codecs=ours.codecs,
        send_codecs=theirs.codecs,
        ptime_ms=theirs.ptime_ms,
        local_crypto=local_crypto,
        remote_crypto=remote_crypto,
    )


def _keys(ours: MediaDescription, theirs: MediaDescription, offered_by_us: bool) -> tuple[Crypto | None, Crypto | None]:
    """The answer has one crypto line, and its tag says which of the offer's is meant (RFC 4568 5.1.2, 5.1.3)."""
    if not ours.is_secure:
        return None, None
    offer, answer = (ours, theirs) if offered_by_us else (theirs, ours)
    chosen = answer.crypto[0] if answer.crypto else None
    if chosen is None:
        return None, None
    offered = next((line for line in offer.crypto if line.tag == chosen.tag and line.suite == chosen.suite), None)
    return (offered, chosen) if offered_by_us else (chosen, offered)


def changes(before: SessionDescription | None, after: SessionDescription) -> tuple[MediaChange, ...]:
    """How `after` differs from `before`, both of one author; m-lines that stay the same are not listed."""
    found: list[MediaChange] = []
    old_media = before.media if before is not None else ()
    for index, new in enumerate(after.media):
        old = old_media[index] if index < len(old_media) else None
        if before is None or old is None:
            if new.port:
                found.append(MediaChange(index, "added"))
        elif old.port and not new.port:
            found.append(MediaChange(index, "removed"))
        elif new.port and not old.port:
            found.append(MediaChange(index, "reused", _differences(before, old, after, new)))
        elif new.port and (fields := _differences(before, old, after, new)):
            found.append(MediaChange(index, "changed", fields))
    found += [
        MediaChange(index, "removed") for index in range(len(after.media), len(old_media)) if old_media[index].port
    ]
    return tuple(found)


def _differences(
    before: SessionDescription, old: MediaDescription, after: SessionDescription, new: MediaDescription
) -> frozenset[ChangedField]:
    old_connection, new_connection = before.connection_of(old), after.connection_of(new)
    pairs: dict[ChangedField, tuple[object, object]] = {
        "media": (old.media, new.media),
        "protocol": (old.protocol, new.protocol),
        "address": (old_connection, new_connection),
        "port": (old.port, new.port),
        "codecs": (old.codecs, new.codecs),
        "direction": (before.direction_of(old), after.direction_of(new)),
        "label": (old.label, new.label),
        "crypto": (old.crypto, new.crypto),
        "held": (before.is_held(old), after.is_held(new)),
    }
    return frozenset(name for name, (was, now_is) in pairs.items() if was != now_is)
