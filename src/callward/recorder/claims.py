"""Which calls are on which stream, by the picture of a session."""

from __future__ import annotations

from callward.siprec.picture import Picture


class Claims:
    """Which running calls are on which stream, by the picture."""

    def __init__(self, now: Picture) -> None:
        self.running = {call.key for call in now.calls if call.ended_at is None}
        self._by_index = {stream.index: frozenset(stream.calls) & self.running for stream in now.streams}
        placed = frozenset[str]().union(*self._by_index.values()) if self._by_index else frozenset[str]()
        self._unplaced = frozenset(self.running) - placed

    def of(self, index: int) -> frozenset[str]:
        """Calls on a stream; where nothing says it, the calls that are on no stream at all."""
        return self._by_index.get(index) or self._unplaced
