"""A track is given up only when its audio is stored, or when the media process itself does not know it."""

from __future__ import annotations

from pathlib import Path

import pytest

from callward.archive import sealer as sealer_module
from callward.media.codec_process import CodecPool
from callward.media.protocol import MediaUnavailableError
from tests.archive.lives import Lives
from tests.archive.platform import Platform
from tests.archive.recorded_calls import record_call


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.005)
    monkeypatch.setattr(sealer_module, "ASIDE_FIRST_S", 0.05)


@pytest.mark.parametrize("away", [False, True], ids=["known", "media process away"])
async def test_a_track_that_the_extractor_calls_gone_is_waited_for_until_the_media_process_agrees(
    tmp_path: Path, codecs: CodecPool, away: bool
) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    ended = record_call(platform.tracks, seconds=0.4)
    hidden = ended.tracks[0].track
    lives.extract.hidden = {hidden}
    asked = 0

    async def knows(track: str) -> bool:
        nonlocal asked
        asked += 1
        if asked > 8:
            lives.extract.hidden = set()
        if away:
            raise MediaUnavailableError("not connected")
        return True

    lives.knows = knows  # type: ignore[method-assign]
    await platform.journal(ended)
    await lives.live()
    assert asked > 8 and lives.events(ended.recording) == ["recording_stored", "recording_released"]
    stored = platform.outcomes()[0]
    assert not stored.problems and len(stored.tracks) == 2  # type: ignore[union-attr]


async def test_a_track_that_nobody_knows_is_missing(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    ended = record_call(platform.tracks, seconds=0.4)
    (platform.tracks / ended.tracks[0].track).unlink()
    await platform.journal(ended)
    await lives.live()
    stored = platform.outcomes()[0]
    assert [problem.code for problem in stored.problems] == ["track_missing"]  # type: ignore[union-attr]
    assert len(stored.tracks) == 1  # type: ignore[union-attr]


async def test_a_disk_that_fails_for_long_does_not_cost_the_master(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    ended = record_call(platform.tracks, seconds=0.4)
    lives.extract.failing = {track.track for track in ended.tracks}
    await platform.journal(ended)

    def recovers(_: object) -> bool:
        if len(lives.extract.asked) > 8:
            lives.extract.failing = set()
        return bool(lives.events(ended.recording)[1:])

    await lives.live(recovers)
    assert lives.events(ended.recording) == ["recording_stored", "recording_released"]
