"""Random bytes for ids, tags and keys, taken from the operating system in large pieces: a system call for each would cost more."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

from callward.platform.ids import Ulid, ulid_at

PIECE_BYTES = 4096


class Entropy:
    """Gives each byte once. Not for processes that fork."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._piece = b""
        self._at = 0

    def __call__(self, size: int) -> bytes:
        """`size` fresh random bytes."""
        if size > PIECE_BYTES:
            return self._source(size)
        begin, end = self._at, self._at + size
        if end > len(self._piece):
            self._piece = self._source(PIECE_BYTES)
            begin, end = 0, size
        self._at = end
        return self._piece[begin:end]

    def ulid(self) -> Ulid:
        """A ULID of now."""
        return ulid_at(datetime.now(UTC), self(10))
