"""Tracks that no session knows when the recorder starts."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from callward.journal import EventJournal
from callward.media.client import MediaClient
from callward.media.protocol import ListedTrack, PayloadType, TrackSettings
from callward.platform.ids import new_ulid
from callward.platform.paths import DataPaths
from callward.recorder.notebook import Notebook
from callward.recorder.orphans import find_orphans, told_tracks
from callward.records.events import RecordingEnded
from tests.recorder.recorded_dialog import World, sdp
from tests.recorder.recorder_process import Pair


def listed(track: str, state: str) -> ListedTrack:
    return ListedTrack(track, "0" * 26, state, 0, 0, 0, {}, False)


async def test_a_closed_track_that_was_told_of_is_no_orphan(tmp_path: Path) -> None:
    world = World()
    world.offer("INVITE", sdp("1:sendonly"))
    world.bye()
    [ended] = world.of(RecordingEnded)
    journal = EventJournal.open(tmp_path)
    notebook = Notebook(journal)
    for event in world.events:
        notebook.event(event)
    await notebook.durable()
    await journal.close()
    told, known, lost = ended.tracks[0].track, new_ulid(), new_ulid()
    tracks = [listed(told, "closed"), listed(known, "open"), listed(lost, "closed")]
    assert [item.track for item in find_orphans(tracks, {known}, lambda: told_tracks(tmp_path))] == [lost]


async def test_open_and_closed_orphans_are_told_of_with_their_audio(tmp_path: Path) -> None:
    pair = Pair(tmp_path, 32_000)
    tmp_path.mkdir(exist_ok=True)
    tracks = [new_ulid(), new_ulid()]
    try:
        pair.start("media")
        media = MediaClient(DataPaths(tmp_path / "var").media_socket)
        media.start()
        assert await media.wait_connected(20)
        settings = TrackSettings(payload_types=(PayloadType(8, "PCMA", 8000),), source_check="learn")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            for track in tracks:
                opened = await media.open_track(track, new_ulid(), "127.0.0.1", settings)
                for number in range(120):
                    header = bytes([0x80, 8]) + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big")
                    sending.sendto(header + bytes(4) + bytes(160), ("127.0.0.1", opened.rtp_port))
                    await asyncio.sleep(0.001)
        await media.close_track(tracks[0])
        await media.close()
        pair.start("recorder")
        await pair.until_able()
        ended = await pair.ended(2)
        assert {event.tracks[0].track for event in ended} == set(tracks)
        assert {event.why for event in ended} == {"recovered"}
        assert all(len(pair.extract(track).packets) == 120 for track in tracks)
        pair.kill("recorder")
        pair.start("recorder")
        await pair.until_able()
        assert len(await pair.ended(2)) == 2  # told of once
    finally:
        pair.stop()
