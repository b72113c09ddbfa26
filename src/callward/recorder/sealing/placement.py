"""From instants to sample positions: nothing overlaps, nothing is lost, gaps keep their length.

Packets of one sender that follow each other by their sequence touch each other exactly. What a later packet would overwrite is pushed
back instead, and the next gap takes the push in again. Two senders that really talk at the same time in one track (a collision, early
media beside the answer) get layers of their own, which are added up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from callward.recorder.sealing.timeline import Floats, Ints, Segment

OVERLAP_S = 0.25
"""Senders that take turns may overlap by so much; more is simultaneous."""
LAYERS_MAX = 8
SLIP_SHARE = 20
"""A packet may be shortened or followed by a hole of 1/20 of its length to follow a drifting clock."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Packets in order; `starts` in samples after the track's first arrival (may be negative), `counts` samples each.

    `sequence` and `epoch` say which packets follow each other; `rows` index the packet table.
    """

    rows: Ints
    starts: Ints
    counts: Ints
    sequence: Ints
    epoch: Ints

    @property
    def ends(self) -> Ints:
        return self.starts + self.counts


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a layer has no audio: between packet `index` and the next one."""

    index: int
    start: int
    samples: int
    same_epoch: bool
    missing: int
    """Sequence numbers between both packets, whatever they were for; 0 over an epoch's end."""


def layers(segments: list[Segment], counts: Ints, rate_hz: int) -> list[Layer]:
    """Give every packet its samples. `counts`: samples of each packet by its row; packets without samples are left out."""
    taken: list[list[Segment]] = []
    ends: list[float] = []
    for segment in segments:
        start = float(segment.starts_s[0])
        end = float(segment.starts_s.max()) + float(counts[segment.rows[-1]]) / rate_hz
        free = [index for index, layer_end in enumerate(ends) if layer_end <= start + OVERLAP_S]
        if free:
            index = free[0]
        else:
            index = len(ends) if len(ends) < LAYERS_MAX else int(np.argmin(ends))
        if index == len(ends):
            ends.append(end)
            taken.append([segment])
        else:
            ends[index] = max(end, ends[index])
            taken[index].append(segment)
    return [layer for group in taken if (layer := _layer(group, counts, rate_hz)) is not None]


def _layer(segments: list[Segment], counts: Ints, rate_hz: int) -> Layer | None:
    rows = np.concatenate([segment.rows for segment in segments])
    starts_s = np.concatenate([segment.starts_s for segment in segments])
    sequence = np.concatenate([segment.sequence for segment in segments])
    epoch = np.concatenate([np.full(len(segment.rows), segment.epoch) for segment in segments])
    number = np.concatenate([np.full(len(s.rows), i) for i, s in enumerate(segments)])
    lengths = counts[rows]
    has = lengths > 0
    if not has.any():
        return None
    rows, starts_s, sequence, epoch, lengths, number = (
        part[has] for part in (rows, starts_s, sequence, epoch, lengths, number)
    )
    wanted = _round(starts_s, number, rate_hz)
    steps = np.diff(wanted)
    over = lengths[:-1] - steps
    follows = (np.diff(sequence) == 1) & (np.diff(number) == 0)
    slip = follows & (over > 0) & (over <= np.maximum(2, lengths[:-1] // SLIP_SHARE))
    lengths[:-1][slip] -= over[slip]
    order = np.argsort(wanted, kind="stable")
    rows, wanted, sequence, epoch, lengths = (part[order] for part in (rows, wanted, sequence, epoch, lengths))
    before = np.cumsum(lengths) - lengths
    starts = before + np.maximum.accumulate(wanted - before)
    return Layer(rows, starts, lengths, sequence, epoch)


def _round(starts_s: Floats, number: Ints, rate_hz: int) -> Ints:
    """Whole samples, such that the steps inside a segment without drift are exact."""
    wanted = np.empty(len(starts_s), np.int64)
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    for low, high in zip(firsts.tolist(), [*firsts[1:].tolist(), len(number)], strict=True):
        part = starts_s[low:high]
        wanted[low:high] = np.rint((part - part[0]) * rate_hz).astype(np.int64) + round(float(part[0]) * rate_hz)
    return wanted


def holes(layer: Layer) -> list[Hole]:
    """The places between packets where samples are missing, longer than a slip of the clock."""
    ends = layer.ends
    space = layer.starts[1:] - ends[:-1]
    sequence_step = np.diff(layer.sequence)
    same = np.diff(layer.epoch) == 0
    slip = same & (sequence_step == 1) & (space <= np.maximum(2, layer.counts[:-1] // SLIP_SHARE))
    found = []
    for index in np.flatnonzero((space > 0) & ~slip).tolist():
        missing = max(0, int(sequence_step[index]) - 1) if same[index] else 0
        found.append(Hole(index, int(ends[index]), int(space[index]), bool(same[index]), missing))
    return found


def slips(layer: Layer) -> npt.NDArray[np.int64]:
    """For each packet the samples to add at its end so that the next one touches it (a drifting clock)."""
    added = np.zeros(len(layer.rows), np.int64)
    space = layer.starts[1:] - layer.ends[:-1]
    same = (np.diff(layer.epoch) == 0) & (np.diff(layer.sequence) == 1)
    small = same & (space > 0) & (space <= np.maximum(2, layer.counts[:-1] // SLIP_SHARE))
    added[:-1][small] = space[small]
    return added
