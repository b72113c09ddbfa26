"""One recording while it lives: its tracks, calls, marks and problems, and the events that tell of them.

A recording is the audio from the first call on its streams to the moment when no call is on them any more. It begins
*unannounced*: only when
a call is on it does the journal hear of it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from callward.records.events import (
    Call,
    Mark,
    Problem,
    RawMetadata,
    RecordingEnded,
    RecordingStarted,
    RecordingUpdated,
    TrackRef,
)
from callward.siprec.observation import Observation

Why = Literal["bye", "call_ended", "streams_removed", "timer", "recovered", "shutdown", "error"]

WORTH_PACKETS = 100
"""A recording without any call is kept from two seconds of audio on; less is the tail of a call that has just ended."""
MAX_MARKS = 10_000
MAX_PROBLEMS = 1000
MAX_DOCUMENTS = 1000
DOCUMENT_BYTES = 1_000_000
DOCUMENTS_BYTES = 8 * 1024 * 1024
"""Of all metadata documents of a recording, as base64: its last event must fit into one record of the journal."""
MAX_CALLS = 64
MAX_TRACKS = 256
MAX_DETAIL = 4096


@dataclass(slots=True)
class RecordedTrack:
    """One track of a recording, in order of opening."""

    track: str
    index: int
    """Position of its m-line."""
    label: str = ""
    parties: tuple[str, ...] = ()
    closed: bool = False
    packets: int = 0
    """Known when closed."""
    counted: bool = True
    """False: it was closed, but the media process could not say what is in it."""


@dataclass(slots=True)
class Origin:
    """Where a session's recordings come from; the same in all their events."""

    session: str
    peer: str = ""
    address: str = ""
    vendor: str = ""


@dataclass(slots=True)
class Recording:
    """Mutable; owned by one session."""

    id: str
    started_at: datetime
    announced: bool = False
    paused: bool = False
    tracks: list[RecordedTrack] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    """By the call's key in the picture; the last that was known of each."""
    marks: list[Mark] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    documents: list[RawMetadata] = field(default_factory=list)
    extensions: dict[str, Any] = field(default_factory=dict)
    """What the session's metadata says beyond the standard, bounded."""
    why: Why | None = None
    """Why it ends; set once, then its tracks are closed."""
    ended_at: datetime | None = None
    dirty: bool = False
    """Something changed since the last event."""
    first_message: int = 0
    """Number of the session's message that began it."""

    @property
    def ending(self) -> bool:
        return self.why is not None

    @property
    def complete(self) -> bool:
        """It ends, and all its tracks stand in the audio journal."""
        return self.why is not None and all(track.closed for track in self.tracks)

    @property
    def packets(self) -> int:
        return sum(track.packets for track in self.tracks)

    def is_worth(self, *, answered: bool, doubtful: bool) -> bool:
        """Whether it is told of. `answered`: its session was; `doubtful`: nobody knows whether the client got the answer."""
        if self.announced:
            return True
        counted = all(item.counted for item in self.tracks)
        if not answered:
            return doubtful and (self.packets > 0 or not counted)
        return bool(self.calls) or self.packets >= WORTH_PACKETS or not counted

    def track(self, track: str) -> RecordedTrack | None:
        return next((item for item in self.tracks if item.track == track), None)

    def end(self, why: Why, at: datetime) -> None:
        """From here on nothing is added but the results of closing its tracks."""
        if self.why is None:
            self.why, self.ended_at = why, max(at, self.started_at)

    def revive(self, following: Recording) -> None:
        """It goes on after all, with the calls of the one that was to follow."""
        self.why = self.ended_at = None
        self.calls.update(following.calls)
        self.dirty = True

    def mark(self, kind: str, at: datetime, detail: str = "") -> None:
        if len(self.marks) < MAX_MARKS:
            self.marks.append(Mark(at=at, kind=kind, detail=detail[:MAX_DETAIL]))
            self.dirty = True

    def problem(self, code: str, detail: str = "") -> None:
        """Note a problem once."""
        found = Problem(code=code, detail=detail[:MAX_DETAIL])
        if found not in self.problems and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(found)
            self.dirty = True

    def document(self, document: RawMetadata) -> None:
        """Keep a metadata document as it came; beyond the bounds the oldest but the first goes."""
        self.documents.append(document)
        size = sum(len(item.body_base64) for item in self.documents)
        while len(self.documents) > MAX_DOCUMENTS or (size > DOCUMENTS_BYTES and len(self.documents) > 2):
            size -= len(self.documents.pop(1).body_base64)
            self.problem("metadata_dropped", "more metadata came than is kept of one recording")

    def keep_documents(self, observation: Observation, at: datetime) -> None:
        """Keep the metadata that a message carried, raw (S16)."""
        for part in observation.raw_metadata:
            body = part.body[:DOCUMENT_BYTES]
            self.document(
                RawMetadata(
                    at=at,
                    content_type=part.content_type[:255],
                    body_base64=base64.b64encode(body).decode("ascii"),
                    truncated=len(body) < len(part.body),
                )
            )

    def add_track(self, track: RecordedTrack) -> bool:
        """False: the recording has as many tracks as an event may hold."""
        if len(self.tracks) >= MAX_TRACKS:
            return False
        self.tracks.append(track)
        self.dirty = True
        return True

    def set_call(self, key: str, call: Call) -> None:
        if self.calls.get(key) == call:
            return
        if key not in self.calls and len(self.calls) >= MAX_CALLS:
            self.problem("calls_dropped", f"more than {MAX_CALLS} calls were on one recording")
            return
        self.calls[key] = call
        self.dirty = True

    def started(self, origin: Origin) -> RecordingStarted:
        return RecordingStarted(
            recording=self.id,
            session=origin.session,
            peer=origin.peer,
            address=origin.address,
            vendor=origin.vendor,
            at=self.started_at,
            calls=list(self.calls.values()),
            tracks=self._refs(),
        )

    def updated(self, at: datetime) -> RecordingUpdated:
        return RecordingUpdated(
            recording=self.id,
            at=at,
            state="paused" if self.paused else "recording",
            calls=list(self.calls.values()),
            tracks=self._refs(),
            marks=list(self.marks),
            problems=list(self.problems),
        )

    def ended(self, origin: Origin) -> RecordingEnded:
        assert self.why is not None
        assert self.ended_at is not None
        return RecordingEnded(
            recording=self.id,
            session=origin.session,
            peer=origin.peer,
            address=origin.address,
            vendor=origin.vendor,
            started_at=self.started_at,
            ended_at=self.ended_at,
            why=self.why,
            calls=[self._closed_call(call) for call in self.calls.values()],
            tracks=self._refs(),
            marks=list(self.marks),
            problems=list(self.problems),
            metadata=list(self.documents),
            extensions=self.extensions,
        )

    def _closed_call(self, call: Call) -> Call:
        return call if call.ended_at is not None else call.model_copy(update={"ended_at": self.ended_at})

    def _refs(self) -> list[TrackRef]:
        return [TrackRef(track=item.track, label=item.label, parties=list(item.parties)) for item in self.tracks]
