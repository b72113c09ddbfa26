"""Where each packet of a track belongs in time.

Theory of operation. RTP timestamps say exactly how the packets of one sender follow each other, arrival times say when, on our own
clock, which all parties share. So:

1. Packets are split into *epochs*: another SSRC, a jump of the sequence or of the timestamp, another clock rate. Inside an epoch
   sequence and timestamp are extended beyond their 16 and 32 bits, packets are put in order and copies of a packet are dropped.
2. `arrival - timestamp / clock` of a packet is the time base of its sender plus what the network held it back. The least of it over
   some seconds is steady; where it steps and stays there (a sender that stopped its clock on hold), the epoch is cut into *segments*.
3. A segment is anchored at that least value. Over a long call it follows the sender's drifting clock, so that the channels of a call
   stay together; a sender without drift is placed without any correction, sample by sample as it sent them.

Times are float seconds after the track's first arrival, which keeps them far below a microsecond for weeks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SEQUENCE_JUMP = 3000
"""RFC 3550 appendix A.1 (MAX_DROPOUT): a larger step is a restart."""
TIMESTAMP_AHEAD_S = 1.0
"""A timestamp this far ahead of the time that has passed is a jump."""
TIMESTAMP_BACK_S = 0.3
"""Packets overtake each other by less than this; a sender whose clock went back further began anew."""
RECENT_PACKETS = 200
RETURN_PACKETS = 12
"""Among so many packets after one that came very late there is one that is in time again."""
STEP_S = 0.08
"""A time base that moved by so much and stays moved has stepped; drift and jitter do not do that."""
STEP_SUSPECT_S = 0.06
STEP_PACKETS = 100
STEP_PACKETS_MIN = 25
"""With fewer packets the least delay is not known well: then only a step of `STEP_FEW_S` counts."""
STEP_FEW_S = 0.5
ANCHOR_WINDOW_S = 10.0
ANCHOR_PACKETS_MIN = 20
DRIFT_MIN_S = 0.01
"""Less than this over a whole segment is left alone."""
LATE_MAX_S = 10.0
CLOCK_ERROR_MAX = 0.02
SEGMENTS_MAX = 5000
"""A sender that jumps more often is placed by arrival from there on."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Packets of one sender on one time base, in order. `rows` index the packet table."""

    ssrc: int
    rows: Ints
    sequence: Ints
    """Extended; continues over segments of the same epoch."""
    starts_s: Floats
    """Where each packet's first sample belongs."""
    epoch: int
    drift_corrected: bool = False
    clock_corrected: bool = False
    """The announced clock rate was wrong; the measured one was used."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """All audio packets of a track. Segments in the order of their start."""

    segments: list[Segment]
    duplicates: int
    reordered: int
    sources: list[int]


def build(
    arrival_ns: Ints,
    timestamp: npt.NDArray[np.uint32],
    ssrc: npt.NDArray[np.uint32],
    sequence: npt.NDArray[np.uint16],
    clock_hz: Ints,
    content: Ints,
) -> Timeline:
    """Place packets given in the order of their arrival.

    `clock_hz` is the RTP clock of each packet; `content` tells copies from others (equal for packets with equal payload).
    """
    if not len(arrival_ns):
        return Timeline([], 0, 0, [])
    arrival_s = (arrival_ns - arrival_ns[0]) / 1e9
    segments: list[Segment] = []
    duplicates = reordered = epoch = 0
    sources, first_seen = np.unique(ssrc, return_index=True)
    sources = sources[np.argsort(first_seen)]
    for source in sources[:SEGMENTS_MAX].tolist():
        rows = np.flatnonzero(ssrc == source) if len(sources) > 1 else np.arange(len(ssrc))
        for part in _epochs(rows, arrival_s, timestamp, sequence, clock_hz):
            clock = int(clock_hz[part[0]])
            extended = _extend(sequence[part].astype(np.int64), 1 << 16)
            ticks = _extend(timestamp[part].astype(np.int64), 1 << 32)
            reordered += int(np.count_nonzero(np.diff(extended) < 0))
            order = np.argsort(extended, kind="stable")
            extended, ticks, part = extended[order], ticks[order], part[order]
            copies = np.zeros(len(part), bool)
            copies[1:] = (np.diff(extended) == 0) & (np.diff(ticks) == 0) & (np.diff(content[part]) == 0)
            duplicates += int(np.count_nonzero(copies))
            keep = ~copies
            segments += _segments(source, part[keep], extended[keep], ticks[keep], arrival_s, clock, epoch)
            epoch += 1
    rest = np.isin(ssrc, sources[SEGMENTS_MAX:])
    if rest.any():
        rows = np.flatnonzero(rest)
        segments.append(Segment(0, rows, np.arange(len(rows)), arrival_s[rows], epoch))
    segments.sort(key=lambda segment: float(segment.starts_s[0]))
    return Timeline(segments, duplicates, reordered, sources.tolist())


def _extend(values: Ints, modulus: int) -> Ints:
    """Undo the wrap of a counter: each value is the one nearest to its predecessor."""
    half = modulus // 2
    steps = (np.diff(values) + half) % modulus - half
    extended = np.empty(len(values), np.int64)
    extended[0] = values[0]
    np.cumsum(steps, out=extended[1:])
    extended[1:] += values[0]
    return extended


def _epochs(
    rows: Ints,
    arrival_s: Floats,
    timestamp: npt.NDArray[np.uint32],
    sequence: npt.NDArray[np.uint16],
    clock_hz: Ints,
) -> list[Ints]:
    """Cut one sender's packets (order of arrival) where its counters begin anew."""
    if len(rows) < 2:
        return [rows]
    sequence_step = np.diff(sequence[rows].astype(np.int64)).astype(np.int16).astype(np.int64)
    ticks_step = np.diff(timestamp[rows].astype(np.int64)).astype(np.int32)
    clocks = clock_hz[rows]
    step_s = ticks_step / clocks[1:]
    passed_s = np.diff(arrival_s[rows])
    jump = (np.abs(sequence_step) > SEQUENCE_JUMP) | (np.diff(clocks) != 0)
    suspects = (step_s < -TIMESTAMP_BACK_S) | (step_s - passed_s > TIMESTAMP_AHEAD_S)
    sent_s = np.append(0.0, np.cumsum(step_s))
    cuts: list[int] = []
    last = 0
    for index in (np.flatnonzero(jump | suspects) + 1).tolist():
        if len(cuts) >= SEGMENTS_MAX:
            break
        if not jump[index - 1] and not _began_anew(sent_s, passed_s, last, index):
            continue
        cuts.append(index)
        last = index
    return np.split(rows, cuts)


