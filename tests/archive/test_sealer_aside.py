"""One recording that fails does not hold the others: it is set aside, an administrator sees it, it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from callward.archive import sealer as sealer_module
from callward.media.codec_process import CodecPool
from callward.media.protocol import MediaRefusedError
from callward.records.events import SystemEvent
from tests.archive.lives import Lives
from tests.archive.platform import Platform
from tests.archive.recorded_calls import record_call

DONE = ["recording_stored", "recording_released"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer_module, "BACK_OFF_FIRST_S", 0.005)
    monkeypatch.setattr(sealer_module, "ASIDE_FIRST_S", 0.3)
    monkeypatch.setattr(sealer_module, "WATCH_INTERVAL_S", 0.02)


def alarms(platform: Platform) -> list[tuple[str, str]]:
    return [(e.severity, e.code) for e in platform.outcomes() if isinstance(e, SystemEvent)]


async def test_a_recording_that_cannot_be_extracted_lets_the_next_one_pass_with_one_worker(
    tmp_path: Path, codecs: CodecPool
) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    bad, good = record_call(platform.tracks, 1, 0.4), record_call(platform.tracks, 2, 0.4)
    await platform.journal(bad, good)
    lives.extract.failing = {track.track for track in bad.tracks}

    def recovers(sealer: sealer_module.Sealer) -> bool:
        if lives.events(good.recording) == DONE and alarms(platform):
            lives.extract.failing = set()
        return sealer.idle.is_set() and len(alarms(platform)) > 1

    await lives.live(recovers, jobs=1)
    assert lives.events(bad.recording) == DONE
    assert alarms(platform) == [("alarm", "sealing_set_aside"), ("info", "sealing_went_on")]


async def test_a_refused_release_lets_the_next_one_pass(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    lives = Lives(platform)
    bad, good = record_call(platform.tracks, 1, 0.4), record_call(platform.tracks, 2, 0.4)
    still_open = {bad.tracks[0].track}

    async def release(track: str) -> None:
        if track in still_open:
            raise MediaRefusedError("bad_request", "track is open; close it before it is released")
        await platform.release(track)

    lives.release = release  # type: ignore[method-assign]
    await platform.journal(bad, good)

    def closes(sealer: sealer_module.Sealer) -> bool:
        if lives.events(good.recording) == DONE and alarms(platform):
            still_open.clear()
        return sealer.idle.is_set()

    await lives.live(closes, jobs=1)
    assert lives.events(bad.recording) == DONE
    assert ("alarm", "sealing_set_aside") in alarms(platform)
