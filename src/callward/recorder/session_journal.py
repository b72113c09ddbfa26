"""What the notebook is told of live sessions: their messages, their state and their events."""

from __future__ import annotations

from datetime import datetime

from callward.recorder import metrics
from callward.recorder.journaled_message import journaled
from callward.recorder.live_session import LiveSession
from callward.recorder.notebook import Notebook
from callward.records.events import RecordingEnded
from callward.sip.message import Request, Response
from callward.siprec.observation import Observation
from callward.siprec.storage_policy import StoragePolicy


class SessionJournal:
    """Nothing here waits for the disk."""

    def __init__(self, notebook: Notebook, policy: StoragePolicy) -> None:
        self.notebook = notebook
        self._policy = policy
        self._dirty: set[LiveSession] = set()

    def keep_message(
        self, live: LiveSession, message: Request | Response, observation: Observation, at: datetime
    ) -> None:
        """A message that tells something, before it is worked on."""
        raw = journaled(message, observation, self._policy)
        number = live.core.data.messages
        live.notes.add(number, at, raw)
        self.notebook.message(live.id, number, at, raw)

    def remember(self, live: LiveSession) -> None:
        """The state of a session from now on."""
        self.notebook.session(live.core.data, live.dialog.to_state() if live.dialog is not None else None)

    def answered(self, live: LiveSession) -> None:
        """The 200 was sent."""
        self.notebook.answered(live.id, live.dialog.to_state() if live.dialog is not None else None)

    def tell(self, live: LiveSession) -> None:
        """The session's events, and, within about a second, what else changed."""
        self._write_events(live)
        if live.core.dirty:
            self._dirty.add(live)

    def tell_changes(self, at: datetime) -> None:
        """One update event for each recording that changed."""
        for live in list(self._dirty):
            self._dirty.discard(live)
            live.core.flush(at)
            self._write_events(live)

    def forget(self, live: LiveSession) -> None:
        """The session is over and told of."""
        self.notebook.gone(live.id)
        self._dirty.discard(live)

    def _write_events(self, live: LiveSession) -> None:
        for event in live.core.take_events():
            self.notebook.event(event)
            if isinstance(event, RecordingEnded):
                metrics.RECORDINGS.labels(event.why).inc()
