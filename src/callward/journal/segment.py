"""Segment files: `<first offset, 20 digits>.segment`, a 64-byte header, then frames.

An offset counts every byte of the journal since its first, headers included; a segment begins at the offset where the
one before it ended.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from callward.journal import frame

_MAGIC = b"CWEVENTS"
_FORMAT = 1
_HEADER = struct.Struct("<8sI26sQ14xI")
HEADER_BYTES = _HEADER.size
SUFFIX = ".segment"
DURABLE_FILE = "durable"
_DURABLE = struct.Struct("<QI")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment file. `base` is the journal offset of its first byte."""

    path: Path
    base: int

    @property
    def first_record(self) -> int:
        """Offset of the first record."""
        return self.base + HEADER_BYTES


def path_of(folder: Path, base: int) -> Path:
    """Where the segment that begins at `base` lives."""
    return folder / f"{base:020d}{SUFFIX}"


def list_segments(folder: Path) -> list[Segment]:
    """All segments, oldest first. Files with other names are left alone."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    bases = sorted(
        int(name[:20]) for name in names if len(name) == 28 and name.endswith(SUFFIX) and name[:20].isdigit()
    )
    return [Segment(path_of(folder, base), base) for base in bases]


def encode_header(journal_id: str, base: int) -> bytes:
    """The first 64 bytes of a segment."""
    body = _HEADER.pack(_MAGIC, _FORMAT, journal_id.encode("ascii"), base, 0)[:-4]
    return body + struct.pack("<I", zlib.crc32(body))


def decode_header(data: bytes, base: int) -> str | None:
    """The journal's id, or None when the header is torn, damaged, or of another place."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, journal_id, own_base, crc = _HEADER.unpack_from(data, 0)
    if magic != _MAGIC or version != _FORMAT or own_base != base or crc != zlib.crc32(data[: HEADER_BYTES - 4]):
        return None
    text: str = journal_id.decode("ascii", "replace")
    return text


def find_frame(data: bytes, position: int, base: int) -> frame.Frame | None:
    """The first valid frame at or behind `position` of a segment's bytes: reading goes on there after damage."""
    while (found := data.find(frame.MAGIC, position)) >= 0:
        if (whole := frame.decode(data, found, offset=base + found)) is not None:
            return whole
        position = found + 1
    return None


def read_durable(folder: Path) -> int:
    """The synced length of the journal as its writer last told; 0 when it never did."""
    for _ in range(100):
        try:
            data = (folder / DURABLE_FILE).read_bytes()
        except FileNotFoundError:
            return 0
        if len(data) == _DURABLE.size:
            value, crc = _DURABLE.unpack(data)
            if crc == zlib.crc32(data[:8]):
                return int(value)
    return 0


def encode_durable(value: int) -> bytes:
    """What the `durable` file holds."""
    body = struct.pack("<Q", value)
    return body + struct.pack("<I", zlib.crc32(body))


def sync_folder(folder: Path) -> None:
    """Make created and removed names of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
