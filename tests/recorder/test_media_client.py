"""The client of the media process against a server that speaks the protocol's lines: time-outs, refusals, reconnects, nonsense."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callward.media.client import MediaClient
from callward.media.protocol import (
    Hello,
    MediaError,
    MediaEvent,
    MediaRefusedError,
    MediaUnavailableError,
    TrackSettings,
    decode_line,
    encode_request,
)
from tests.recorder.media_server import Server, connected


async def test_requests_and_replies_are_matched(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.replies["open_track"] = {"rtp_port": 10000, "rtcp_port": 10001}
        server.replies["close_track"] = {"acked_bytes": 5, "stats": {"packets": 2}}
        opened, closed = await asyncio.gather(
            client.open_track("T", "S", "127.0.0.1", TrackSettings()), client.close_track("T")
        )
        assert (opened.rtp_port, opened.rtcp_port) == (10000, 10001)
        assert (closed.acked_bytes, closed.stats) == (5, {"packets": 2})
        assert server.seen[0]["state"] == "recording"


async def test_a_refusal_has_the_protocols_code(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.replies["open_track"] = {"ok": False, "error": {"code": "no_port", "message": "widen the range"}}
        with pytest.raises(MediaRefusedError, match="widen") as caught:
            await client.open_track("T", "S", "127.0.0.1", TrackSettings())
        assert caught.value.code == "no_port"


async def test_silence_ends_in_a_time_out(tmp_path: Path) -> None:
    async with connected(tmp_path, request_timeout_s=0.05) as (server, client):
        server.replies["status"] = None
        with pytest.raises(MediaUnavailableError, match="did not answer"):
            await client.status()


async def test_waiting_requests_fail_when_the_connection_breaks_and_it_connects_again(tmp_path: Path) -> None:
    hellos: list[Hello] = []
    lost: list[bool] = []
    async with connected(tmp_path, on_connected=hellos.append, on_lost=lambda: lost.append(True)) as (server, client):
        server.replies["close_track"] = None
        waiting = asyncio.ensure_future(client.close_track("T"))
        while not server.seen:
            await asyncio.sleep(0)
        await server.stop()
        with pytest.raises(MediaUnavailableError):
            await waiting
        assert lost == [True]
        with pytest.raises(MediaUnavailableError, match="not connected"):
            await client.status()
        server.path.unlink(missing_ok=True)
        server.boot = "BOOT-2"
        await server.start()
        assert await client.wait_connected(5)
        assert [hello.boot for hello in hellos] == ["BOOT-1", "BOOT-2"]


async def test_events_reach_the_callback_and_nonsense_is_passed_over(tmp_path: Path) -> None:
    events: list[MediaEvent] = []
    async with connected(tmp_path, on_event=events.append) as (server, client):
        for line in (
            b"nonsense",
            b"[]",
            b'{"id": 999, "ok": true}',
            b'{"event": "able", "able": false, "why": "full"}',
        ):
            server.say(line)
        await client.status()
        assert [event.name for event in events] == ["able"]


async def test_another_protocol_is_not_spoken(tmp_path: Path) -> None:
    server = Server(tmp_path / "m.sock", protocol=2)
    await server.start()
    client = MediaClient(server.path)
    client.start()
    assert not await client.wait_connected(0.1)
    await client.close()
    await server.stop()


def test_a_request_longer_than_a_line_is_refused_here() -> None:
    with pytest.raises(MediaError, match="longer"):
        encode_request(1, "open_track", {"meta": "x" * 300_000})


@pytest.mark.parametrize("line", [b"", b"{", b'{"event": "hello"}', b'{"id": "x"}', b"[" * 100_000, b'{"ok": true}'])
def test_lines_that_make_no_sense_are_none(line: bytes) -> None:
    assert decode_line(line) is None


async def test_the_list_of_tracks_is_read_page_by_page(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.replies["list_tracks"] = {"tracks": [{"track": "A"}, {"track": "B"}], "more": True}
        # A media process that always has more, but never anything new, is not asked for ever.
        assert [item.track for item in await client.list_tracks()] == ["A", "B", "A", "B"]
        assert [request.get("after") for request in server.seen] == [None, "B"]
        server.replies["list_tracks"] = {"tracks": [{"track": "A"}], "more": False}
        assert [item.track for item in await client.list_tracks()] == ["A"]
