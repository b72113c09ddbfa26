"""What cannot be played is kept: an extracted track leaves sealing as audio or as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from callward.media.codec_process import CodecPool
from callward.recorder.sealing import track as track_module
from callward.recorder.sealing.seal import SealedRecording, SealOptions, seal
from callward.records.events import RecordingEnded
from tests.archive.recorded_calls import ended_call, record_call, ulid
from tests.sealing.track_writer import TrackBuilder, announced, g711_packets, shifted, tone


def sealed(ended: RecordingEnded, folder: Path, codecs: CodecPool) -> SealedRecording:
    extracted = {track.track: folder / "tracks" / track.track for track in ended.tracks}
    work = folder / "work"
    work.mkdir()
    return seal(ended, extracted, work, SealOptions(), codecs, bytes(16))


def raw_of(found: SealedRecording) -> set[bytes]:
    return {file.path.read_bytes() for file in found.files if file.kind == "raw"}


def codes(found: SealedRecording) -> list[str]:
    return [problem.code for problem in found.problems]


def test_a_track_that_is_too_long_is_stored_raw(
    tmp_path: Path, codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_module, "SAMPLES_MAX", 8000)
    ended = record_call(tmp_path / "tracks", seconds=1.2)
    long, short = ended.tracks[1].track, ended.tracks[0].track
    found = sealed(ended, tmp_path, codecs)
    assert found.master is not None and [track.track for track in found.tracks] == [short]
    assert "unreadable_track" in codes(found)
    assert raw_of(found) == {(tmp_path / "tracks" / long).read_bytes()}


def test_a_file_that_is_no_track_is_stored_raw_and_not_called_empty(tmp_path: Path, codecs: CodecPool) -> None:
    ended = ended_call(1, [ulid(1, "T"), ulid(2, "T")], 2.0)
    (tmp_path / "tracks").mkdir()
    for track in ended.tracks:
        (tmp_path / "tracks" / track.track).write_bytes(b"not a track " + track.track.encode())
    found = sealed(ended, tmp_path, codecs)
    assert found.master is None and codes(found) == ["unreadable_track", "unreadable_track"]
    assert len(raw_of(found)) == 2


def test_packets_without_audio_are_stored_and_not_called_no_media(tmp_path: Path, codecs: CodecPool) -> None:
    ended = ended_call(1, [ulid(1, "T")], 2.0)
    (tmp_path / "tracks").mkdir()
    builder = TrackBuilder(ulid(1, "T"), payload_types=[announced(101, "telephone-event")])
    packet = shifted(g711_packets(tone(440, 0.02))[0], payload_type=101, payload=bytes([5, 0x8A, 3, 32]))
    builder.packets = [packet]
    path = builder.write(tmp_path / "tracks" / ulid(1, "T"))
    found = sealed(ended, tmp_path, codecs)
    assert codes(found) == ["no_audio"] and raw_of(found) == {path.read_bytes()}


def test_no_packet_at_all_is_no_media(tmp_path: Path, codecs: CodecPool) -> None:
    ended = ended_call(1, [ulid(1, "T")], 2.0)
    (tmp_path / "tracks").mkdir()
    TrackBuilder(ulid(1, "T")).write(tmp_path / "tracks" / ulid(1, "T"))
    found = sealed(ended, tmp_path, codecs)
    assert codes(found) == ["no_media"] and not raw_of(found)
