"""What waits while the journal takes nothing: events are never dropped, and nothing is called durable that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from callward.journal import EventJournal, JournalFullError, JournalReader
from callward.recorder import notebook as subject
from callward.recorder.notebook import Notebook
from callward.records.events import EVENT, SystemEvent
from tests.recorder.recorded_dialog import START


class FullJournal(EventJournal):
    """Takes nothing while `full`, as with a full disk."""

    full = False

    def append(self, payload: bytes, kind: int = 0) -> int:
        if self.full:
            raise JournalFullError("full")
        return super().append(payload, kind)


async def test_events_outlive_a_full_journal_and_dropped_notes_ask_for_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "BACKLOG", 10)
    monkeypatch.setattr(subject, "BACKLOG_WAIT_S", 0.05)
    journal = FullJournal.open(tmp_path)
    assert isinstance(journal, FullJournal)
    notebook = Notebook(journal)
    journal.full = True
    for number in range(30):
        notebook.event(SystemEvent(at=START, code=f"n{number}"))
        notebook.gone("0" * 26)
    with pytest.raises(JournalFullError):
        await notebook.durable()
    await notebook.durable_if_able()
    assert not notebook.able
    assert not notebook.wants_checkpoint
    journal.full = False
    notebook.retry()
    await notebook.durable()
    assert notebook.able
    assert notebook.wants_checkpoint
    await notebook.checkpoint([], "boot")
    assert not notebook.wants_checkpoint
    await journal.close()
    told = [EVENT.validate_json(record.payload) for record in JournalReader(tmp_path).read()]
    assert [event.code for event in told if isinstance(event, SystemEvent)] == [f"n{number}" for number in range(30)]
