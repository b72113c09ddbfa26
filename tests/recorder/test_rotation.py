"""Rotations and closes that the media process refuses: what goes on, what is marked, what is never thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from callward.recorder.actions import Action, DiscardTrack, RotateTrack
from callward.recorder.track_work import TrackWork
from callward.records.events import RecordingEnded, RecordingStarted
from tests.recorder.media_server import connected, refusal
from tests.recorder.recorded_dialog import TWO_PARTIES, TWO_STREAMS, World, message, metadata
from tests.recorder.test_session import begun

OVER = metadata("call-a!", parties=TWO_PARTIES, streams=TWO_STREAMS, mode="partial")
CLOSED = {"acked_bytes": 1, "stats": {"packets": 500}}


def call_over(world: World) -> Sequence[Action]:
    """The call of a session ends: the rotations that the core asks for."""
    world.later(30)
    observation, _, _ = message("UPDATE", "", OVER)
    actions = world.core.describe(observation, world.at)
    assert [type(action) for action in actions] == [RotateTrack, RotateTrack]
    return actions


async def perform(world: World, folder: Path, replies: dict[str, object]) -> list[str]:
    """Carry the rotations out; the operations that were asked for."""
    async with connected(folder) as (server, media):
        server.replies.update(replies)
        async with asyncio.timeout(5):
            await TrackWork(media, "127.0.0.1").perform(world.core, call_over(world))
        world.collect()
        return [request["op"] for request in server.seen]


@pytest.mark.parametrize("code", ["no_space", "overload", "bad_request", "internal"])
async def test_a_refused_rotation_keeps_the_track_and_marks_the_boundary(tmp_path: Path, code: str) -> None:
    world = begun()
    tracks = [stream.track for stream in world.core.data.streams.values()]
    replies = {"rotate_track": refusal(code), "track_stats": refusal("unknown_track")}
    await perform(world, tmp_path, replies)
    assert [stream.track for stream in world.core.data.streams.values()] == tracks
    world.describe(metadata("call-b", parties="carol@call-b:1", streams="1@call-b 2@call-b"))
    assert len(world.did(RotateTrack)) == 2  # at the next call it is tried again
    world.bye()
    assert [event.why for event in world.of(RecordingEnded)] == ["call_ended", "bye"]
    first = world.of(RecordingEnded)[0]
    assert [mark.kind for mark in first.marks] == ["boundary", "boundary"]
    assert len(world.of(RecordingStarted)) == 2


async def test_a_rotation_that_was_done_before_a_kill_counts_as_done(tmp_path: Path) -> None:
    world = begun()
    refused = refusal("bad_request", "track exists already")
    operations = await perform(
        world,
        tmp_path,
        {"rotate_track": refused, "track_stats": {"state": "recording"}, "close_track": CLOSED},
    )
    assert operations.count("rotate_track") == 2
    assert operations.count("close_track") == 2
    assert len(world.of(RecordingEnded)) == 1
    assert len(world.core.data.streams) == 2


async def test_a_rotation_of_a_track_that_is_gone_leaves_no_stream_on_one_that_never_opened(tmp_path: Path) -> None:
    world = begun()
    gone = refusal("unknown_track")
    await perform(world, tmp_path, {"rotate_track": gone, "track_stats": gone, "close_track": gone})
    assert world.core.data.streams == {}
    [ended] = world.of(RecordingEnded)
    assert "track_lost" in {problem.code for problem in ended.problems}


async def test_a_rotation_waits_for_a_media_process_that_stops(tmp_path: Path) -> None:
    world = begun()
    await perform(world, tmp_path, {"rotate_track": [refusal("stopping"), CLOSED, CLOSED]})
    assert len(world.of(RecordingEnded)) == 1
    assert len(world.core.data.streams) == 2


def test_a_track_of_unknown_content_is_never_discarded() -> None:
    world = begun()
    world.describe(OVER)
    world.core.end("bye", world.at)
    actions = [action for track in list(world.open) for action in world.core.closed(track, None, "gone")]
    assert not any(isinstance(action, DiscardTrack) for action in actions)
    world.collect()
    assert len(world.of(RecordingEnded)) == 2
