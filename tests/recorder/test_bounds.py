"""What is kept of a client that sends too much, and what one broken session costs the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from callward.journal import EventJournal, JournalReader
from callward.journal.frame import MAX_PAYLOAD_BYTES
from callward.recorder.notebook import Notebook, SessionNotes
from callward.recorder.recording import DOCUMENTS_BYTES, Recording
from callward.records.events import EVENT, RawMetadata, RecordingEnded
from tests.recorder.recorded_dialog import START, World, metadata, sdp
from tests.recorder.recorder_process import Pair


def test_metadata_of_a_recording_has_a_budget_in_bytes() -> None:
    recording = Recording("0" * 26, START)
    for number in range(60):
        recording.document(RawMetadata(at=START + timedelta(seconds=number), body_base64="A" * 1_300_000))
    assert sum(len(document.body_base64) for document in recording.documents) <= DOCUMENTS_BYTES
    assert recording.documents[0].at == START
    assert recording.documents[-1].at == START + timedelta(seconds=59)
    assert [problem.code for problem in recording.problems] == ["metadata_dropped"]


def test_messages_of_a_session_have_a_budget_in_bytes() -> None:
    notes = SessionNotes()
    for number in range(60):
        notes.add(number, START, b"x" * 1_000_000)
    assert sum(len(raw) for _, _, raw in notes.messages) <= 8 * 1024 * 1024
    assert (notes.messages[0][0], notes.messages[-1][0]) == (0, 59)


async def test_an_event_that_is_larger_than_a_record_is_told_without_its_metadata(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), metadata("call-a"))
    world.bye()
    [ended] = world.of(RecordingEnded)
    document = RawMetadata(at=START, body_base64="A" * 1_400_000)
    large = ended.model_copy(update={"metadata": [document] * (MAX_PAYLOAD_BYTES // 1_400_000 + 1)})
    journal = EventJournal.open(tmp_path)
    notebook = Notebook(journal)
    notebook.event(large)
    notebook.message(ended.session, 0, START, b"x" * MAX_PAYLOAD_BYTES)
    await notebook.durable()
    await journal.close()
    [record] = JournalReader(tmp_path).read()
    told = EVENT.validate_json(record.payload)
    assert isinstance(told, RecordingEnded)
    assert (told.recording, told.metadata, told.tracks) == (ended.recording, [], ended.tracks)
    assert "metadata_dropped" in {problem.code for problem in told.problems}


async def test_a_broken_session_in_the_journal_stops_neither_the_start_nor_new_calls(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), metadata("call-a"))
    world.core.data.id = "no ULID"
    pair = Pair(tmp_path, 31_600)
    pair.journal.mkdir(parents=True)
    journal = EventJournal.open(pair.journal)
    notebook = Notebook(journal)
    notebook.session(world.core.data, {"version": 1})
    notebook.ending(world.core.data.id, "bye", START)
    await notebook.durable()
    await journal.close()
    try:
        await pair.started()
        assert "session_failed" in {getattr(event, "code", "") for event in pair.events()}
    finally:
        pair.stop()
