"""The master: the channels of all tracks, aligned by arrival time, encoded into one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from callward.media.codec_process import CodecPool
from callward.recorder.sealing import ogg
from callward.recorder.sealing.resample import resample
from callward.recorder.sealing.track import LaidOutTrack
from callward.recorder.sealing.waveform import ChannelMeter

Samples = npt.NDArray[np.int16]
MasterCodec = Literal["opus", "flac"]

BLOCK_S = 10
FLAC_CHANNELS_MAX = 8
"""FLAC has no more; a recording of nine parties and more is stored as Opus whatever the setting says."""
OPUS_CHANNELS_MAX = 255
RATES_HZ = (8000, 16000, 48000)
"""Opus has no 44.1 kHz; a channel of another rate is raised to the next one of these."""


@dataclass(frozen=True, slots=True)
class MasterFile:
    """An encoded master. `started_at_ns` is the instant of its first sample."""

    path: Path
    codec: MasterCodec
    media_type: str
    channels: int
    sample_rate_hz: int
    samples: int
    started_at_ns: int
    size_bytes: int
    sha256: str
    meters: list[ChannelMeter]

    @property
    def duration_ms(self) -> int:
        return round(self.samples * 1000 / self.sample_rate_hz)


def channel_of(index: int) -> int:
    """Channel of the n-th track: one each; what is above 255 shares the last one."""
    return min(index, OPUS_CHANNELS_MAX - 1)


def encode_master(
    tracks: Sequence[LaidOutTrack], path: Path, codec: MasterCodec, opus_bitrate: int, codecs: CodecPool
) -> MasterFile:
    """Encode the tracks, the n-th on channel n, into `path`. Raises CodecError, OSError, ogg.OggHeadError."""
    channels = min(len(tracks), OPUS_CHANNELS_MAX)
    used: MasterCodec = "opus" if channels > FLAC_CHANNELS_MAX else codec
    highest = max(track.rate_hz for track in tracks)
    rate = next((rate for rate in RATES_HZ if rate >= highest), RATES_HZ[-1])
    heard = [track for track in tracks if len(track.samples)]
    started_ns = min(track.start_ns for track in heard)
    offsets = [round((track.start_ns - started_ns) * rate / 1e9) for track in tracks]
    total = max(
        offset + -(-len(track.samples) * rate // track.rate_hz)
        for track, offset in zip(tracks, offsets, strict=True)
        if len(track.samples)
    )
    meters = [ChannelMeter(rate) for _ in range(channels)]
    blocks = _blocks(tracks, offsets, rate, total, channels, meters)
    with path.open("w+b") as file:
        with codecs.worker() as worker:
            worker.encode(_job(used, rate, channels, opus_bitrate), blocks, file)
        if used == "opus" and channels == 2:
            ogg.use_family_1(file)
        file.flush()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    media_type = "audio/ogg" if used == "opus" else "audio/flac"
    size = path.stat().st_size
    return MasterFile(path, used, media_type, channels, rate, total, started_ns, size, digest, meters)


def _job(codec: MasterCodec, rate: int, channels: int, opus_bitrate: int) -> dict[str, Any]:
    job: dict[str, Any] = {"rate_hz": rate, "channels": channels}
    if codec == "flac":
        # Large frames: at 8 kHz the encoder's own choice are 24 ms, which costs four times the processor.
        return {**job, "container": "flac", "codec": "flac", "options": {"frame_size": "4096"}}
    options = {
        "application": "audio",
        "frame_duration": "60",
        "compression_level": "0",
        "vbr": "on",
    }
    if channels > 1:
        options["mapping_family"] = "255"
    return {**job, "container": "ogg", "codec": "libopus", "options": options, "bit_rate": opus_bitrate * channels}


def _blocks(
    tracks: Sequence[LaidOutTrack],
    offsets: list[int],
    rate: int,
    total: int,
    channels: int,
    meters: list[ChannelMeter],
) -> Iterator[Samples]:
    for low in range(0, total, rate * BLOCK_S):
        high = min(total, low + rate * BLOCK_S)
        block = np.zeros((high - low, channels), np.int16)
        planes: list[Samples | None] = [None] * channels
        for index, (track, offset) in enumerate(zip(tracks, offsets, strict=True)):
            if not len(track.samples):
                continue
            channel = channel_of(index)
            plane = _part(track, rate, low - offset, high - offset)
            earlier = planes[channel]
            if earlier is not None:
                plane = np.clip(earlier.astype(np.int32) + plane, -32768, 32767).astype(np.int16)
            planes[channel] = plane
        for channel, heard in enumerate(planes):
            samples = np.zeros(high - low, np.int16) if heard is None else heard
            meters[channel].add(samples)
            block[:, channel] = samples
        yield block.reshape(-1)


def _part(track: LaidOutTrack, rate: int, low: int, high: int) -> Samples:
    """Samples [low, high) of a track at the master's rate, with silence outside of it."""
    if track.rate_hz != rate:
        return resample(track.samples, track.rate_hz, rate, low, high - low)
    inside = track.samples[max(low, 0) : max(high, 0)]
    before = min(max(-low, 0), high - low)
    if len(inside) == high - low:
        return np.asarray(inside)
    return np.pad(inside, (before, high - low - before - len(inside)))
