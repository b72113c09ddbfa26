"""Slow downloads: bounded, apart from everything else, given up when nobody reads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from callward.archive.schemas import AudioFormat
from callward.archive.service import ArchiveError, BusyError
from callward.archive.stored import StoredArchive
from callward.archive.transcoding import Transcodes
from callward.media.codec_process import CodecPool
from callward.platform.database import Database, Scope
from tests.archive.platform import Platform
from tests.archive.recorded_calls import record_call, ulid


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def pieces(ended: list[str], count: int = 1000) -> Iterator[bytes]:
    try:
        for _ in range(count):
            yield threading.current_thread().name.encode()
    finally:
        ended.append("closed")


async def close(stream: AsyncIterator[bytes]) -> None:
    await stream.aclose()  # type: ignore[attr-defined]


async def test_more_than_the_limit_are_refused_at_once_and_room_comes_back() -> None:
    transcodes, ended = Transcodes(2), list[str]()
    slow = [transcodes.start(lambda: pieces(ended)) for _ in range(2)]
    for stream in slow:
        assert (await anext(stream)).startswith(b"transcode")  # never a thread that sign-in needs
    with pytest.raises(BusyError):
        transcodes.check()
    with pytest.raises(BusyError):
        transcodes.start(lambda: pieces(ended))
    await close(slow[0])
    assert ended == ["closed"]
    assert [piece async for piece in transcodes.start(lambda: pieces([], 3))] and transcodes.active == 1
    await close(slow[1])
    transcodes.close()


async def test_a_client_that_stops_reading_loses_its_place() -> None:
    transcodes, ended = Transcodes(1, idle_s=0.05), list[str]()
    stream = transcodes.start(lambda: pieces(ended))
    await anext(stream)
    await until(lambda: transcodes.active == 0)
    assert ended == ["closed"]
    with pytest.raises(ArchiveError, match="given up"):
        await anext(stream)
    never_read = transcodes.start(lambda: pieces(ended))
    await until(lambda: transcodes.active == 0)
    await close(never_read)
    transcodes.close()


async def test_a_client_that_goes_away_in_the_middle_of_a_piece_gives_its_place_back() -> None:
    transcodes, ended = Transcodes(1), list[str]()
    begun, go = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        try:
            begun.set()
            go.wait(10)
            yield b"x"
        finally:
            ended.append("closed")

    stream = transcodes.start(slow)
    reading = asyncio.ensure_future(anext(stream))
    await until(begun.is_set)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert transcodes.active == 1 and not ended
    go.set()
    await until(lambda: transcodes.active == 0)
    assert ended == ["closed"]
    transcodes.close()


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_closing_the_archive_ends_the_codec_worker_of_a_download(
    tmp_path: Path, codecs: CodecPool, database: Database
) -> None:
    platform = Platform(tmp_path, codecs)
    await platform.journal(record_call(platform.tracks))
    await platform.run_sealer()
    await platform.apply(database)
    own, transcodes = CodecPool(1), Transcodes(1)
    archive = StoredArchive(platform.store, platform.keys, own, transcodes)
    async with database.begin(Scope.provider()) as session:
        stream = await archive.transcode(session, ulid(1), AudioFormat.MP3)
        with pytest.raises(BusyError):
            await archive.transcode(session, ulid(1), AudioFormat.MP3)
    assert await anext(stream.chunks)
    (pid,) = [process.pid for process in own._all]
    assert pid is not None and not has_ended(pid)
    archive.close()
    assert has_ended(pid)
    await close(stream.chunks)
    assert transcodes.active == 0
