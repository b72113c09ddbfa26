"""A recording session as the service holds it: the core, its dialog, and the order of its work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from callward.recorder import negotiation
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
    snapshot_wanted: str = ""
    """Why complete metadata is to be asked for, until it was."""

    @property
    def id(self) -> str:
        return self.core.data.id

    def answer(self, offer: SessionDescription, address: str) -> bytes:
        """Make our answer and keep it. The version grows with each (RFC 3264 section 8)."""
        data = self.core.data
        data.sdp_version += 1
        self.description = negotiation.answer(
            offer,
            data.plan,
            self.core.local_streams(),
            address=address,
            session_id=self._sdp_session(),
            version=data.sdp_version,
        )
        return self._keep_description()

    def own_offer(self, address: str) -> bytes:
        """For an offerless re-INVITE, or when ports have changed: what is open now (S08)."""
        data = self.core.data
        last = self.description or negotiation.parse_own(data.local_description)
        data.sdp_version += 1
        self.description = negotiation.own_offer(
            last, self.core.local_streams(), address=address, session_id=self._sdp_session(), version=data.sdp_version
        )
        return self._keep_description()

    def _keep_description(self) -> bytes:
        self.core.data.local_description = str(self.description)
        return self.core.data.local_description.encode()

    def _sdp_session(self) -> str:
        """The `o=` line's session number: the start in milliseconds."""
        return str(int(self.core.data.began_at.timestamp() * 1000))