def _began_anew(sent_s: Floats, passed_s: Floats, last: int, index: int) -> bool:
    """Whether a sender's clock has jumped for good, or packets only came very late."""
    latest = float(sent_s[max(last, index - RECENT_PACKETS) : index].max())
    if sent_s[index] < latest:
        return float(sent_s[index : index + RETURN_PACKETS].max()) < latest - TIMESTAMP_BACK_S / 2
    return float(sent_s[index] - latest - passed_s[index - 1]) > TIMESTAMP_AHEAD_S


def _segments(
    ssrc: int, rows: Ints, extended: Ints, ticks: Ints, arrival_s: Floats, clock_hz: int, epoch: int
) -> list[Segment]:
    relative = ticks - ticks[0]
    arrivals = arrival_s[rows]
    clock, corrected = _true_clock(relative, arrivals, clock_hz)
    sent_s = relative / clock
    base = arrivals - sent_s
    found = []
    cuts = _steps(base)
    for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        part = slice(low, high)
        anchor, drifts = _anchor(base[part], arrivals[part])
        starts = sent_s[part] + anchor
        # No network holds a packet for so long: its timestamp means nothing.
        starts = np.where(starts < arrivals[part] - LATE_MAX_S, arrivals[part], starts)
        found.append(Segment(ssrc, rows[part], extended[part], starts, epoch, drifts, corrected))
    return found


