"""What the recorder writes down of its sessions, and what it reads back after a crash."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from callward.journal import Cursor, EventJournal, JournalReader
from callward.recorder.journaled_message import blank_keys
from callward.recorder.notebook import CONSUMER, Notebook, SessionNotes
from callward.recorder.recovery import read_back
from callward.records.events import RecordingStarted
from tests.recorder.recorded_dialog import START, World, metadata, sdp

XML = metadata("call-a", parties="alice@call-a:1 bob@call-a:2", streams="1@call-a 2@call-a")
DIALOG = {"version": 1, "id": "d"}


async def written(folder: Path, world: World, *, events: bool = True) -> EventJournal:
    """A session as the service journals it."""
    journal = EventJournal.open(folder)
    notebook = Notebook(journal)
    notebook.media("boot-1")
    notebook.message(world.core.data.id, 0, START, b"INVITE sip:r SIP/2.0\r\n\r\n")
    notebook.session(world.core.data, DIALOG)
    for event in world.events if events else ():
        notebook.event(event)
    await notebook.durable()
    return journal


async def test_a_session_is_read_back_with_its_dialog_and_messages(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), XML)
    await (await written(tmp_path, world)).close()
    state = read_back(tmp_path)
    [found] = state.sessions
    assert state.boot == "boot-1"
    assert found.dialog == DIALOG
    assert found.data.streams.keys() == world.core.data.streams.keys()
    assert found.data.conversations == world.core.data.conversations
    assert [number for number, _, _ in found.notes.messages] == [0]
    [recording] = found.data.recordings.values()
    assert recording.announced


async def test_an_event_that_was_told_counts_even_when_the_note_after_it_was_lost(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), XML)
    before = world.core.data.recordings.copy()
    journal = await written(tmp_path, world)
    world.bye()
    notebook = Notebook(journal)
    for event in world.events[1:]:
        notebook.event(event)
    await notebook.durable()
    await journal.close()
    [found] = read_back(tmp_path).sessions
    assert set(found.data.recordings) & set(before) == set()


async def test_a_recording_whose_start_was_never_told_is_told_later(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), XML)
    for recording in world.core.data.recordings.values():
        recording.announced = False
    await (await written(tmp_path, world, events=False)).close()
    [found] = read_back(tmp_path).sessions
    again = World()
    again.core = again.make(found.data)
    again.open = dict(world.open)
    again.bye()
    assert len(again.of(RecordingStarted)) == 1


async def test_gone_sessions_are_forgotten_and_the_answer_is_remembered(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), XML)
    world.core.data.answered = False
    journal = await written(tmp_path, world)
    notebook = Notebook(journal)
    notebook.answered(world.core.data.id, {"version": 1, "id": "later"})
    await notebook.durable()
    [found] = read_back(tmp_path).sessions
    assert found.data.answered
    assert found.dialog == {"version": 1, "id": "later"}
    notebook.gone(world.core.data.id)
    await notebook.durable()
    await journal.close()
    assert read_back(tmp_path).sessions == []


async def test_the_end_of_a_session_is_a_small_note_from_which_closing_goes_on(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), XML)
    journal = await written(tmp_path, world)
    Notebook(journal).ending(world.core.data.id, "bye", START + timedelta(seconds=5))
    await journal.close()
    [found] = read_back(tmp_path).sessions
    [recording] = found.data.recordings.values()
    assert found.data.ended
    assert found.data.streams == {}
    assert (recording.why, recording.ended_at) == ("bye", START + timedelta(seconds=5))
    assert [item.closed for item in recording.tracks] == [False, False]


async def test_after_a_checkpoint_a_start_reads_only_what_lives(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"), XML)
    journal = await written(tmp_path, world)
    notebook = Notebook(journal)
    for number in range(200):
        notebook.message(f"{number:026d}", 0, START, b"x" * 500)
    notes = SessionNotes()
    notes.add(0, START, b"INVITE sip:r SIP/2.0\r\n\r\n")
    await notebook.checkpoint([(world.core.data, DIALOG, notes)], "boot-2")
    await journal.close()
    cursor = Cursor(tmp_path, CONSUMER).load()
    assert cursor is not None
    assert len(JournalReader(tmp_path, cursor.offset, kinds=(0, 1)).read()) == 3
    state = read_back(tmp_path)
    assert state.boot == "boot-2"
    assert [found.data.id for found in state.sessions] == [world.core.data.id]


def test_s42_srtp_keys_never_reach_the_journal() -> None:
    line = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n"
    blanked = blank_keys(line)
    assert b"WVNf" not in blanked
    assert len(blanked) == len(line)


def test_of_a_very_long_session_the_first_and_the_latest_messages_are_kept() -> None:
    notes = SessionNotes()
    for number in range(1000):
        notes.add(number, START + timedelta(seconds=number), b"")
    numbers = [number for number, _, _ in notes.messages]
    assert numbers[0] == 0
    assert numbers[-1] == 999
    assert len(numbers) == 200


async def test_a_fresh_journal_has_nothing_to_wait_for(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path)
    async with asyncio.timeout(1):
        await Notebook(journal).durable()
    await journal.close()
