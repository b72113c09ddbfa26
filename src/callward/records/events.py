"""Events that the call path writes to its journals, and that are applied to the database exactly once.

Each event is one JSON object with `type` and `version`. A field may be added with a default; a field is never renamed or re-used:
old journals must stay readable. Times are aware UTC datetimes. Ids are ULIDs (26 characters), made by the recorder.
Text that came from a peer (numbers, names, raw metadata) is bounded here and is never used as a path or a command.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Ulid = Annotated[str, Field(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
Short = Annotated[str, Field(max_length=255)]
Text = Annotated[str, Field(max_length=4096)]


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    version: int = 1


class Party(_Event):
    """One participant of a communication session. `line` marks the recorded side where the metadata tells it."""

    party: Short
    """Participant id of the metadata, or a made one (`stream-1`) when there is none."""
    name: Short = ""
    aor: Short = ""
    number: Short = ""
    """E.164 where it could be normalised, else the user part as sent."""
    joined_at: datetime | None = None
    left_at: datetime | None = None


class TrackRef(_Event):
    """One stored stream of a recording."""

    track: Ulid
    label: Short = ""
    """`a=label` of the m-line."""
    parties: list[Short] = Field(default_factory=list, max_length=64)
    """Who can be heard in it (`<send>`); more than one for a mixed stream, none when unknown."""


class Call(_Event):
    """One communication session inside a recording; becomes a conversation."""

    conversation: Ulid
    organisation: Ulid | None = None
    """None: no organisation matched; only the provider sees it."""
    started_at: datetime
    ended_at: datetime | None = None
    direction: Literal["in", "out", "internal", "unknown"] = "unknown"
    caller: Party | None = None
    called: Party | None = None
    parties: list[Party] = Field(default_factory=list, max_length=256)
    session_ids: dict[str, Short] = Field(default_factory=dict)
    """communication_session, group, sip_session_id, call_id, vendor call ids: searched to join legs and for support."""
    extensions: dict[str, Any] = Field(default_factory=dict)


class Problem(_Event):
    """Something odd that never costs audio. `code` is one of the documented problem codes, e.g. `odd_metadata`, `one_way`, `gaps`."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    detail: Text = ""


class Mark(_Event):
    """A moment of a recording: pause, resume, hold, unhold, transfer, announcement, restart."""

    at: datetime
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    detail: Text = ""


class RecordingStarted(_Event):
    """The answer was sent (or media arrived); the conversation shows as being recorded."""

    type: Literal["recording_started"] = "recording_started"
    recording: Ulid
    session: Ulid
    peer: Short = ""
    """Name of the recording client as provisioned; `address` is where it really came from."""
    address: Short = ""
    vendor: Short = ""
    at: datetime
    calls: list[Call] = Field(default_factory=list, max_length=64)
    tracks: list[TrackRef] = Field(default_factory=list, max_length=256)


class RecordingUpdated(_Event):
    """Parties, calls, tracks or marks changed: the complete new picture."""

    type: Literal["recording_updated"] = "recording_updated"
    recording: Ulid
    at: datetime
    state: Literal["recording", "paused"] = "recording"
    calls: list[Call] = Field(default_factory=list, max_length=64)
    tracks: list[TrackRef] = Field(default_factory=list, max_length=256)
    marks: list[Mark] = Field(default_factory=list, max_length=10_000)
    problems: list[Problem] = Field(default_factory=list, max_length=1000)


class RawMetadata(_Event):
    """One metadata document as it came (S16: kept raw even when it cannot be parsed)."""

    at: datetime
    content_type: Short = ""
    body_base64: Annotated[str, Field(max_length=1_500_000)] = ""
    truncated: bool = False


class RecordingEnded(_Event):
    """The recording is complete: everything that sealing and the archive need to know, in one event.

    All tracks in it are closed in the audio journal.
    """

    type: Literal["recording_ended"] = "recording_ended"
    recording: Ulid
    session: Ulid
    peer: Short = ""
    address: Short = ""
    vendor: Short = ""
    started_at: datetime
    ended_at: datetime
    why: Literal["bye", "call_ended", "streams_removed", "timer", "recovered", "shutdown", "error"] = "bye"
    calls: list[Call] = Field(default_factory=list, max_length=64)
    tracks: list[TrackRef] = Field(default_factory=list, max_length=256)
    marks: list[Mark] = Field(default_factory=list, max_length=10_000)
    problems: list[Problem] = Field(default_factory=list, max_length=1000)
    metadata: list[RawMetadata] = Field(default_factory=list, max_length=1000)
    extensions: dict[str, Any] = Field(default_factory=dict)


class StoredTrack(_Event):
    """What sealing found in one track. Channel numbers start at 0 in the master file."""

    track: Ulid
    label: Short = ""
    parties: list[Short] = Field(default_factory=list)
    channel: int = 0
    codec: Short = ""
    offset_ms: int = 0
    """Start of the track's first sample after the recording's start."""
    duration_ms: int = 0
    silent: bool = False
    level_dbfs: float | None = None
    stats: dict[str, Any] = Field(default_factory=dict)


class Blob(_Event):
    """One stored object: opaque key, encrypted; sizes and digests of the plain content."""

    kind: Literal["master", "peaks", "metadata", "raw", "manifest"]
    key: Short
    media_type: Short
    size_bytes: int
    stored_bytes: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    stored_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RecordingStored(_Event):
    """Sealed and stored; the object store returned the right checksum. Only after this may journal space go."""

    type: Literal["recording_stored"] = "recording_stored"
    recording: Ulid
    organisation: Ulid | None = None
    at: datetime
    started_at: datetime
    """Instant of the master's first sample."""
    duration_ms: int
    codec: Literal["opus", "flac"]
    channels: int
    sample_rate_hz: int
    blobs: list[Blob]
    wrapped_key: Text
    """Data key of the recording, wrapped (format: docs/reference/archive-encryption.md)."""
    tracks: list[StoredTrack]
    problems: list[Problem] = Field(default_factory=list)


class RecordingFailed(_Event):
    """Sealing could not make a master (the raw payload is stored instead, decodable later), or nothing was ever received."""

    type: Literal["recording_failed"] = "recording_failed"
    recording: Ulid
    organisation: Ulid | None = None
    at: datetime
    problems: list[Problem]
    retry: bool = False
    """Sealing goes on trying; the recording is still in the audio journal."""
    blobs: list[Blob] = Field(default_factory=list)
    """Metadata, manifest and raw packets, as far as there are any."""
    wrapped_key: Text = ""
    tracks: list[StoredTrack] = Field(default_factory=list)


class RecordingReleased(_Event):
    """The media process gave up the recording's tracks after it was stored; nothing of it is left to be done."""

    type: Literal["recording_released"] = "recording_released"
    recording: Ulid
    at: datetime


class SystemEvent(_Event):
    """Something that an administrator must be able to see: refused peer, alarm, restart, disk watermark."""

    type: Literal["system"] = "system"
    at: datetime
    severity: Literal["info", "warning", "alarm"] = "info"
    code: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    detail: Text = ""
    data: dict[str, Any] = Field(default_factory=dict)


Event = Annotated[
    RecordingStarted
    | RecordingUpdated
    | RecordingEnded
    | RecordingStored
    | RecordingFailed
    | RecordingReleased
    | SystemEvent,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Validates and prints events: `EVENT.validate_json(data)`, `event.model_dump_json().encode()`."""
