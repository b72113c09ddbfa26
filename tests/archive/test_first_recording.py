"""The whole way: closed tracks, sealer, blob store, journals, database, list, player, download."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from callward.archive.schemas import AudioFormat, ConversationFilter, PageRequest
from callward.archive.service import AudioStream, NotFoundError, RangeNotSatisfiableError
from callward.media.codec_process import CodecPool
from callward.platform.database import Database, Scope
from tests.archive.platform import Platform
from tests.archive.recorded_calls import (
    CALLED_HZ,
    CALLER_HZ,
    STARTED_AT,
    record_call,
    started_call,
)
from tests.sealing.track_writer import level

ORGANISATION = "01KXXXXXXXXXXXXXXXXXXXXXXX"
OTHER = "01KYYYYYYYYYYYYYYYYYYYYYYY"


async def collect(stream: AudioStream) -> bytes:
    return b"".join([piece async for piece in stream.chunks])


def decode(data: bytes) -> tuple[np.ndarray, int]:
    """Samples by channel, rate."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        stream = container.streams.audio[0]
        channels, rate = stream.codec_context.layout.nb_channels, stream.rate
        planar = stream.codec_context.format.is_planar
    planes = [frame if planar else frame.reshape(-1, channels).T for frame in frames]
    samples = np.concatenate(planes, axis=1)
    return (samples * 32767).astype(np.int16) if samples.dtype.kind == "f" else samples, rate


@pytest.mark.parametrize("codec", ["opus", "flac"])
async def test_a_recorded_call_is_listed_plays_and_downloads(
    tmp_path: Path, codecs: CodecPool, database: Database, codec: str
) -> None:
    platform = Platform(tmp_path, codecs, codec)
    ended = record_call(platform.tracks, organisation=ORGANISATION)
    await platform.journal(started_call(ended), ended)  # type: ignore[arg-type]
    await platform.run_sealer()
    await platform.apply(database)
    assert sorted(platform.released) == sorted(track.track for track in ended.tracks)
    assert not list((platform.seal / "spool").iterdir())
    scope = Scope.organisation(ORGANISATION)
    async with database.begin(scope) as session:
        page = await platform.archive.list_conversations(session, ConversationFilter(number="1234"), PageRequest())
        assert [item.state for item in page.items] == ["ready"]
        detail = await platform.archive.conversation(session, page.items[0].id)
        [recording] = detail.recordings
        assert recording.playable and recording.codec == codec and recording.channels == 2
        assert recording.duration_ms == 2000
        assert [track.parties for track in recording.tracks] == [["p1"], ["p2"]]
        assert [mark.kind for mark in detail.marks] == ["hold"]
        assert (await platform.archive.metadata(session, recording.id))[0].text == "<recording>é</recording>"
        master = await collect(await platform.archive.open_audio(session, recording.id))
        part = await collect(await platform.archive.open_audio(session, recording.id, start=100, end=300))
        assert part == master[100:300]
        with pytest.raises(RangeNotSatisfiableError):
            await platform.archive.open_audio(session, recording.id, start=len(master))
        view = await platform.archive.peaks_view(session, recording.id, 10)
        assert [len(channel) for channel in view.channels] == [20, 20] and max(view.channels[0]) > 20
        for audio_format in (AudioFormat.MP3, AudioFormat.WAV, AudioFormat.OPUS, AudioFormat.FLAC):
            stream = await platform.archive.transcode(session, recording.id, audio_format)
            data = await collect(stream)
            assert stream.size in (None, len(data))
            check_channels(data, 2.0, 0.15 if audio_format is AudioFormat.MP3 else 0.02)
    check_channels(master, 2.0, 0.02)
    async with database.begin(Scope.organisation(OTHER)) as session:
        with pytest.raises(NotFoundError):
            await platform.archive.conversation(session, page.items[0].id)
        with pytest.raises(NotFoundError):
            await platform.archive.open_audio(session, recording.id)


def check_channels(data: bytes, seconds: float, tolerance_s: float) -> None:
    """Each channel holds its own tone only, and the length is right."""
    samples, rate = decode(data)
    assert abs(samples.shape[1] / rate - seconds) <= tolerance_s
    settled = samples[:, int(rate * 0.7) : int(rate * 1.8)]
    for channel, (own, other) in enumerate([(CALLER_HZ, CALLED_HZ), (CALLED_HZ, CALLER_HZ)]):
        assert level(settled[channel], own, rate) > -16
        assert level(settled[channel], other, rate) < -60
    assert STARTED_AT.tzinfo is not None
