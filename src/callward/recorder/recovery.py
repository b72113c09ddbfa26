"""Reading the recorder's journal back after a crash: which sessions lived, and what had already been told of them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from callward.journal import Cursor, JournalReader, Kind, OffsetGoneError
from callward.platform.telemetry import logger
from callward.recorder.notebook import CONSUMER, SessionNotes
from callward.recorder.session_data import SessionData, SessionDataError, from_json
from callward.sip.limits import STREAM
from callward.sip.message import ParseFailure, parse
from callward.siprec.observation import Observation, observe


@dataclass(slots=True)
class RecoveredSession:
    """One session as it was when the recorder died."""

    data: SessionData
    dialog: Mapping[str, Any] | None
    notes: SessionNotes

    def observations(self) -> Iterator[tuple[int, datetime, Observation]]:
        """What its messages had told, in order."""
        for number, at, raw in sorted(self.notes.messages, key=lambda item: item[0]):
            message = parse(raw, STREAM)
            if not isinstance(message, ParseFailure):
                yield number, at, observe(message)


@dataclass(slots=True)
class RecoveredState:
    sessions: list[RecoveredSession] = field(default_factory=list)
    boot: str = ""
    """The start of the media process that knew our tracks."""
    unreadable: list[str] = field(default_factory=list)
    """Sessions whose state could not be read: their tracks are found at the media process."""


def read_back(folder: Path) -> RecoveredState:
    """Replay from the last checkpoint on. The journal is open for writing, hence recovered and synced."""
    reader = JournalReader(folder, kinds=(Kind.EVENT, Kind.STATE))
    cursor = Cursor(folder, CONSUMER).load()
    if cursor is not None and cursor.journal_id == reader.journal_id():
        reader.offset = cursor.offset
    replay = _Replay()
    while True:
        try:
            records = reader.read()
        except OffsetGoneError:
            reader.offset = reader.first_offset()
            continue
        if not records:
            return replay.result()
        for record in records:
            replay.take(record.kind, record.payload)


class _Replay:
    def __init__(self) -> None:
        self.notes: dict[str, SessionNotes] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.started: set[str] = set()
        self.ended: set[str] = set()
        self.boot = ""

    def take(self, kind: int, payload: bytes) -> None:
        try:
            value = json.loads(payload)
            if kind == Kind.EVENT:
                self._take_event(value)
            else:
                self._take_note(value)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            logger.error("journal_record_unreadable", error=str(error))

    def _take_event(self, value: Mapping[str, Any]) -> None:
        if value.get("type") == "recording_started":
            self.started.add(value["recording"])
        elif value.get("type") == "recording_ended":
            self.ended.add(value["recording"])

    def _take_note(self, value: dict[str, Any]) -> None:
        kind = value["t"]
        if kind == "message":
            notes = self.notes.setdefault(value["s"], SessionNotes())
            number = int(value["n"])
            if not any(known == number for known, _, _ in notes.messages):  # a checkpoint tells them again
                notes.add(number, datetime.fromisoformat(value["at"]), base64.b64decode(value["raw"]))
        elif kind == "session":
            self.states[value["s"]] = value
        elif kind == "answered":
            state = self.states[value["s"]]
            state["dialog"] = value["dialog"]
            state["data"]["answered"] = True
        elif kind == "ending":
            self.states[value["s"]]["ending"] = (value["why"], datetime.fromisoformat(value["at"]))
        elif kind == "gone":
            self.states.pop(value["s"], None)
            self.notes.pop(value["s"], None)
        elif kind == "media":
            self.boot = str(value["boot"])

    def result(self) -> RecoveredState:
        state = RecoveredState(boot=self.boot)
        for session, value in self.states.items():
            try:
                data = from_json(value["data"])
            except SessionDataError as error:
                logger.error("session_unreadable", session=session, error=str(error))
                state.unreadable.append(session)
                continue
            if "ending" in value:
                data.end(*value["ending"])
            for recording in list(data.recordings.values()):
                if recording.id in self.ended:
                    del data.recordings[recording.id]
                elif recording.id in self.started:
                    recording.announced = True
            notes = self.notes.get(session) or SessionNotes()
            state.sessions.append(RecoveredSession(data, value.get("dialog"), notes))
        return state
