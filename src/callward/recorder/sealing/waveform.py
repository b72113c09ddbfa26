"""The waveform of a master (`CWPEAKS1`, docs/reference/sealing.md) and the levels of its channels."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

MAGIC = b"CWPEAKS1"
PEAKS_PER_SECOND = 100
HEADER = struct.Struct("<8sHHIQQ")
"""Magic, channels, points per second, sample rate, points a channel, samples a channel."""
QUIET = 64
"""A hundredth of a second that stays below this (-54 dBFS) is silence: comfort noise and the idle codes of G.711 do."""

Samples = npt.NDArray[np.int16]
Peaks = npt.NDArray[np.int8]


class PeaksError(Exception):
    """The stored waveform cannot be read."""


class ChannelMeter:
    """Takes a channel's samples block by block; blocks but the last are whole hundredths of a second."""

    def __init__(self, rate_hz: int) -> None:
        self._step = rate_hz // PEAKS_PER_SECOND
        self._minimum: list[Samples] = []
        self._maximum: list[Samples] = []
        self._power = 0.0
        self._loud_steps = 0

    def add(self, samples: Samples) -> None:
        """Measure a block."""
        rest = -len(samples) % self._step
        steps = (np.pad(samples, (0, rest)) if rest else samples).reshape(-1, self._step)
        low, high = steps.min(axis=1), steps.max(axis=1)
        self._minimum.append(low)
        self._maximum.append(high)
        loud = (high >= QUIET) | (low <= -QUIET)
        count = int(np.count_nonzero(loud))
        if count:
            self._loud_steps += count
            heard = (steps if count == len(loud) else steps[loud]).astype(np.float32).reshape(-1)
            self._power += float(np.dot(heard, heard))

    @property
    def silent(self) -> bool:
        """Nobody was heard: less than a twentieth of a second above the threshold in all."""
        return self._loud_steps < PEAKS_PER_SECOND // 20

    @property
    def level_dbfs(self) -> float | None:
        """Level of the parts in which something is heard, in dB below a full-scale square wave; None: silent."""
        if self.silent or not self._power:
            return None
        mean = self._power / (self._loud_steps * self._step)
        return round(float(10 * np.log10(mean / 32768**2)), 1)

    @property
    def loud_ms(self) -> int:
        """How long something is heard."""
        return self._loud_steps * 1000 // PEAKS_PER_SECOND

    def peaks(self) -> Peaks:
        """Minimum and maximum of each hundredth of a second, in turn, -127..127 (any sound at all is at least 1)."""
        if not self._minimum:
            return np.zeros(0, np.int8)
        pairs = np.stack([np.concatenate(self._minimum), np.concatenate(self._maximum)], axis=1).astype(np.float32)
        scaled = np.sign(pairs) * np.ceil(np.abs(pairs) * (127 / 32768))
        return scaled.astype(np.int8).reshape(-1)


def pack(channels: list[Peaks], rate_hz: int, samples: int) -> bytes:
    """The waveform as it is stored."""
    points = len(channels[0]) // 2 if channels else 0
    header = HEADER.pack(MAGIC, len(channels), PEAKS_PER_SECOND, rate_hz, points, samples)
    return header + b"".join(channel.tobytes() for channel in channels)


def unpack(data: bytes) -> tuple[list[Peaks], int, int]:
    """Channels, sample rate and samples a channel of a stored waveform. Raises PeaksError."""
    if len(data) < HEADER.size:
        raise PeaksError("the waveform is cut")
    magic, channels, _, rate_hz, points, samples = HEADER.unpack_from(data)
    if magic != MAGIC or len(data) != HEADER.size + channels * points * 2:
        raise PeaksError("the waveform is no CWPEAKS1 file")
    body = np.frombuffer(data, np.int8, offset=HEADER.size).reshape(channels, points * 2)
    return list(body), rate_hz, samples


def overview(channel: Peaks, points: int) -> list[int]:
    """Minimum and maximum in turn, of at most `points` equal parts of a channel."""
    pairs = channel.reshape(-1, 2)
    step = max(1, -(-len(pairs) // max(points, 1)))
    if not len(pairs):
        return []
    starts = np.arange(0, len(pairs), step)
    low = np.minimum.reduceat(pairs[:, 0], starts)
    high = np.maximum.reduceat(pairs[:, 1], starts)
    return [int(value) for value in np.stack([low, high], axis=1).reshape(-1)]
