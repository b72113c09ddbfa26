"""The journal's promises while it runs: order, group commit, segments, readers in other processes, retention."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from callward.journal import (
    Cursor,
    EventJournal,
    JournalFullError,
    JournalLockedError,
    JournalReader,
    Kind,
    OffsetGoneError,
    RecordTooLargeError,
)


class CountingJournal(EventJournal):
    """Counts the syncs, and can be told that the disk is full."""

    syncs = 0
    full = False

    def _sync(self, descriptor: int) -> None:
        self.syncs += 1
        super()._sync(descriptor)

    def _write(self, descriptor: int, data: memoryview, position: int) -> int:
        if self.full:
            # A full disk takes a part of it first.
            os.pwrite(descriptor, data[:7], position)
            raise OSError(errno.ENOSPC, "No space left on device")
        return super()._write(descriptor, data, position)


async def test_records_come_back_in_order_with_their_offsets(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path)
    offsets = [await journal.append_durable(text) for text in (b"one", b"two", b"three")]
    await journal.close()
    records = JournalReader(tmp_path).read()
    assert [record.payload for record in records] == [b"one", b"two", b"three"]
    assert [record.offset for record in records] == offsets
    assert [record.next_offset for record in records][:2] == offsets[1:]


async def test_many_callers_share_one_sync(tmp_path: Path) -> None:
    journal = CountingJournal.open(tmp_path)
    await asyncio.gather(*[journal.append_durable(b"x" * 500) for _ in range(500)])
    await journal.close()
    assert journal.syncs < 50
    assert len(JournalReader(tmp_path).read(10_000)) == 500


async def test_segments_end_at_their_size_and_a_large_record_has_its_own(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path, segment_bytes=1000)
    payloads = [bytes([65 + n]) * size for n, size in enumerate((300, 300, 300, 5000, 10, 400))]
    for payload in payloads:
        await journal.append_durable(payload)
    await journal.close()
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.segment"))]
    assert len(sizes) == 4
    assert all(size <= 1000 for size in sizes if size < 5000)
    assert [record.payload for record in JournalReader(tmp_path).read()] == payloads


async def test_a_reader_sees_only_what_is_synced(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path, gather_s=0.2)
    journal.append(b"waits")
    assert JournalReader(tmp_path).read() == []
    await journal.close()
    assert [record.payload for record in JournalReader(tmp_path).read()] == [b"waits"]


async def test_a_reader_follows_the_growing_journal_across_segments(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    assert reader.read() == []
    journal = EventJournal.open(tmp_path, segment_bytes=400)

    async def write() -> None:
        for number in range(40):
            await journal.append_durable(f"record {number}".encode())

    writing = asyncio.create_task(write())
    seen = []
    async with asyncio.timeout(10):
        async for record in reader.follow(poll_s=0.001):
            seen.append(record.payload)
            if len(seen) == 40:
                break
    await writing
    await journal.close()
    assert seen == [f"record {number}".encode() for number in range(40)]
    assert reader.damage == []


async def test_notes_of_the_writer_are_hidden_from_consumers(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path)
    journal.append(b"note", Kind.STATE)
    await journal.append_durable(b"event")
    await journal.append_durable(b"last note", Kind.STATE)
    await journal.close()
    reader = JournalReader(tmp_path)
    assert [record.payload for record in reader.read()] == [b"event"]
    assert reader.offset == journal.durable_offset
    both = JournalReader(tmp_path, kinds=(Kind.EVENT, Kind.STATE))
    assert [record.payload for record in both.read()] == [b"note", b"event", b"last note"]


async def test_writing_goes_on_where_it_ended(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path)
    first = await journal.append_durable(b"first")
    await journal.close()
    again = EventJournal.open(tmp_path)
    assert again.journal_id == journal.journal_id
    second = await again.append_durable(b"second")
    await again.close()
    assert second > first
    assert [record.payload for record in JournalReader(tmp_path, first).read()] == [b"first", b"second"]
    assert [record.payload for record in JournalReader(tmp_path, second).read()] == [b"second"]


async def test_one_journal_has_one_writer(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path)
    with pytest.raises(JournalLockedError, match="stop that one"):
        EventJournal.open(tmp_path)
    await journal.close()
    await EventJournal.open(tmp_path).close()


async def test_empty_and_huge_records_are_refused(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path)
    with pytest.raises(RecordTooLargeError):
        journal.append(b"")
    await journal.close()


async def test_a_full_disk_acknowledges_nothing_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callward.journal.writer.RETRY_S", 0.01)
    journal = CountingJournal.open(tmp_path, buffer_bytes=2000)
    await journal.append_durable(b"before")
    journal.full = True
    waiting = asyncio.create_task(journal.append_durable(b"while full"))
    async with asyncio.timeout(5):
        while journal.able:
            await asyncio.sleep(0.005)
    assert "free some disk space" in journal.why
    assert not waiting.done()
    for _ in range(14):
        journal.append(b"y" * 100)
    with pytest.raises(JournalFullError):
        journal.append(b"y" * 100)
    assert [record.payload for record in JournalReader(tmp_path).read()] == [b"before"]
    journal.full = False
    async with asyncio.timeout(5):
        await waiting
    assert journal.able
    await journal.close()
    payloads = [record.payload for record in JournalReader(tmp_path).read()]
    assert payloads[:2] == [b"before", b"while full"]
    assert set(payloads[2:]) == {b"y" * 100}


async def test_segments_go_only_when_every_consumer_has_passed_them(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path, segment_bytes=200)
    for number in range(20):
        await journal.append_durable(b"record %02d" % number * 5)
    records = JournalReader(tmp_path).read()
    assert journal.release(("seal", "worker")) == 0
    Cursor(tmp_path, "seal").store(journal.journal_id, records[15].offset)
    assert journal.release(("seal", "worker")) == 0
    Cursor(tmp_path, "worker").store(journal.journal_id, records[5].offset)
    assert journal.release(("seal", "worker")) > 0
    kept = JournalReader(tmp_path, records[5].offset).read()
    assert [record.payload for record in kept] == [record.payload for record in records[5:]]
    with pytest.raises(OffsetGoneError):
        JournalReader(tmp_path, 0).read()
    assert JournalReader(tmp_path).first_offset() <= records[5].offset
    await journal.close()


async def test_a_cursor_of_another_journal_keeps_everything(tmp_path: Path) -> None:
    journal = EventJournal.open(tmp_path, segment_bytes=200)
    for _ in range(10):
        await journal.append_durable(b"r" * 100)
    Cursor(tmp_path, "seal").store("01ARZ3NDEKTSV4RRFFQ69G5FAV", journal.durable_offset)
    assert journal.release() == 0
    await journal.close()


def test_a_damaged_cursor_counts_as_none(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path, "seal")
    cursor.store("01ARZ3NDEKTSV4RRFFQ69G5FAV", 7)
    assert cursor.load() is not None
    cursor.path.write_bytes(b'{"journal": "01')
    assert cursor.load() is None
