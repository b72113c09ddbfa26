"""One record in a segment: a 32-byte header and the payload.

All numbers little-endian. The checksum is CRC-32 (as zlib) of the header with its checksum field left out, then of the
payload.
`offset` is the record's own place in the journal, so that a frame can never be taken for one at another place, and so
that reading can go on behind damage. `durable` is the journal's synced length when the record was appended: a valid
frame proves by
it that everything before `durable` had been acknowledged (see `recovery`).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"CWEJ"
_HEADER = struct.Struct("<4sIIB3xQQ")
_BEFORE_CRC = struct.Struct("<4sI")
_AFTER_CRC = struct.Struct("<B3xQQ")
HEADER_BYTES = _HEADER.size
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024


class Kind(IntEnum):
    """What a record is for. Readers see `EVENT` only unless they ask for more."""

    EVENT = 0
    """For every consumer."""
    STATE = 1
    """The writer's own notes, which only it reads back."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A checked frame; `size_bytes` with its header."""

    offset: int
    kind: int
    durable: int
    payload: bytes

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + len(self.payload)


def encode(payload: bytes, *, kind: int, offset: int, durable: int) -> bytes:
    """Frame one record for its place in the journal."""
    length = len(payload)
    tail = _AFTER_CRC.pack(kind, offset, durable)
    crc = zlib.crc32(payload, zlib.crc32(tail, zlib.crc32(_BEFORE_CRC.pack(MAGIC, length))))
    return _HEADER.pack(MAGIC, length, crc, kind, offset, durable) + payload


def decode(data: bytes | memoryview, position: int, *, offset: int) -> Frame | None:
    """The frame at `position` of `data` that claims to stand at `offset` of the journal;

    None when it is torn or damaged.
    """
    if len(data) - position < HEADER_BYTES:
        return None
    magic, length, crc, kind, own_offset, durable = _HEADER.unpack_from(data, position)
    if magic != MAGIC or own_offset != offset or not 0 < length <= MAX_PAYLOAD_BYTES or durable > offset:
        return None
    start = position + HEADER_BYTES
    payload = bytes(data[start : start + length])
    if len(payload) != length:
        return None
    tail = data[position + _BEFORE_CRC.size + 4 : start]
    if crc != zlib.crc32(payload, zlib.crc32(tail, zlib.crc32(data[position : position + _BEFORE_CRC.size]))):
        return None
    return Frame(offset=own_offset, kind=kind, durable=durable, payload=payload)


def expected_bytes(header: bytes) -> int | None:
    """How many bytes the frame with this header should have in all; None when the header makes no sense."""
    if len(header) < HEADER_BYTES:
        return None
    magic, length, *_ = _HEADER.unpack_from(header, 0)
    return HEADER_BYTES + int(length) if magic == MAGIC and 0 < length <= MAX_PAYLOAD_BYTES else None
