"""A recording session as the service holds it: the core, its dialog, and the order of its work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from callward.recorder.notebook import SessionNotes
from callward.recorder.session import RecordingSession
from callward.sip.dialog import Dialog
from callward.sip.sdp import SessionDescription


@dataclass(slots=True, eq=False)
class LiveSession:
    """`turn` keeps the session's messages in order; sessions do not wait for each other."""

    core: RecordingSession
    dialog: Dialog | None
    notes: SessionNotes = field(default_factory=SessionNotes)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    description: SessionDescription | None = None
    """Our last answer."""
    heard_at: float = 0.0
    """Loop time of the last message of the recording client."""
    recovered: bool = False
    """Taken up again after a restart, and nothing has been heard of the client since."""
    probed: bool = False
    snapshot_wanted: bool = False
    """A snapshot was asked for and has not come yet."""

    @property
    def id(self) -> str:
        return self.core.data.id
