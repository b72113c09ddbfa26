"""Which calls are on which stream, and what changed in them, by the picture of a session."""

from __future__ import annotations

from datetime import datetime

from callward.recorder.recording import Recording
from callward.records.events import Call
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


def mark_transfer(recording: Recording, before: Call, after: Call, at: datetime) -> None:
    """Somebody left and somebody joined in one step (S36)."""
    were = {party.party: party for party in before.parties if party.left_at is None}
    are = {party.party: party for party in after.parties if party.left_at is None}
    left = [were[key].number or were[key].aor or key for key in were if key not in are]
    joined = [are[key].number or are[key].aor or key for key in are if key not in were]
    if left and joined:
        recording.mark("transfer", at, f"{', '.join(left)} left, {', '.join(joined)} joined")
