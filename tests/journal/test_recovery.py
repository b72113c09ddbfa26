"""After a crash: any truncation or corruption gives no wrong record, and loses none that was acknowledged and is intact."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callward.journal import Cursor, EventJournal, JournalReader
from callward.journal.segment import DURABLE_FILE, list_segments, path_of


def write(folder: Path, payloads: list[bytes], segment_bytes: int = 64 << 20) -> list[int]:
    """Acknowledge the payloads one by one; returns their offsets and the end."""

    async def run() -> list[int]:
        journal = EventJournal.open(folder, segment_bytes=segment_bytes, gather_s=0)
        offsets = [await journal.append_durable(payload) for payload in payloads]
        offsets.append(journal.durable_offset)
        await journal.close()
        return offsets

    return asyncio.run(run())


def reopen(folder: Path, more: bytes = b"after the crash") -> tuple[list[bytes], EventJournal]:
    """Recover, add a record, and read everything."""

    async def run() -> EventJournal:
        journal = EventJournal.open(folder, gather_s=0)
        await journal.append_durable(more)
        await journal.close()
        return journal

    journal = asyncio.run(run())
    return [record.payload for record in JournalReader(folder).read(100_000)], journal


PAYLOADS = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payloads=PAYLOADS, unsynced=st.binary(max_size=90), data=st.data())
def test_a_torn_tail_is_cut_and_nothing_else(payloads: list[bytes], unsynced: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, payloads)
        last = list_segments(folder)[-1]
        acknowledged = last.path.stat().st_size
        # The crash came while more was written: any part of it, any garbage.
        with last.path.open("ab") as file:
            file.write(unsynced)
        if data.draw(st.booleans(), label="power loss loses the durable file"):
            (folder / DURABLE_FILE).unlink()
        found, journal = reopen(folder)
        assert found == [*payloads, b"after the crash"]
        assert journal.recovered.cut_bytes == len(unsynced)
        assert journal.recovered.damage == []
        assert acknowledged == journal.recovered.end - last.base


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payloads=PAYLOADS, data=st.data())
def test_any_truncation_leaves_a_prefix_and_never_reuses_an_acknowledged_offset(
    payloads: list[bytes], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        offsets = write(folder, payloads)
        last = list_segments(folder)[-1]
        size = last.path.stat().st_size
        cut = data.draw(st.integers(0, size - 1), label="cut")
        with last.path.open("r+b") as file:
            file.truncate(cut)
        found, journal = reopen(folder)
        whole = sum(1 for offset in offsets[1:] if offset - last.base <= cut)
        assert found[-1] == b"after the crash"
        assert found[:-1] == payloads[:whole]
        if journal.journal_id and (folder / DURABLE_FILE).exists() and whole:
            # The durable file told how far it had been acknowledged: no new record stands at an offset seen before.
            assert journal.recovered.end >= offsets[-1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payloads=PAYLOADS, data=st.data())
def test_any_corrupted_byte_costs_at_most_its_own_record(payloads: list[bytes], data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        offsets = write(folder, payloads)
        last = list_segments(folder)[-1]
        place = data.draw(st.integers(0, last.path.stat().st_size - 1), label="place")
        flip = data.draw(st.integers(1, 255), label="flip")
        content = bytearray(last.path.read_bytes())
        content[place] ^= flip
        last.path.write_bytes(content)
        found, journal = reopen(folder)
        hit = next((n for n, end in enumerate(offsets[1:]) if offsets[n] <= last.base + place < end), None)
        intact = [payload for n, payload in enumerate(payloads) if n != hit]
        assert found == [*intact, b"after the crash"]
        if hit is not None:
            assert journal.recovered.damage


def test_unacknowledged_records_behind_a_torn_one_are_cut_with_it(tmp_path: Path) -> None:
    """Pages reach the disk in any order: what stands behind a hole that was never acknowledged must not survive alone."""
    offsets = write(tmp_path, [b"kept"])
    end = offsets[-1]

    async def write_group() -> None:
        journal = EventJournal.open(tmp_path, gather_s=0.05)
        for payload in (b"torn " * 10, b"behind"):
            journal.append(payload)
        await journal.close()

    asyncio.run(write_group())
    last = list_segments(tmp_path)[-1]
    content = bytearray(last.path.read_bytes())
    content[end - last.base + 40] ^= 0xFF
    last.path.write_bytes(content)
    (tmp_path / DURABLE_FILE).unlink()
    found, journal = reopen(tmp_path)
    assert found == [b"kept", b"after the crash"]
    assert journal.recovered.damage == []


def test_a_consumer_cursor_proves_that_records_were_acknowledged(tmp_path: Path) -> None:
    write(tmp_path, [b"one", b"two", b"three"])
    records = JournalReader(tmp_path).read()
    journal_id = JournalReader(tmp_path).journal_id()
    assert journal_id is not None
    Cursor(tmp_path, "worker").store(journal_id, records[-1].next_offset)
    last = list_segments(tmp_path)[-1]
    with last.path.open("r+b") as file:
        file.truncate(records[1].offset - last.base)
    (tmp_path / DURABLE_FILE).unlink()
    found, journal = reopen(tmp_path)
    assert found == [b"one", b"after the crash"]
    assert journal.recovered.end == records[-1].next_offset
    assert [record.payload for record in JournalReader(tmp_path, records[-1].next_offset).read()] == [
        b"after the crash"
    ]


def test_a_segment_that_was_being_created_is_removed(tmp_path: Path) -> None:
    end = write(tmp_path, [b"one", b"two"])[-1]
    unborn = path_of(tmp_path, end)
    unborn.write_bytes(b"CWEVENTS\x01\x00")
    found, journal = reopen(tmp_path)
    assert found == [b"one", b"two", b"after the crash"]
    assert journal.recovered.cut_bytes == 10


def test_damage_in_an_old_segment_is_skipped_and_reported(tmp_path: Path) -> None:
    payloads = [b"record %d" % n for n in range(12)]
    write(tmp_path, payloads, segment_bytes=200)
    segments = list_segments(tmp_path)
    assert len(segments) > 2
    content = bytearray(segments[1].path.read_bytes())
    content[70] ^= 1
    segments[1].path.write_bytes(content)
    reader = JournalReader(tmp_path)
    found = [record.payload for record in reader.read()]
    assert len(found) == 11
    assert set(found) < set(payloads)
    assert len(reader.damage) == 1


def test_frames_of_another_place_are_not_taken(tmp_path: Path) -> None:
    """A copied block of old frames at the tail is no record: each frame knows its own offset."""
    write(tmp_path, [b"one", b"two"])
    last = list_segments(tmp_path)[-1]
    content = last.path.read_bytes()
    with last.path.open("ab") as file:
        file.write(content[64:])
    found, _ = reopen(tmp_path)
    assert found == [b"one", b"two", b"after the crash"]


def test_an_emptied_journal_begins_as_another_one(tmp_path: Path) -> None:
    write(tmp_path, [b"one"])
    before = JournalReader(tmp_path).journal_id()
    for part in list_segments(tmp_path):
        part.path.unlink()
    found, journal = reopen(tmp_path)
    assert found == [b"after the crash"]
    assert journal.journal_id != before
    shutil.rmtree(tmp_path)
