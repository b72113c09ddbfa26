"""Pause and resume when the media process says no (S23)."""

from __future__ import annotations

from callward.recorder.actions import UpdateTrack
from callward.records.events import RecordingEnded, RecordingUpdated
from tests.recorder.recorded_dialog import START, sdp
from tests.recorder.test_session import begun


def test_s23_a_pause_that_is_refused_fails_the_message_and_can_be_repeated() -> None:
    world = begun()
    world.later(10)
    world.refuse_state = True
    world.offer("INVITE", sdp("1:inactive", "2:inactive"))
    assert [failure.temporary for failure in world.failures] == [True, True]
    assert [stream.flows for stream in world.core.data.streams.values()] == [True, True]
    assert [stream.settings.state for stream in world.core.data.streams.values()] == ["recording", "recording"]
    world.flush()
    assert not any(mark.kind == "pause" for event in world.of(RecordingUpdated) for mark in event.marks)
    world.refuse_state = False
    world.later(1)
    world.offer("INVITE", sdp("1:inactive", "2:inactive"))
    assert set(world.open.values()) == {"paused"}
    world.later(1)
    world.refuse_state = True
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"))
    assert len(world.failures) == 4
    world.refuse_state = False
    world.offer("INVITE", sdp("1:sendonly", "2:sendonly"))
    assert set(world.open.values()) == {"recording"}
    world.bye()
    [ended] = world.of(RecordingEnded)
    assert [(mark.kind, (mark.at - START).total_seconds()) for mark in ended.marks] == [("pause", 11), ("resume", 12)]


def test_s23_the_state_travels_alone() -> None:
    world = begun()
    world.offer("INVITE", sdp("1:inactive", "2:inactive").replace("PCMA", "PCMU"))
    assert all(len(action.changes) == 1 for action in world.did(UpdateTrack) if action.sets_state)
    assert [action.sets_state for action in world.did(UpdateTrack)] == [True, False, True, False]
