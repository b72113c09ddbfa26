"""Plain audio lies on the disk only while a recording is sealed, and nobody else can read it there."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from callward.archive.extraction import ExtractionError
from callward.media.codec_process import CodecPool
from tests.archive.lives import MoodyExtractor
from tests.archive.platform import Platform
from tests.archive.recorded_calls import record_call

STEPS = ["spool made", "extracted", "sealed", "encrypted"]


@pytest.mark.parametrize("step", [*STEPS[1:], "extract"])
def test_no_plain_audio_stays_when_sealing_fails(tmp_path: Path, codecs: CodecPool, step: str) -> None:
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks, seconds=0.4)

    def fail(reached: str) -> None:
        if reached == step:
            assert list((platform.seal / "spool" / ended.recording / "work").iterdir())
            raise RuntimeError(step)

    ingest = replace(platform.ingest, checkpoint=fail)
    if step == "extract":
        failing = MoodyExtractor(platform.tracks, failing={ended.tracks[1].track})
        ingest = replace(ingest, extract=failing)
    with pytest.raises((RuntimeError, ExtractionError)):
        ingest.prepare(ended)
    assert not (platform.seal / "spool" / ended.recording / "work").exists()


def test_the_spool_is_the_sealers_alone(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks, seconds=0.4)
    spool = platform.seal / "spool"
    modes = []

    def look(step: str) -> None:
        if step in STEPS:
            folders = (spool, spool / ended.recording, spool / ended.recording / "work")
            modes.extend(stat.S_IMODE(folder.stat().st_mode) for folder in folders)

    before = os.umask(0)
    try:
        replace(platform.ingest, checkpoint=look).prepare(ended)
    finally:
        os.umask(before)
    assert set(modes) == {0o700} and len(modes) == 12
