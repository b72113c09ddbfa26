"""A session's actions at the media process: what is repeated, what is given up, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callward.media.client import MediaClient
from callward.recorder import track_work
from callward.recorder.actions import FailMessage, UpdateTrack
from callward.recorder.session import RecordingSession
from callward.recorder.track_work import TrackWork
from tests.recorder.media_server import Server, connected, refusal
from tests.recorder.recorded_dialog import START, World, message, sdp


def paused_by_client(world: World) -> list[UpdateTrack]:
    """A session whose client asks for a pause: the core's actions."""
    from callward.recorder import negotiation

    world.offer("INVITE", sdp("1:sendonly"))
    text = sdp("1:inactive")
    observation, _, _ = message("INVITE", text)
    return world.core.offer(observation, negotiation.read_lines(negotiation.parse(text.encode()), "192.0.2.10"), START)


def flows(core: RecordingSession) -> list[bool]:
    return [stream.flows for stream in core.data.streams.values()]


async def test_s23_a_pause_that_is_refused_for_a_moment_is_repeated(tmp_path: Path) -> None:
    world = World()
    async with connected(tmp_path) as (server, media):
        server.replies["update_track"] = [refusal("overload"), refusal("stopping"), {}]
        assert await TrackWork(media, "127.0.0.1").perform(world.core, paused_by_client(world)) == []
        assert [request["state"] for request in server.seen] == ["paused"] * 3
    assert flows(world.core) == [False]


async def test_s23_a_pause_that_stays_refused_fails_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_work, "UPDATE_S", 0.2)
    for code, temporary in (("bad_request", False), ("overload", True)):
        world = World()
        (tmp_path / code).mkdir()
        async with connected(tmp_path / code) as (server, media):
            server.replies["update_track"] = refusal(code)
            [failure] = await TrackWork(media, "127.0.0.1").perform(world.core, paused_by_client(world))
        assert isinstance(failure, FailMessage)
        assert failure.temporary is temporary
        assert flows(world.core) == [True]


async def test_s23_a_pause_waits_for_a_media_process_that_is_away(tmp_path: Path) -> None:
    world = World()
    server = Server(tmp_path / "m.sock")
    media = MediaClient(server.path)
    media.start()
    try:
        working = asyncio.create_task(TrackWork(media, "127.0.0.1").perform(world.core, paused_by_client(world)))
        await asyncio.sleep(0)
        assert not working.done()
        await server.start()
        assert await asyncio.wait_for(working, 5) == []
        assert [request["state"] for request in server.seen] == ["paused"]
    finally:
        await media.close()
        await server.stop()


async def test_s23_a_pause_without_a_media_process_fails_within_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_work, "UPDATE_S", 0.2)
    world = World()
    media = MediaClient(tmp_path / "m.sock")
    try:
        [failure] = await TrackWork(media, "127.0.0.1").perform(world.core, paused_by_client(world))
    finally:
        await media.close()
    assert isinstance(failure, FailMessage)
    assert failure.temporary
    assert flows(world.core) == [True]
