"""The recorder's journal: events for the archive, and the recorder's own notes from which it takes its sessions up
again.

Notes (`Kind.STATE`) are JSON objects with `t`:

| t | fields | meaning |
|---|---|---|
| `message` | `s` session, `n` number, `at`, `raw` | a SIP message that told something, base64, SRTP keys blanked |
| `session` | `s`, `data`, `dialog` | the session's state and its dialog's; the last one counts |
| `answered` | `s`, `dialog` | the 200 was sent; the dialog as it is then |
| `ending` | `s`, `why`, `at` | the session has ended: its tracks are being closed |
| `gone` | `s` | the session is over and told of |
| `media` | `boot` | the start of the media process that our tracks are known to |

A checkpoint writes all notes of the sessions that live again, and moves the recorder's cursor to its beginning: a
start reads from there.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from callward.journal import Cursor, EventJournal, JournalFullError, Kind
from callward.journal.frame import MAX_PAYLOAD_BYTES
from callward.platform.telemetry import logger
from callward.recorder.session_data import SessionData, to_json
from callward.records.events import Event, Problem, RecordingEnded, RecordingUpdated

CONSUMER = "recorder"
OTHER_CONSUMERS = ("seal", "worker")
"""Nothing is removed before these have a cursor: a consumer that was never started has not consumed."""
CHECKPOINT_BYTES = 32 * 1024 * 1024
"""A start reads at most about so much more than the last checkpoint."""
KEPT_MESSAGES = 200
"""Of a session:

