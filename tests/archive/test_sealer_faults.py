"""Faults 4 and 9 on the sealer: killed at every step, the object store away, tracks gone, nothing received."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from callward.archive import sealer as sealer_module
from callward.archive.encryption import EncryptedReader
from callward.media.codec_process import CodecPool
from callward.media.protocol import MediaUnavailableError
from callward.platform.blobs import BlobChecksumError, BlobStoreError
from callward.platform.blobs_folder import FolderStore
from callward.records.events import RecordingFailed, RecordingReleased, RecordingStored
from tests.archive.platform import Platform
from tests.archive.recorded_calls import ended_call, record_call, started_call, ulid
from tests.sealing.track_writer import TrackBuilder, announced, g711_packets, shifted, tone


def stored_by(platform: Platform) -> list[RecordingStored]:
    return [event for event in platform.outcomes() if isinstance(event, RecordingStored)]


def check_whole(platform: Platform, stored: RecordingStored) -> None:
    """Every object is there, decrypts and has its digest."""
    import hashlib

    data_key = platform.keys.open(stored.wrapped_key, stored.recording)
    assert {blob.kind for blob in stored.blobs} >= {"master", "peaks", "metadata", "manifest"}
    for blob in stored.blobs:

        def read(start: int, length: int, key: str = blob.key) -> bytes:
            return platform.store.read(key, start, length)

        reader = EncryptedReader(read, blob.size_bytes, data_key, stored.recording, blob.key.rpartition("/")[2])
        assert hashlib.sha256(reader.read(0, blob.size_bytes)).hexdigest() == blob.sha256
    keys = {blob.key for blob in stored.blobs} | {f"{stored.recording}/key"}
    assert set(platform.store.keys(f"{stored.recording}/")) == keys
    assert platform.store.read(f"{stored.recording}/key", 0, 4096).decode() == stored.wrapped_key


@pytest.mark.timeout(110)
async def test_fault_4_killed_at_every_step_every_recording_exists_exactly_once(
    tmp_path: Path, codecs: CodecPool
) -> None:
    template = Platform(tmp_path / "template", codecs)
    ended = record_call(template.tracks, seconds=1.0)
    await template.journal(started_call(ended), ended)
    done = subprocess.run(
        [sys.executable, "-m", "tests.archive.killed_sealer", str(tmp_path)],
        capture_output=True,
        timeout=100,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    lives = json.loads(done.stdout.splitlines()[-1])
    assert len(lives) > 10 and not lives[-1]["killed"]
    for life in lives:
        platform = Platform(Path(life["root"]), codecs)
        [stored] = stored_by(platform)
        check_whole(platform, stored)
        assert sum(isinstance(event, RecordingReleased) for event in platform.outcomes()) == 1
        released = (Path(life["root"]) / "released").read_text().split()
        assert set(released) == {track.track for track in ended.tracks}
        spool = platform.seal / "spool"
        assert not [path for path in spool.iterdir() if (path / "ready.json").exists()] or life["killed"]


class FlakyStore(FolderStore):
    """A store that is away, then lies about a checksum, then works."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.failures = 4
        self.order: list[str] = []

    def put(self, key: str, source: Path | bytes, sha256: str) -> None:
        if self.failures:
            self.failures -= 1
            raise BlobStoreError("away") if self.failures % 2 else BlobChecksumError("not what was given")
        super().put(key, source, sha256)
        self.order.append(key)


async def test_fault_9_object_store_away_then_everything_is_stored_once(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.01)
    platform = Platform(tmp_path, codecs)
    store = FlakyStore(tmp_path / "blobs")
    platform.ingest = replace(platform.ingest, store=store)
    calls = [record_call(platform.tracks, number, 0.6) for number in (1, 2, 3)]
    await platform.journal(*calls)
    await platform.run_sealer()
    assert sorted(stored.recording for stored in stored_by(platform)) == [call.recording for call in calls]
    for stored in stored_by(platform):
        check_whole(platform, stored)


async def test_the_media_process_may_be_away_while_recordings_are_stored(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.01)
    platform = Platform(tmp_path, codecs)
    away = 3

    async def release(track: str) -> None:
        nonlocal away
        if away:
            away -= 1
            raise MediaUnavailableError("not connected")
        platform.released.append(track)

    platform.release = release  # type: ignore[method-assign]
    ended = record_call(platform.tracks, seconds=0.6)
    await platform.journal(ended)
    await platform.run_sealer()
    assert len(stored_by(platform)) == 1 and len(platform.released) == 2


async def test_nothing_received_is_a_recording_without_master(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    track = ulid(5, "T")
    platform.tracks.mkdir()
    TrackBuilder(track).write(platform.tracks / track)
    await platform.journal(ended_call(1, [track], 2.0))
    await platform.run_sealer()
    failed = next(event for event in platform.outcomes() if isinstance(event, RecordingFailed))
    assert [problem.code for problem in failed.problems] == ["no_media"]
    assert {blob.kind for blob in failed.blobs} == {"metadata", "manifest"} and platform.released == [track]


async def test_a_track_that_is_gone_is_named_and_the_others_are_kept(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks, seconds=0.6)
    (platform.tracks / ended.tracks[0].track).unlink()
    await platform.journal(ended)
    await platform.run_sealer()
    [stored] = stored_by(platform)
    assert stored.channels == 1 and "track_missing" in {problem.code for problem in stored.problems}


async def test_an_unknown_codec_is_kept_raw_beside_what_can_be_heard(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks, seconds=4.0)
    odd = ended.tracks[0].track
    builder = TrackBuilder(odd, payload_types=[announced(97, "EVS", 16000)])
    builder.packets = [shifted(packet, payload_type=97) for packet in g711_packets(tone(440, 1))]
    builder.write(platform.tracks / odd)
    await platform.journal(ended)
    await platform.run_sealer()
    [stored] = stored_by(platform)
    assert {"unknown_codec", "one_way"} <= {problem.code for problem in stored.problems}
    assert [blob.kind for blob in stored.blobs].count("raw") == 1
    check_whole(platform, stored)


async def test_a_crashing_encoder_ends_with_the_packets_stored(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.001)
    platform = Platform(tmp_path, codecs)
    broken = CodecPool(1)
    for process in broken._all:
        process._command = [sys.executable, "-c", "raise SystemExit(3)"]
    platform.ingest = replace(platform.ingest, codecs=broken)
    ended = record_call(platform.tracks, seconds=0.6)
    await platform.journal(ended)
    await platform.run_sealer()
    failed = next(event for event in platform.outcomes() if isinstance(event, RecordingFailed))
    assert [problem.code for problem in failed.problems] == ["sealing_failed"]
    assert [blob.kind for blob in failed.blobs].count("raw") == 2


async def test_a_restarted_sealer_repeats_nothing(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks, seconds=0.6)
    await platform.journal(ended)
    await platform.run_sealer()
    before = platform.outcomes()
    await platform.run_sealer()
    assert platform.outcomes() == before and len(platform.released) == 2
    second = record_call(platform.tracks, 2, 0.6)
    await platform.journal(second)
    await platform.run_sealer()
    assert [stored.recording for stored in stored_by(platform)] == [ended.recording, second.recording]
