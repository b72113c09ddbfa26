"""The metadata model of RFC 7865 as plain data: what one document says, in whatever spelling it said it.

Text fields come from a peer: they are bounded and free of control characters, but otherwise as sent; they are never a path or a command.
Ids are kept as sent; `identifiers.identity_key` says which of them are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from callward.siprec.oddity import Oddity

NAMESPACE = "urn:ietf:params:xml:ns:recording:1"
MEDIA_TYPE = "application/rs-metadata+xml"
"""RFC 9806; `application/rs-metadata` (RFC 7866) is accepted as well (S11)."""


class DataMode(StrEnum):
    """RFC 7865 section 5.1.2. Absent means complete (S13)."""

    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Extension:
    """An element that RFC 7865 does not define, kept with its children (S20)."""

    name: str
    """Local name."""
    prefix: str = ""
    """As written in the document; display only."""
    namespace: str = ""
    text: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Extension, ...] = ()

    @property
    def qualified_name(self) -> str:
        return f"{self.prefix}:{self.name}" if self.prefix else self.name


@dataclass(frozen=True, slots=True)
class NameId:
    """RFC 7865 section 6.5: an address of record and the name that goes with it."""

    aor: str
    name: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """Associate and disassociate (or start and stop) times as the peer gave them; not trusted for ordering (S21)."""

    start_at: datetime | None = None
    end_at: datetime | None = None
    ended: bool = False
    """An end was stated, even if its time was empty or unreadable."""


NO_PERIOD = Period()


@dataclass(frozen=True, slots=True)
class Group:
    """Communication session group (section 6.2): ties the segments of one conversation together (S36)."""

    id: str
    period: Period = NO_PERIOD
    extensions: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Communication session (section 6.3): one call."""

    id: str
    group: str = ""
    sip_session_ids: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    period: Period = NO_PERIOD
    extensions: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True)
class Participant:
    """Section 6.5. Dialects older than the RFC put the session and the streams inside the participant (Oracle)."""

    id: str
    names: tuple[NameId, ...] = ()
    session: str = ""
    sends: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()
    period: Period = NO_PERIOD
    extensions: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """Section 6.7: a media stream; `label` is the `a=label` of its m-line."""

    id: str
    session: str = ""
    label: str = ""
    content_type: str = ""
    mode: str = ""
    """`mixed` or `separate`, where a dialect says it (BroadWorks)."""
    period: Period = NO_PERIOD
    extensions: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRecording:
    """`sessionrecordingassoc` (section 6.4): the call is on this recording session."""

    session: str
    period: Period = NO_PERIOD


@dataclass(frozen=True, slots=True)
class ParticipantSession:
    """`participantsessionassoc` (section 6.6): the participant is in the call."""

    participant: str
    session: str
    period: Period = NO_PERIOD
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ParticipantStream:
    """`participantstreamassoc` (section 6.8): which streams the participant is heard in (`sends`) and hears (`receives`)."""

    participant: str
    sends: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()
    period: Period = NO_PERIOD


@dataclass(frozen=True, slots=True)
class Metadata:
    """One document."""

    mode: DataMode = DataMode.COMPLETE
    root: str = "recording"
    namespace: str = NAMESPACE
    recording_id: str = ""
    """Metaswitch gives the recording an id."""
    sequence: int | None = None
    groups: tuple[Group, ...] = ()
    sessions: tuple[Session, ...] = ()
    participants: tuple[Participant, ...] = ()
    streams: tuple[Stream, ...] = ()
    session_recordings: tuple[SessionRecording, ...] = ()
    participant_sessions: tuple[ParticipantSession, ...] = ()
    participant_streams: tuple[ParticipantStream, ...] = ()
    extensions: tuple[Extension, ...] = ()
    """At the level of the recording."""
    snapshot_requested: bool = False
    """A `<requestsnapshot>` (section 7); only an SRS sends it."""
    snapshot_reason: str = ""


@dataclass(frozen=True, slots=True)
class MetadataReading:
    """What reading one body gave. `metadata` is None when nothing could be understood; the raw body is still worth keeping."""

    metadata: Metadata | None
    oddities: tuple[Oddity, ...] = ()
