"""The recording client's side (RFC 7866 section 7): offer, metadata and snapshots of a recorded call.

Pure: ids, times and ports are arguments. `RecordedCall` describes the call; functions make bodies of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from callward.sip.multipart import Part, build, content_type
from callward.sip.sdp import MediaDescription, describe
from callward.sip.sdp_fields import Connection, Origin
from callward.siprec.metadata import (
    MEDIA_TYPE,
    DataMode,
    Extension,
    Group,
    Metadata,
    NameId,
    Participant,
    ParticipantSession,
    ParticipantStream,
    Period,
    Session,
    SessionRecording,
    Stream,
)
from callward.siprec.offered import Direction
from callward.siprec.writing import CALLWARD_NAMESPACE, write_metadata


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
    """A full snapshot of the calls on the recording session (C03, C05). Calls that have stopped are left out."""
    running = tuple(call for call in calls if call.stopped_at is None)
    return _document(DataMode.COMPLETE, running)


def changed_metadata(before: Iterable[RecordedCall], after: Iterable[RecordedCall]) -> Metadata | None:
    """A partial document with what changed (C04), or None when nothing did.

    A call that is no longer in `after` is not told to have stopped: pass it once more with `stopped_at`.
    """
    known = {call.session_id: call for call in before}
    changed = []
    for call in after:
        old = known.get(call.session_id)
        if old is None:
            changed.append(call)
        elif old != call:
            parties = tuple(party for party in call.parties if party not in old.parties)
            streams = tuple(stream for stream in call.streams if stream not in old.streams)
            changed.append(replace(call, parties=parties, streams=streams))
    return _document(DataMode.PARTIAL, tuple(changed)) if changed else None


def _document(mode: DataMode, calls: tuple[RecordedCall, ...]) -> Metadata:
    groups = dict.fromkeys(call.group_id for call in calls if call.group_id)
    return Metadata(
        mode=mode,
        groups=tuple(Group(id_) for id_ in groups),
        sessions=tuple(_session(call) for call in calls),
        participants=_once(_participant(party) for call in calls for party in call.parties),
        streams=_once(Stream(s.stream_id, call.session_id, s.label) for call in calls for s in call.streams),
        session_recordings=tuple(
            SessionRecording(call.session_id, _period(call.started_at, call.stopped_at)) for call in calls
        ),
        participant_sessions=tuple(
            ParticipantSession(party.participant_id, call.session_id, _period(party.joined_at, party.left_at))
            for call in calls
            for party in call.parties
        ),
        participant_streams=tuple(
            ParticipantStream(
                party.participant_id, party.sends, party.receives, _period(party.joined_at, party.left_at)
            )
            for call in calls
            for party in call.parties
        ),
    )


def _session(call: RecordedCall) -> Session:
    return Session(
        call.session_id,
        call.group_id,
        (call.sip_session_id,) if call.sip_session_id else (),
        (),
        _period(call.started_at, call.stopped_at),
        tuple(Extension(name, "callward", CALLWARD_NAMESPACE, value) for name, value in call.extensions),
    )


def _participant(party: RecordedParty) -> Participant:
    return Participant(party.participant_id, (NameId(party.aor, party.name),))


def _period(start_at: datetime | None, end_at: datetime | None) -> Period:
    return Period(start_at, end_at, ended=end_at is not None)


_Element = TypeVar("_Element", Participant, Stream)


def _once(elements: Iterable[_Element]) -> tuple[_Element, ...]:
    """One party or stream in several calls is one element: an id stands for one thing (RFC 7865 section 6.10)."""
    return tuple({element.id: element for element in elements}.values())


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
    """SDP with one sendonly m-line and label per stream (C02), in the order of the calls and their streams.

    A stream with port 0 is removed; its m-line stays (RFC 3264 section 8.2). `attributes` are added at session level, e.g. `record:on`.
    """
    origin = Origin("callward", str(session_id), str(version), Connection.of(address))
    streams = {stream.stream_id: stream for call in calls for stream in call.streams}
    media = []
    for stream in streams.values():
        lines = [("a", f"rtpmap:{rtpmap}") for rtpmap in rtpmaps]
        lines += [("a", f"ptime:{packet_ms}"), ("a", f"label:{stream.label}"), ("a", stream.direction.value)]
        media.append(MediaDescription("audio", stream.port, "RTP/AVP", tuple(formats.split()), tuple(lines)))
    return describe(origin, address, media, attributes).to_bytes()


def metadata_body(metadata: Metadata) -> Body:
    """Metadata alone, for an UPDATE without SDP."""
    return Body(MEDIA_TYPE, write_metadata(metadata), "recording-session")


def offer_body(sdp: bytes, metadata: Metadata, *, boundary: str) -> Body:
    """multipart/mixed of SDP and metadata (RFC 7866 section 9.1).

    Raises ValueError when `boundary` occurs in a part: pick another one.
    """
    parts = [
        Part.of("application/sdp", sdp),
        Part.of(MEDIA_TYPE, write_metadata(metadata), "recording-session"),
    ]
    return Body(str(content_type(boundary)), build(parts, boundary))
