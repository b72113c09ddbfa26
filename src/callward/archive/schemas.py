"""API shapes of the archive: what the portal shows and asks."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field

from callward.archive import numbers

State = Literal["recording", "paused", "sealing", "ready", "failed"]
Direction = Literal["in", "out", "internal", "unknown"]
Id = Annotated[str, Field(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True, extra="ignore")


class ConversationOrder(StrEnum):
    """Columns that a list may be ordered by; the id is always the second key."""

    STARTED_AT_DESC = "-started_at"
    STARTED_AT_ASC = "started_at"
    DURATION_DESC = "-duration_ms"
    DURATION_ASC = "duration_ms"


class ConversationFilter(BaseModel):
    """What to list. Every condition that is set must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started_from: AwareDatetime | None = None
    """Inclusive."""
    started_before: AwareDatetime | None = None
    """Exclusive."""
    number: Annotated[str, Field(max_length=255)] | None = None
    """Any part of a number (punctuation is ignored), or a whole id of digits only; other text: any part of a name, address or id."""
    state: State | None = None
    problem: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    """A problem code, or `any`."""
    direction: Direction | None = None


class PageRequest(BaseModel):
    """Which part of the list: `cursor` is the opaque `next_cursor` of the page before (same filter and order)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(max_length=200)] | None = None
    order: ConversationOrder = ConversationOrder.STARTED_AT_DESC


class PartyView(_Shape):
    party: str
    name: str = ""
    aor: str = ""
    number: str = ""
    joined_at: datetime | None = None
    left_at: datetime | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def number_display(self) -> str:
        """The number as its country writes it; as sent when it is none."""
        return numbers.display(self.number)


class ProblemView(_Shape):
    code: str
    detail: str = ""


class MarkView(_Shape):
    at: datetime
    kind: str
    detail: str = ""


class ConversationSummary(_Shape):
    """One line of the list."""

    id: Id
    organisation_id: Id | None
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int
    direction: Direction
    caller_number: str
    caller_name: str
    called_number: str
    called_name: str
    parties: list[PartyView]
    state: State
    problems: list[ProblemView]
    peer: str
    vendor: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def caller_display(self) -> str:
        """The caller's number as its country writes it; as sent when it is none."""
        return numbers.display(self.caller_number)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def called_display(self) -> str:
        """The called number as its country writes it; as sent when it is none."""
        return numbers.display(self.called_number)


class ConversationPage(_Shape):
    items: list[ConversationSummary]
    next_cursor: str | None
    """None: this is the last page."""


class TrackView(_Shape):
    """One stored stream; `channel` counts from 0 in the master."""

    track: str
    label: str = ""
    parties: list[str] = Field(default_factory=list)
    channel: int | None = None
    codec: str = ""
    offset_ms: int = 0
    duration_ms: int = 0
    silent: bool = False
    level_dbfs: float | None = None
    stats: dict[str, Any] = Field(default_factory=dict)
    """Packets, losses, gaps, telephone events: see docs/reference/sealing.md."""


class BlobView(_Shape):
    kind: str
    media_type: str
    size_bytes: int
    sha256: str


class RecordingView(_Shape):
    """A recording of a conversation; the conversation is the part [offset_ms, offset_ms + length_ms) of it."""

    id: Id
    state: State
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int
    offset_ms: int
    length_ms: int
    why_ended: str
    codec: Literal["opus", "flac"] | None
    channels: int
    sample_rate_hz: int
    playable: bool
    """There is a master to play and to download."""
    tracks: list[TrackView]
    marks: list[MarkView]
    problems: list[ProblemView]
    blobs: list[BlobView]


class ConversationDetail(ConversationSummary):
    """One conversation with all that is known about it."""

    address: str
    session_ids: dict[str, Any]
    extensions: dict[str, Any]
    marks: list[MarkView]
    recordings: list[RecordingView]
    related: list[ConversationSummary]
    """Other legs of the same call (they share an id of the metadata), at most 50."""


class MetadataDocument(_Shape):
    """One metadata document as it came from the recording client (never interpreted, text or base64)."""

    at: datetime
    content_type: str
    text: str | None
    """None: not UTF-8."""
    base64: str
    truncated: bool


class PeaksView(_Shape):
    """Waveform: for each channel minimum and maximum in turn, -127..127."""

    channels: list[list[int]]
    points_per_second: float
    duration_ms: int


class AudioFormat(StrEnum):
    """Downloads. `master` is the stored file itself."""

    MASTER = "master"
    MP3 = "mp3"
    WAV = "wav"
    OPUS = "opus"
    FLAC = "flac"
