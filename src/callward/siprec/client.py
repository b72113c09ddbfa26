"""The recording client's side (RFC 7866 section 7): offer, metadata and snapshots of a recorded call.

Pure: ids, times and ports are arguments. `RecordedCall` describes the call; functions make bodies of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from callward.siprec.metadata import DataMode, Metadata
from callward.siprec.offered import Direction


@dataclass(frozen=True, slots=True)
class RecordedParty:
    """One participant; `participant_id` and `stream_id` are base64 of 16 random bytes (`identifiers.base64_uuid(entropy)`)."""

    participant_id: str
    aor: str
    name: str = ""
    joined_at: datetime | None = None
    left_at: datetime | None = None
    sends: tuple[str, ...] = ()
    """Ids of the streams in which the party is heard now (C04: taken out while it does not send)."""
    receives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """One m-line of the offer: one per direction of the call (C02)."""

    stream_id: str
    label: str
    port: int
    direction: Direction = Direction.SENDONLY


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A communication session as the recording client tells it."""

    session_id: str
    group_id: str = ""
    sip_session_id: str = ""
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    parties: tuple[RecordedParty, ...] = ()
    streams: tuple[RecordedStream, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()
    """(name, value) pairs put into the session in the namespace of Callward."""


@dataclass(frozen=True, slots=True)
class Body:
    """A message body with its Content-Type and, for bare metadata, its Content-Disposition."""

    content_type: str
    data: bytes
    disposition: str = ""


CLIENT_HEADERS: tuple[tuple[str, str], ...] = (
    ("Require", "siprec"),
    ("Accept", "application/sdp, application/rs-metadata"),
)
"""Headers of the INVITE besides Contact with `+sip.src` (C01)."""


def complete_metadata(calls: Iterable[RecordedCall]) -> Metadata:
    """A full snapshot of the calls on the recording session (C03, C05)."""
    raise NotImplementedError


def changed_metadata(before: Iterable[RecordedCall], after: Iterable[RecordedCall]) -> Metadata | None:
    """A partial document with what changed (C04), or None when nothing did."""
    raise NotImplementedError


def offer_sdp(
    calls: Iterable[RecordedCall],
    *,
    address: str,
    session_id: int,
    version: int,
    formats: str = "8 0",
    rtpmaps: tuple[str, ...] = ("8 PCMA/8000", "0 PCMU/8000"),
    packet_ms: int = 20,
    attributes: tuple[str, ...] = (),
) -> bytes:
    """SDP with one sendonly m-line and label per stream (C02). `attributes` are added at session level, e.g. `record:on`."""
    raise NotImplementedError


def metadata_body(metadata: Metadata) -> Body:
    """Metadata alone, for an UPDATE without SDP."""
    raise NotImplementedError


def offer_body(sdp: bytes, metadata: Metadata, *, boundary: str) -> Body:
    """multipart/mixed of SDP and metadata (RFC 7866 section 9.1). `boundary` must not occur in either part."""
    raise NotImplementedError


__all__ = [
    "CLIENT_HEADERS",
    "Body",
    "DataMode",
    "RecordedCall",
    "RecordedParty",
    "RecordedStream",
    "changed_metadata",
    "complete_metadata",
    "metadata_body",
    "offer_body",
    "offer_sdp",
]
