"""A defect while a message is read costs neither the recording nor the answer."""

from __future__ import annotations

import pytest

from callward.recorder import reading
from callward.records.events import RecordingEnded
from callward.siprec.observation import Observation
from callward.siprec.session import SessionState, advance
from tests.recorder.recorded_dialog import TWO_PARTIES, TWO_STREAMS, World, metadata, sdp

XML = metadata("call-a", parties=TWO_PARTIES, streams=TWO_STREAMS)


def failing(state: SessionState, observation: Observation, **arguments: object) -> SessionState:
    if observation.metadata:
        raise RecursionError
    return advance(state, observation, **arguments)  # type: ignore[arg-type]


def test_s16_metadata_that_breaks_its_reader_is_passed_over_and_kept_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "advance", failing)
    world = World()
    answer = world.offer("INVITE", sdp("1:sendonly", "2:sendonly"), XML)
    assert all(media.port for media in answer.media)
    world.describe(XML)
    world.bye(XML)
    [ended] = world.of(RecordingEnded)
    assert len(ended.tracks) == 2
    assert len(ended.metadata) == 3
    assert "odd_metadata" in {problem.code for problem in ended.problems}