the first and the latest. A persistent session of days has more; then a crash costs the history between.
"""
KEPT_BYTES = 8 * 1024 * 1024
"""Of a session's messages, in the same way."""
BACKLOG = 100_000
"""Records that wait while the journal's own buffer is full. Beyond, events still wait, but notes are dropped: a
checkpoint makes them good."""
BACKLOG_WAIT_S = 3.0
"""So long `durable` waits for a backlog."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass(slots=True)
class SessionNotes:
    """What the notebook keeps of one live session, for checkpoints."""

    messages: list[tuple[int, datetime, bytes]] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, number: int, at: datetime, raw: bytes) -> None:
        self.messages.append((number, at, raw))
        self.size_bytes += len(raw)
        while len(self.messages) > KEPT_MESSAGES or (self.size_bytes > KEPT_BYTES and len(self.messages) > 2):
            self.size_bytes -= len(self.messages.pop(1)[2])


class Notebook:
    """Writes events and notes. Nothing waits for the disk except who asks `durable`."""

    def __init__(self, journal: EventJournal) -> None:
        self.journal = journal
        self._backlog: deque[tuple[bytes, int]] = deque()
        self._written = asyncio.Event()
        self._written.set()
        self._incomplete = False
        """Notes were dropped."""
        self._last_checkpoint = journal.end_offset
        self._last_offset = -1  # nothing was written: nothing has to be waited for

    @property
    def able(self) -> bool:
        return self.journal.able and not self._backlog

    def event(self, event: Event) -> None:
        """One event for the archive. One that is larger than a record is told without its attachments."""
        for told in (
            event,
            _without(event, "metadata", "extensions"),
            _without(event, "metadata", "extensions", "marks"),
        ):
            if self._append(told.model_dump_json().encode(), Kind.EVENT):
                return

    def message(self, session: str, number: int, at: datetime, raw: bytes) -> None:
        """A message that told something, already without keys."""
        self._note(_message_note(session, number, at, raw))

    def session(self, data: SessionData, dialog: Mapping[str, Any] | None) -> None:
        """The state of a session from now on."""
        head = b'{"t":"session","s":"%s","dialog":%s,"data":' % (data.id.encode(), _ENCODER.encode(dialog).encode())
        self._append(head + to_json(data) + b"}", Kind.STATE)

    def answered(self, session: str, dialog: Mapping[str, Any] | None) -> None:
        """The 200 was sent; nothing else has changed since `session`."""
        self._note({"t": "answered", "s": session, "dialog": dialog})

    def ending(self, session: str, why: str, at: datetime) -> None:
        """The session has ended; nothing else has changed since its last note."""
        self._note({"t": "ending", "s": session, "why": why, "at": at.isoformat()})

    def gone(self, session: str) -> None:
        self._note({"t": "gone", "s": session})

    def media(self, boot: str) -> None:
        self._note({"t": "media", "boot": boot})

    async def durable(self) -> None:
        """Return when everything written so far is on the disk.

        Raises:
            JournalFullError: the journal takes no records; what was written waits in memory.
        """
        try:
            async with asyncio.timeout(BACKLOG_WAIT_S):
                await self._written.wait()
        except TimeoutError:
            raise JournalFullError(f"{len(self._backlog)} records wait for the recorder's journal") from None
        await self.journal.wait_durable(self._last_offset)

    async def durable_if_able(self) -> bool:
        """As `durable`, for sessions that run: they go on also while the journal takes nothing (False)."""
        try:
            await self.durable()
        except JournalFullError as error:
            logger.error("not_durable", error=str(error))
            return False
        return True

    def retry(self) -> None:
        """Write what waits because the journal was full."""
        while self._backlog:
            payload, kind = self._backlog[0]
            try:
                self._last_offset = self.journal.append(payload, kind)
            except JournalFullError:
                return
            self._backlog.popleft()
        self._written.set()

    @property
    def wants_checkpoint(self) -> bool:
        grown = self.journal.end_offset - self._last_checkpoint > CHECKPOINT_BYTES
        return not self._backlog and (grown or self._incomplete)

    async def checkpoint(
        self, sessions: Iterable[tuple[SessionData, Mapping[str, Any] | None, SessionNotes]], boot: str
    ) -> None:
        """Write down all that lives, so that the next start reads from here.

        Written in one go: no note comes between.
        """
        begin = self.journal.end_offset
        self.media(boot)
        for data, dialog, notes in sessions:
            for number, at, raw in notes.messages:
                self.message(data.id, number, at, raw)
            self.session(data, dialog)
        self._last_checkpoint = begin
        self._incomplete = False
        if self._backlog or not await self.durable_if_able():
            return
        try:
            await asyncio.to_thread(Cursor(self.journal.folder, CONSUMER).store, self.journal.journal_id, begin)
            await asyncio.to_thread(self.journal.release, (CONSUMER, *OTHER_CONSUMERS))
        except OSError as error:
            logger.warning("checkpoint_not_stored", error=str(error))

    def _note(self, note: Mapping[str, Any]) -> None:
        self._append(_ENCODER.encode(note).encode(), Kind.STATE)

    def _append(self, payload: bytes, kind: int) -> bool:
        """False: it is larger than a record may be."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            logger.error("journal_record_too_large", kind=kind, size_bytes=len(payload))
            return False
        if self._backlog:
            if len(self._backlog) < BACKLOG or kind == Kind.EVENT:
                self._backlog.append((payload, kind))
            elif not self._incomplete:
                self._incomplete = True
                logger.error("journal_notes_dropped", waiting=len(self._backlog))
            return True
        try:
            self._last_offset = self.journal.append(payload, kind)
        except JournalFullError:
            logger.error("journal_full", waiting=len(self._backlog))
            self._backlog.append((payload, kind))
            self._written.clear()
        return True


def _without(event: Event, *names: str) -> Event:
    """The event without some of its lists, with a problem that says so."""
    if not isinstance(event, RecordingUpdated | RecordingEnded):
        return event
    empty: dict[str, Any] = {name: type(getattr(event, name))() for name in names if hasattr(event, name)}
    detail = "the event was larger than the journal takes: metadata or marks are not in it"
    problems = [*event.problems[:100], Problem(code="metadata_dropped", detail=detail)]
    return event.model_copy(update={**empty, "problems": problems})


def _message_note(session: str, number: int, at: datetime, raw: bytes) -> dict[str, Any]:
    return {
        "t": "message",
        "s": session,
        "n": number,
        "at": at.isoformat(),
        "raw": base64.b64encode(raw).decode("ascii"),
    }
