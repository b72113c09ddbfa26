"""The reading side: from any offset to the synced end, and on from there as the journal grows, in any process.

A reader sees acknowledged records only: what is written but not yet synced could be another record after a power loss.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from callward.journal import frame, segment
from callward.journal.errors import OffsetGoneError
from callward.journal.frame import Kind
from callward.journal.recovery import Damage

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One acknowledged record; `next_offset` is what to store in the cursor once it has been consumed."""

    offset: int
    next_offset: int
    kind: int
    payload: bytes


class JournalReader:
    """Reads one journal in order. `offset` is where it goes on; it moves past records of other kinds too."""

    def __init__(self, folder: Path, offset: int = 0, *, kinds: Iterable[int] = (Kind.EVENT,)) -> None:
        self.folder = folder
        self.offset = offset
        self.damage: list[Damage] = []
        """Acknowledged stretches that could not be read; at most 1,000 are listed."""
        self._kinds = frozenset(int(kind) for kind in kinds)

    def journal_id(self) -> str | None:
        """The journal's id (a ULID; another one after the folder was emptied); None while there is no journal."""
        for part in reversed(segment.list_segments(self.folder)):
            with part.path.open("rb") as file:
                if (journal_id := segment.decode_header(file.read(segment.HEADER_BYTES), part.base)) is not None:
                    return journal_id
        return None

    def first_offset(self) -> int:
        """Offset of the oldest record that is still there; 0 while there is none."""
        segments = segment.list_segments(self.folder)
        return segments[0].base if segments else 0

    def read(self, limit: int = 1000) -> list[Record]:
        """Up to `limit` records from `offset` on that are acknowledged by now; an empty list: no more for the moment.

        Raises:
            OffsetGoneError: the records at `offset` have been removed.
        """
        records: list[Record] = []
        durable = segment.read_durable(self.folder)
        while self.offset < durable and len(records) < limit:
            if not self._read_chunk(durable, limit, records):
                break
        return records

    async def follow(self, poll_s: float = 0.05) -> AsyncIterator[Record]:
        """Every record from `offset` on, for ever; looks for new ones each `poll_s` seconds."""
        while True:
            records = self.read()
            for record in records:
                yield record
            if not records:
                await asyncio.sleep(poll_s)

    def _read_chunk(self, durable: int, limit: int, records: list[Record]) -> bool:
        """Take records out of one piece of one segment; False when there is nothing to read."""
        segments = segment.list_segments(self.folder)
        index = next((i for i in range(len(segments) - 1, -1, -1) if segments[i].base <= self.offset), None)
        if index is None:
            if not segments:
                return False
            raise OffsetGoneError(
                f"the records before {segments[0].base} of {self.folder} were removed; {self.offset} was asked for"
            )
        part = segments[index]
        end = min(durable, segments[index + 1].base) if index + 1 < len(segments) else durable
        self.offset = max(self.offset, part.first_record)
        if self.offset >= end:
            return index + 1 < len(segments)
        try:
            descriptor = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise OffsetGoneError(f"the records at {self.offset} of {self.folder} were just removed") from None
        try:
            self._parse(descriptor, part, end, limit, records)
        finally:
            os.close(descriptor)
        return True

    def _parse(self, descriptor: int, part: segment.Segment, end: int, limit: int, records: list[Record]) -> None:
        size = min(_CHUNK_BYTES, end - self.offset)
        data = os.pread(descriptor, size, self.offset - part.base)
        position = 0
        while self.offset < end and len(records) < limit:
            whole = frame.decode(data, position, offset=self.offset)
            if whole is None:
                if position:
                    return  # perhaps only the chunk's end: the next chunk begins at this frame
                whole = self._decode_long(descriptor, part, end)
                if whole is None:
                    self._skip_damage(descriptor, part, end)
                    return
            position += whole.size_bytes
            self.offset = whole.offset + whole.size_bytes
            if whole.kind in self._kinds:
                records.append(Record(whole.offset, self.offset, whole.kind, whole.payload))
            if position >= len(data):
                return

    def _decode_long(self, descriptor: int, part: segment.Segment, end: int) -> frame.Frame | None:
        """The frame at `offset`, read with as many bytes as its header asks for."""
        start = self.offset - part.base
        size = frame.expected_bytes(os.pread(descriptor, frame.HEADER_BYTES, start))
        if size is None or self.offset + size > end:
            return None
        return frame.decode(os.pread(descriptor, size, start), 0, offset=self.offset)

    def _skip_damage(self, descriptor: int, part: segment.Segment, end: int) -> None:
        """Go on at the next valid frame of the segment, or at its end."""
        data = os.pread(descriptor, end - part.base, 0)
        found = segment.find_frame(data, self.offset - part.base + 1, part.base)
        following = found.offset if found is not None else end
        if len(self.damage) < 1000:
            self.damage.append(Damage(self.offset, following))
        self.offset = following
