"""The pipe between a process and its codec worker: framed messages, little-endian, bounded.

A message is `u32 length`, `u8 kind`, then `length` bytes. The parent sends one job at a time:

- `JOB` (JSON), then for `decode`: `PACKETS`, each answered by `PCM`; for `encode`: `PCM`, each answered by any `WRITE` and one `MORE`;
  then `END`, answered by `DONE` (JSON).
- `transcode`: the child asks for its input by `READ` (answered by `DATA`) and sends `OUTPUT` (answered by `MORE`, so that a slow
  listener slows it down), then `DONE`.
- `FAILED` (text) ends a job; the child can take the next one.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import BinaryIO

import numpy as np

HEADER = struct.Struct("<IB")
MESSAGE_MAX_BYTES = 64 << 20


class Kind(IntEnum):
    """What a message is."""

    JOB = 1
    PACKETS = 2
    """u32 count, count times u16 length, then the payloads."""
    PCM = 3
    """From the parent: interleaved s16 samples. From the child: u32 count, count times (i32 samples, u8 `Decoded`), s16 samples."""
    END = 4
    WRITE = 5
    """u64 position in the output file, then the bytes."""
    MORE = 6
    READ = 7
    """u64 position, u32 length."""
    DATA = 8
    OUTPUT = 9
    DONE = 10
    FAILED = 11


class Decoded(IntEnum):
    """What became of a packet."""

    AUDIO = 0
    UNDECODABLE = 1
    COMFORT_NOISE = 2
    """A SID frame of a codec that has no comfort noise of its own here (G.729); no samples."""


RESULT = np.dtype([("samples", "<i4"), ("decoded", "u1")])


class PipeClosedError(Exception):
    """The other side is gone."""


def send(pipe: BinaryIO, kind: Kind, payload: bytes | memoryview = b"") -> None:
    """Write one message; raises PipeClosedError."""
    try:
        pipe.write(HEADER.pack(len(payload), kind))
        if payload:
            pipe.write(payload)
        pipe.flush()
    except (BrokenPipeError, ValueError, OSError) as error:
        raise PipeClosedError("the codec worker is gone") from error


def receive(pipe: BinaryIO) -> tuple[Kind, bytes]:
    """Read one message; raises PipeClosedError at the end of the pipe or for a message that cannot be one."""
    header = _exactly(pipe, HEADER.size)
    length, kind = HEADER.unpack(header)
    if length > MESSAGE_MAX_BYTES or kind not in Kind.__members__.values():
        raise PipeClosedError("the codec worker sent something that is no message")
    return Kind(kind), _exactly(pipe, length)


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size) if size else b""
    if data is None or len(data) != size:
        raise PipeClosedError("the codec worker is gone")
    return data
