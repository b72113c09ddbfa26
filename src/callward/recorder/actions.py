"""What a recording session asks of the world:

its actions, carried out by `service`, which then reports back. Plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callward.media.protocol import TrackSettings


@dataclass(frozen=True, slots=True)
class MediaLine:
    """What the offer says about the media of one m-line, as the media process wants it. `index`: its position."""

    index: int
    settings: TrackSettings
    refusal: str = ""
    """Why it cannot be received (no key that we know); empty when it can."""
    problem: str = ""
    """What of the offer was left out or put right, so that it can be received all the same."""

    @property
    def is_wanted(self) -> bool:
        return self.settings.remote is not None or bool(self.settings.payload_types)


@dataclass(frozen=True, slots=True)
class OpenTrack:
    """Lease ports and begin a track; answer with `opened` or `refused`."""

    track: str
    recording: str
    settings: TrackSettings


@dataclass(frozen=True, slots=True)
class UpdateTrack:
    """Tell the media process what changed; wire form. Answer a failure with `not_updated`.

    The state (recording or paused) travels alone: nothing else can make the media process refuse a pause.
    """

    track: str
    changes: Mapping[str, Any]
    repeated: bool = False
    """Only says again what was agreed, after a connect: there is no message to fail."""

    @property
    def sets_state(self) -> bool:
        return "state" in self.changes


@dataclass(frozen=True, slots=True)
class RotateTrack:
    """End `track` and go on with `following` on the same ports; report `closed(track, ...)`."""

    track: str
    following: str
    session: str
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CloseTrack:
    """End a track; report `closed`."""

    track: str


@dataclass(frozen=True, slots=True)
class DiscardTrack:
    """A closed track that belongs to no call and holds next to nothing: its key is destroyed."""

    track: str


@dataclass(frozen=True, slots=True)
class RequestSnapshot:
    """Ask the recording client for complete metadata (S15)."""

    reason: str


@dataclass(frozen=True, slots=True)
class FailMessage:
    """The message that is worked on could not be carried out: answer with an error, so that the client repeats it."""

    reason: str
    temporary: bool


MediaAction = OpenTrack | UpdateTrack | RotateTrack | CloseTrack
Answering = RequestSnapshot | FailMessage
"""Not the media process's business."""
Action = MediaAction | DiscardTrack | Answering
