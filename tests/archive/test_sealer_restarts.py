"""A stored recording is never sealed again, whatever was lost or left open between the sealer's lives."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from callward.archive import sealer as sealer_module
from callward.archive.ingest import Ingest
from callward.journal import Cursor, EventJournal, JournalReader, Record
from callward.media.codec_process import CodecPool
from callward.platform.blobs import BlobStoreError
from callward.platform.blobs_folder import FolderStore
from callward.records.events import RecordingEnded
from tests.archive.lives import Lives
from tests.archive.platform import Platform
from tests.archive.recorded_calls import record_call

STORED_ONCE = ["recording_stored", "recording_released"]


def tracks_of(ended: RecordingEnded) -> set[str]:
    return {track.track for track in ended.tracks}


async def test_a_recording_released_before_two_restarts_is_not_touched_while_older_ones_are_open(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.01)
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    oldest, middle, last = (record_call(platform.tracks, number, 0.4) for number in (1, 2, 3))
    await platform.journal(oldest, middle, last)
    lives.extract.failing = tracks_of(oldest) | tracks_of(middle)
    await lives.live(lambda _: lives.events(last.recording) == STORED_ONCE)
    before = lives.objects(last.recording)
    lives.extract.failing = tracks_of(middle)
    await lives.live(lambda _: lives.events(oldest.recording) == STORED_ONCE)
    lives.extract.failing = set()
    lives.extract.asked.clear()
    await lives.live()
    assert set(lives.extract.asked) == tracks_of(middle)
    assert all(lives.events(ended.recording) == STORED_ONCE for ended in (oldest, middle, last))
    assert lives.objects(last.recording) == before


@pytest.mark.parametrize("content", [None, b""])
async def test_a_lost_cursor_does_not_seal_stored_recordings_again(
    tmp_path: Path, codecs: CodecPool, content: bytes | None
) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    first, second = (record_call(platform.tracks, number, 0.4) for number in (1, 2))
    await platform.journal(first, second)
    await lives.live()
    before = lives.objects("")
    cursor = platform.recorder / "consumers" / "seal"
    cursor.unlink() if content is None else cursor.write_bytes(content)
    lives.extract.asked.clear()
    third = record_call(platform.tracks, 3, 0.4)
    await platform.journal(third)
    await lives.live()
    assert set(lives.extract.asked) == tracks_of(third)
    assert all(lives.events(ended.recording) == STORED_ONCE for ended in (first, second, third))
    assert before.items() <= lives.objects("").items()
    assert not list((platform.seal / "spool").iterdir())


class AwayForQuestions(FolderStore):
    """Says nothing about a recording's manifest until it was sealed."""

    away = True

    def exists(self, key: str) -> bool:
        if self.away:
            self.away = False
            raise BlobStoreError("away")
        return super().exists(key)


async def test_a_store_that_was_away_while_sealing_is_asked_again_before_anything_is_put(
    tmp_path: Path, codecs: CodecPool
) -> None:
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks, 1, 0.4)
    await platform.journal(ended)
    await platform.run_sealer()
    lives = Lives(platform)
    before = lives.objects(ended.recording)
    (platform.recorder / "consumers" / "seal").unlink()
    store = AwayForQuestions(tmp_path / "blobs")
    object.__setattr__(platform.ingest, "store", store)
    await lives.live()
    assert lives.objects(ended.recording) == before and not store.away
    assert lives.events(ended.recording) == STORED_ONCE


async def test_a_full_disk_under_the_cursors_does_not_end_sealing(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "TIDY_INTERVAL_S", 0.02)
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    ended = record_call(platform.tracks, 1, 0.4)
    await platform.journal(ended)
    failures = {"store": 0, "release": 0}
    store, release = Cursor.store, EventJournal.release

    def no_space(name: str, times: int) -> None:
        if failures[name] < times:
            failures[name] += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def full_store(self: Cursor, journal_id: str, offset: int) -> None:
        no_space("store", 3)
        store(self, journal_id, offset)

    def full_release(self: EventJournal, *, required: tuple[str, ...] = ()) -> int:
        no_space("release", 2)
        return release(self, required=required)

    monkeypatch.setattr(Cursor, "store", full_store)
    monkeypatch.setattr(EventJournal, "release", full_release)
    await lives.live(lambda _: (platform.seal / "consumers" / "seal").exists() and failures["release"] == 2)
    assert lives.events(ended.recording) == STORED_ONCE and failures["store"] == 3
    assert Cursor(platform.recorder, "seal").load() is not None


async def test_a_kill_between_released_and_discard_leaves_nothing_in_the_spool(
    tmp_path: Path, codecs: CodecPool
) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    oldest, killed = record_call(platform.tracks, 1, 0.4), record_call(platform.tracks, 2, 0.4)
    await platform.journal(oldest, killed)
    lives.extract.failing = tracks_of(oldest)
    discard = Ingest.discard
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ingest, "discard", lambda self, recording: None)
        await lives.live(lambda _: lives.events(killed.recording) == STORED_ONCE)
    spool = platform.seal / "spool"
    assert Ingest.discard is discard and (spool / killed.recording / "ready.json").exists()
    (spool / "01KR0000000000000000000009" / "work").mkdir(parents=True)
    lives.extract.failing = set()
    await lives.live()
    assert not list(spool.iterdir())
    assert all(lives.events(ended.recording) == STORED_ONCE for ended in (oldest, killed))


async def test_a_read_error_of_the_recorders_journal_skips_no_recording(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.01)
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    ended = record_call(platform.tracks, 1, 0.4)
    await platform.journal(ended)
    read, failed = JournalReader.read, []

    def half_read(self: JournalReader, limit: int = 1000) -> list[Record]:
        records = read(self, limit)
        if records and self.folder == platform.recorder and not failed:
            failed.append(len(records))
            raise OSError(errno.EIO, "Input/output error")
        return records

    monkeypatch.setattr(JournalReader, "read", half_read)
    await lives.live(lambda _: lives.events(ended.recording) == STORED_ONCE)
    assert failed == [1]
