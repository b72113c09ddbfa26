"""What a recording session must remember across a crash of the recorder: plain data with its JSON form.

What the metadata said is not in it: the messages that said it are journaled as they came, and read again after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from callward.media.protocol import TrackSettings
from callward.recorder.recording import Origin, Recording, Why
from callward.siprec.stream_plan import PlannedStream


@dataclass(slots=True)
class OpenStream:
    """One m-line that has a track. `index`: its position in the description."""

    index: int
    label: str
    track: str
    recording: str
    settings: TrackSettings
    flows: bool = True
    """False: paused; nothing is stored."""
    opened: bool = False
    """The media process has leased the ports."""
    rtp_port: int = 0
    rtcp_port: int = 0
    srtp_key: str = ""


@dataclass(slots=True)
class Conversation:
    """One call of the session, as the archive will know it."""

    id: str
    organisation: str | None = None


@dataclass(slots=True)
class SessionData:
    """Mutable; owned by one `RecordingSession`."""

    id: str
    peer_id: str
    peer_name: str
    address: str
    """Where the INVITE came from."""
    profile: str
    began_at: datetime
    answered: bool = False
    """The 200 was sent; before, a CANCEL leaves nothing behind."""
    vendor: str = ""
    sdp_version: int = 0
    local_description: str = ""
    messages: int = 0
    """How many messages told something; the number of the next one."""
    plan: list[PlannedStream] = field(default_factory=list)
    streams: dict[int, OpenStream] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    """Those not yet complete, in order of start."""
    conversations: dict[str, Conversation] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    ended: bool = False

    @property
    def origin(self) -> Origin:
        """What all its recordings say of where they come from."""
        return Origin(self.id, self.peer_name[:255], self.address[:255], self.vendor)

    def end(self, why: Why, at: datetime) -> None:
        """No stream is left; the recordings wait for their tracks to be closed."""
        self.ended = True
        for recording in self.recordings.values():
            recording.end(why, at)
        self.streams.clear()


_ADAPTER: TypeAdapter[SessionData] = TypeAdapter(SessionData)


class SessionDataError(Exception):
    """A journaled session cannot be read: it is of another version or damaged."""


_LEFT_OUT: Any = {
    "recordings": {"__all__": {"documents"}},
    "streams": {"__all__": {"settings": {"srtp", "srtp_send"}}},
}


def to_json(data: SessionData) -> bytes:
    """JSON text. SRTP keys of the recording client stay out: the media process keeps its own."""
    return _ADAPTER.dump_json(data, exclude=_LEFT_OUT)


def from_json(values: Mapping[str, Any]) -> SessionData:
    """The way back.

    Raises:
        SessionDataError: it cannot be read.
    """
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise SessionDataError(str(error.errors()[0]["msg"])) from None


def without_keys(settings: TrackSettings) -> TrackSettings:
    """The settings as they are after a recovery."""
    return replace(settings, srtp=None, srtp_send=None)
