"""Gaps of a track: places where audio was sent and did not arrive, or could not be kept. Silence of a sender is no gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from callward.media.track_file import TrackFile, TrackMark
from callward.recorder.sealing import placement
from callward.recorder.sealing.placement import Hole, Layer

GAPS_MAX = 1000
NEIGHBOURS = 300
"""Packets before and after a hole among which telephone events are looked for that explain missing sequence numbers."""


@dataclass(frozen=True, slots=True)
class Gap:
    """`why`: `lost` (network), `restart`, `overflow` or `missing` (our own journal), `paused` (asked for; no fault)."""

    at_ms: int
    """After the track's first sample."""
    length_ms: int
    packets: int
    """Sequence numbers that never came; 0 when unknown."""
    why: str

    @property
    def is_fault(self) -> bool:
        return self.why != "paused"


def find_gaps(track: TrackFile, layer: Layer, start_ns: int, rate_hz: int) -> list[Gap]:
    """The gaps of the track's main layer, at most 1,000."""
    first = int(layer.starts[0])
    found = []
    for hole in placement.holes(layer):
        begin_ns = start_ns + (hole.start - first) * 1_000_000_000 // rate_hz
        end_ns = begin_ns + hole.samples * 1_000_000_000 // rate_hz
        why, missing = _reason(track, layer, hole, begin_ns, end_ns)
        if why is None:
            continue
        at_ms = (hole.start - first) * 1000 // rate_hz
        found.append(Gap(at_ms, round(hole.samples * 1000 / rate_hz), missing, why))
        if len(found) >= GAPS_MAX:
            break
    return found


def _reason(track: TrackFile, layer: Layer, hole: Hole, begin_ns: int, end_ns: int) -> tuple[str | None, int]:
    marks = [mark for mark in track.header.marks if begin_ns - 200_000_000 <= mark.at_ns <= end_ns + 200_000_000]
    for why in ("restart", "overflow", "missing"):
        if any(mark.kind == why for mark in marks):
            return why, hole.missing
    if _paused(track.header.marks, begin_ns, end_ns):
        return "paused", 0
    missing = hole.missing - _explained(track, layer, hole)
    return ("lost", missing) if missing > 0 else (None, 0)


def _paused(marks: list[TrackMark], begin_ns: int, end_ns: int) -> bool:
    """A pause began in the hole, or it lasts through it. The marks' times and the packets' differ by some packets."""
    slack = 200_000_000
    return any(mark.kind in ("pause", "resume") and begin_ns - slack <= mark.at_ns <= end_ns + slack for mark in marks)


def _explained(track: TrackFile, layer: Layer, hole: Hole) -> int:
    """How many of the missing sequence numbers were other packets: telephone events, unknown payload types."""
    if not hole.missing:
        return 0
    before, after = int(layer.rows[hole.index]), int(layer.rows[hole.index + 1])
    low, high = min(before, after), max(before, after)
    near = track.packets[max(0, low - NEIGHBOURS) : high + NEIGHBOURS]
    sequence = track.packets["sequence"][before]
    ssrc = track.packets["ssrc"][before]
    distance = (near["sequence"].astype(np.int64) - int(sequence)) % (1 << 16)
    inside = (distance > 0) & (distance <= hole.missing) & (near["ssrc"] == ssrc)
    return len(np.unique(near["sequence"][inside]))