def _true_clock(ticks: Ints, arrivals: Floats, clock_hz: int) -> tuple[float, bool]:
    """The clock rate by which the sender really counts: some announce another one."""
    if len(ticks) < 250:
        return clock_hz, False
    base = arrivals - ticks / clock_hz
    first, last = int(np.argmin(base[:50])), len(ticks) - 50 + int(np.argmin(base[-50:]))
    passed = arrivals[last] - arrivals[first]
    if passed < 5.0:
        return clock_hz, False
    measured = (ticks[last] - ticks[first]) / passed
    if measured < 1000 or abs(measured / clock_hz - 1) <= CLOCK_ERROR_MAX:
        return clock_hz, False
    # Only a steady other rate is another clock; a sender that stops its clock on hold is a matter of steps.
    middle = len(ticks) // 2
    one = (ticks[middle] - ticks[0]) / max(arrivals[middle] - arrivals[0], 0.1)
    two = (ticks[-1] - ticks[middle]) / max(arrivals[-1] - arrivals[middle], 0.1)
    if two <= 0 or abs(one / two - 1) > CLOCK_ERROR_MAX:
        return clock_hz, False
    for usual in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 90000):
        if abs(measured / usual - 1) <= CLOCK_ERROR_MAX:
            return usual, True
    return float(measured), True


def _steps(base: Floats) -> list[int]:
    """Indices at which the time base has moved for good."""
    moves = np.diff(base)
    suspects = (np.flatnonzero(np.abs(moves) > STEP_SUSPECT_S) + 1).tolist()
    cuts: list[int] = []
    last = 0
    for index in suspects:
        if index <= last or len(cuts) >= SEGMENTS_MAX:
            continue
        before = base[max(last, index - STEP_PACKETS) : index]
        after = base[index : index + STEP_PACKETS]
        moved = float(after.min() - before.min())
        enough = min(len(before), len(after)) >= STEP_PACKETS_MIN
        if abs(moved) < (STEP_S if enough else STEP_FEW_S):
            continue
        if moved < 0:  # the least value lies ahead: the step is where the base falls most
            index += int(np.argmin(moves[index - 1 : index - 1 + STEP_PACKETS]))
            if index <= last:
                continue
        cuts.append(index)
        last = index
    return cuts


def _anchor(base: Floats, arrivals: Floats) -> tuple[Floats | float, bool]:
    """What to add to a packet's sending time to get our time, and whether it follows a drift."""
    windows = ((arrivals - arrivals[0]) / ANCHOR_WINDOW_S).astype(np.int64)
    if len(base) < 3 * ANCHOR_PACKETS_MIN or windows.max() < 3:
        return float(base.min()), False
    order = np.argsort(windows, kind="stable")
    starts = np.flatnonzero(np.diff(windows[order], prepend=-1))
    counts = np.diff(np.append(starts, len(base)))
    least = np.minimum.reduceat(base[order], starts)
    centre = (windows[order][starts] + 0.5) * ANCHOR_WINDOW_S + arrivals[0]
    good = counts >= ANCHOR_PACKETS_MIN
    least, centre = least[good], centre[good]
    if len(least) < 3:
        return float(base.min()), False
    padded = np.pad(least, 1, mode="edge")
    smooth = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    if float(smooth.max() - smooth.min()) < DRIFT_MIN_S:
        return float(np.median(smooth)), False
    return _interpolate(arrivals, centre, smooth), True


def _interpolate(at: Floats, centre: Floats, value: Floats) -> Floats:
    """Between window centres, and on along the first and last slope outside of them."""
    inside = np.interp(at, centre, value)
    head = (value[1] - value[0]) / (centre[1] - centre[0])
    tail = (value[-1] - value[-2]) / (centre[-1] - centre[-2])
    limit = 1e-3  # no crystal is worse than 1,000 ppm; a steeper end is noise of the first windows
    before, after = at < centre[0], at > centre[-1]
    inside[before] += (at[before] - centre[0]) * np.clip(head, -limit, limit)
    inside[after] += (at[after] - centre[-1]) * np.clip(tail, -limit, limit)
    return inside
