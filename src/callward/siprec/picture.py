"""The picture of a recording session that people and the archive see, whatever the dialect.

Made from the state of the session by `picturing.picture`; pure, cheap, and made anew after each change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from callward.siprec.oddity import Oddity


class Role(StrEnum):
    CALLER = "caller"
    CALLED = "called"
    OTHER = ""


class CallDirection(StrEnum):
    """Seen from the recorded line."""

    IN = "in"
    OUT = "out"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


class RecordingState(StrEnum):
    RECORDING = "recording"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PictureParty:
    """One participant of a call."""

    id: str
    """Participant id of the metadata, or `caller`, `called`, `stream-N` where there is none."""
    aor: str = ""
    name: str = ""
    number: str = ""
    """Digits with a leading + where the peer sent one; empty when the address has no number."""
    role: Role = Role.OTHER
    recorded: bool = False
    """The dialect says that this party's line is the recorded one."""
    joined_at: datetime | None = None
    left_at: datetime | None = None
    """Receive time of the message that told it (S21); None while in the call."""
    stays: tuple[tuple[datetime, datetime | None], ...] = ()
    """Every time the party was in the call; `joined_at` is the start of the first, `left_at` the end of the last (S36)."""
    extensions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PictureStream:
    """One m-line (or, in a document without SDP, one described stream)."""

    index: int
    """Position of the m-line; -1 when there is no SDP."""
    label: str
    direction: str
    parties: tuple[str, ...] = ()
    """Ids of the parties who are heard in it; several for a mix, none when unknown."""
    calls: tuple[str, ...] = ()
    """Keys of the calls that are on it; several for a turret (S35)."""
    extensions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PictureCall:
    """One communication session."""

    key: str
    """Stable within the recording session: the identity key of the session id, or `call` when there is no metadata."""
    group: str = ""
    started_at: datetime | None = None
    """Receive time; the peer's own clock is in `claimed_start_at` (S21)."""
    ended_at: datetime | None = None
    claimed_start_at: datetime | None = None
    claimed_end_at: datetime | None = None
    direction: CallDirection = CallDirection.UNKNOWN
    caller: PictureParty | None = None
    called: PictureParty | None = None
    parties: tuple[PictureParty, ...] = ()
    """All that ever were in the call, in order of appearance (S36)."""
    on_hold: bool = False
    """Nobody is said to be heard (S24); the recording goes on."""
    session_ids: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Picture:
    vendor: str
    state: RecordingState
    calls: tuple[PictureCall, ...] = ()
    """Running calls and the latest ended ones, in order of start."""
    streams: tuple[PictureStream, ...] = ()
    session_ids: Mapping[str, str] = field(default_factory=dict)
    """Of the session and of its first running call."""
    extensions: Mapping[str, Any] = field(default_factory=dict)
    oddities: tuple[Oddity, ...] = ()

    @property
    def parties(self) -> tuple[PictureParty, ...]:
        """Parties of all calls, each once."""
        return tuple({party.id: party for call in self.calls for party in call.parties}.values())
