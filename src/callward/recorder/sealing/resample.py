"""Raising the sample rate of a channel so that all channels of a master have the same (windowed sinc, polyphase)."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
TAPS = 32
"""Input samples that each output sample is made of."""


@functools.lru_cache(maxsize=32)
def _phases(up: int, down: int) -> npt.NDArray[np.float32]:
    """Filter coefficients, one row for each of the `up` positions between two input samples."""
    offsets = np.arange(TAPS) - TAPS // 2 + 1
    positions = np.arange(up)[:, None] / up - offsets[None, :]
    cutoff = min(1.0, up / down) * 0.97
    window = np.where(np.abs(positions) < TAPS / 2, np.cos(np.pi * positions / TAPS) ** 2, 0.0)
    taps = cutoff * np.sinc(cutoff * positions) * window
    filters: npt.NDArray[np.float32] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return filters


def resample(samples: Samples, from_hz: int, to_hz: int, start: int = 0, count: int | None = None) -> Samples:
    """Output samples `start` to `start + count` of the whole channel at another rate; outside of it there is silence."""
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    if count is None:
        count = -(-len(samples) * up // down) - start
    if up == down:
        return _padded(samples, start, start + count)
    taps = _phases(up, down)
    first = start * down // up - TAPS // 2 + 1
    last = (start + count - 1) * down // up + TAPS // 2 + 1
    source = _padded(samples, first, last).astype(np.float32)
    out = np.empty(count, np.float32)
    for phase in range(up):
        # Output index k uses the input around k * down / up; k of equal phase lie `up` apart, their inputs `down` apart.
        k = next((k for k in range(start, start + min(up, count)) if k * down % up == phase), None)
        if k is None:
            continue
        number = len(range(k, start + count, up))
        low = k * down // up - TAPS // 2 + 1 - first
        if down == 1:
            out[k - start :: up] = np.convolve(source[low : low + number + TAPS - 1], taps[phase][::-1], "valid")
        else:
            view = np.lib.stride_tricks.sliding_window_view(source[low:], TAPS)[::down][:number]
            out[k - start :: up] = view @ taps[phase]
    return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


def _padded(samples: Samples, low: int, high: int) -> Samples:
    inside = samples[max(low, 0) : max(high, 0)]
    before = min(max(-low, 0), high - low)
    after = high - low - before - len(inside)
    return np.pad(inside, (before, after)) if before or after else np.asarray(inside)
