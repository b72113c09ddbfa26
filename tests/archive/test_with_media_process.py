"""The real media process under the sealer: RTP in, a recording out, the tracks given up."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from callward.archive.extraction import MediaExtractor
from callward.archive.sealer import Sealer
from callward.archive.tracks import MediaTracks
from callward.media.client import MediaClient
from callward.media.codec_process import CodecPool
from callward.media.program import media_program
from callward.media.protocol import PayloadType, Remote, TrackSettings
from callward.platform.ids import new_ulid
from callward.records.events import RecordingReleased, RecordingStored
from tests.archive.platform import Platform
from tests.archive.recorded_calls import ended_call
from tests.sealing.track_writer import g711_packets, tone

SECONDS = 1.0


async def talk(port: int, source: socket.socket, hz: float) -> None:
    """Send a tone as RTP, paced by the clock."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for packet in g711_packets(tone(hz, SECONDS), ssrc=int(hz)):
        await asyncio.sleep(max(0.0, begin + packet.at_ms / 1000 - loop.time()))
        head = struct.pack("!BBHII", 0x80, 8, packet.sequence & 0xFFFF, packet.timestamp & 0xFFFFFFFF, packet.ssrc)
        source.sendto(head + packet.payload, ("127.0.0.1", port))


@pytest.mark.timeout(60)
async def test_rtp_into_the_media_process_becomes_a_stored_recording(tmp_path: Path, codecs: CodecPool) -> None:
    platform = Platform(tmp_path, codecs)
    configuration = {
        "runtime_dir": str(tmp_path), "journal_dir": str(tmp_path / "audio"), "keys_dir": str(tmp_path / "audio-keys"),
        "addresses": ["127.0.0.1"], "port_min": 42_000, "port_max": 42_099, "sync_interval_ms": 50,
        "segment_bytes": 4 << 20, "journal_max_bytes": 64 << 20, "disk_reserve_bytes": 0, "cpu": None, "receive": "auto",
    }  # fmt: skip
    for name in ("audio", "audio-keys"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "media.json").write_text(json.dumps(configuration))
    process = await asyncio.create_subprocess_exec(
        str(media_program()), "serve", "--config", str(tmp_path / "media.json"), stderr=asyncio.subprocess.DEVNULL
    )
    sources: list[socket.socket] = []
    client = MediaClient(tmp_path / "media.sock")
    client.start()
    try:
        assert await client.wait_connected(15)
        tracks = [new_ulid(), new_ulid()]
        talks = []
        for track, hz in zip(tracks, (1000.0, 440.0), strict=True):
            source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            source.bind(("127.0.0.1", 0))
            sources.append(source)
            remote = Remote(f"127.0.0.1:{source.getsockname()[1]}")
            opened = await client.open_track(
                track, new_ulid(), "127.0.0.1", TrackSettings((PayloadType(8, "PCMA", 8000),), remote)
            )
            talks.append(talk(opened.rtp_port, source, hz))
        await asyncio.gather(*talks)
        await asyncio.sleep(0.05)
        for track in tracks:
            await client.close_track(track)
        assert await MediaTracks(client).knows(tracks[0])
        ended = ended_call(1, tracks, SECONDS)
        await platform.journal(ended)
        ingest = replace(platform.ingest, extract=MediaExtractor(tmp_path / "audio", tmp_path / "audio-keys"))
        stopping = asyncio.Event()
        sealer = Sealer(platform.recorder, platform.seal, ingest, MediaTracks(client), 1)
        task = asyncio.create_task(sealer.run(stopping))
        async with asyncio.timeout(30):
            await sealer.idle.wait()
        stopping.set()
        await task
        outcomes = platform.outcomes()
        stored = next(event for event in outcomes if isinstance(event, RecordingStored))
        assert stored.channels == 2 and abs(stored.duration_ms - 1000) <= 20
        assert not [track for track in stored.tracks if track.silent]
        assert any(isinstance(event, RecordingReleased) for event in outcomes)
        assert not {listed.track for listed in await client.list_tracks()} & set(tracks)
        assert not await MediaTracks(client).knows(tracks[0])
    finally:
        for source in sources:
            source.close()
        await client.close()
        process.terminate()
        await process.wait()
