"""Finding the end of a journal after a crash.

Only the last segment can have a torn tail: a segment is synced before the next one is created. In it, bytes that are
no valid frame are a
*torn tail* when nothing proves that they had been acknowledged; then they are cut, with whatever stands behind them,
because records are acknowledged in order.
They are *damage* when there is such a proof: the `durable` file, a consumer's cursor, or a later valid frame that was
appended when the journal was already synced beyond them. Damage is never cut: reading goes on behind it, and it is
reported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from callward.journal import cursor, frame, segment


@dataclass(frozen=True, slots=True)
class Damage:
    """Acknowledged bytes from `start` to `end` (offsets) that cannot be read any more."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """The state of a journal's files after recovery. `last` is None for a new journal."""

    journal_id: str | None
    last: segment.Segment | None
    end: int
    """Offset for the next record; everything before is durable."""
    cut_bytes: int = 0
    damage: list[Damage] = field(default_factory=list)
    fresh_segment: bool = False
    """The next record begins a segment of its own at `end`: acknowledged bytes before it are missing."""


def recover(folder: Path) -> Recovered:
    """Cut a torn tail and say where the journal ends. The caller holds the writer's lock."""
    segments = segment.list_segments(folder)
    journal_id = _journal_id(segments)
    known = segment.read_durable(folder)
    for state in cursor.consumers(folder).values():
        if state.journal_id == journal_id:
            known = max(known, state.offset)
    cut_bytes = 0
    if segments and _is_unborn(segments[-1]):
        cut_bytes += segments[-1].path.stat().st_size
        segments[-1].path.unlink()
        segment.sync_folder(folder)
        segments.pop()
    if not segments:
        return Recovered(journal_id, None, known if journal_id else 0, cut_bytes)
    last = segments[-1]
    data = last.path.read_bytes()
    end, damage = _find_end(data, last.base, known)
    cut_bytes += max(0, len(data) - end)
    descriptor = os.open(last.path, os.O_RDWR)
    try:
        if end < len(data):
            os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    segment.sync_folder(folder)
    offset = last.base + end
    if known > offset:
        damage.append(Damage(offset, known))
        return Recovered(journal_id, last, known, cut_bytes, damage, fresh_segment=True)
    return Recovered(journal_id, last, offset, cut_bytes, damage, fresh_segment=end < segment.HEADER_BYTES)


def _journal_id(segments: list[segment.Segment]) -> str | None:
    for part in reversed(segments):
        with part.path.open("rb") as file:
            if (journal_id := segment.decode_header(file.read(segment.HEADER_BYTES), part.base)) is not None:
                return journal_id
    return None


def _is_unborn(part: segment.Segment) -> bool:
    """Created when the crash came: no whole header, and no record behind it either."""
    data = part.path.read_bytes()
    return segment.decode_header(data, part.base) is None and segment.find_frame(data, 0, part.base) is None


def _find_end(data: bytes, base: int, known: int) -> tuple[int, list[Damage]]:
    """Position behind the last record to keep, and the damage before it.

    `known`: offset below which all was acknowledged.
    """
    gaps: list[tuple[int, int]] = []
    proven = known
    position = min(segment.HEADER_BYTES, len(data))
    while position < len(data):
        whole = frame.decode(data, position, offset=base + position)
        if whole is None:
            whole = segment.find_frame(data, position + 1, base)
            if whole is None:
                break
            gaps.append((position, whole.offset - base))
        proven = max(proven, whole.durable)
        position = whole.offset - base + whole.size_bytes
    damage: list[Damage] = []
    for start, end in gaps:
        if base + start >= proven:
            return start, damage
        damage.append(Damage(base + start, base + end))
    return position, damage
