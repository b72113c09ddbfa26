"""Whether packets still come, told without comparing clocks: a step of the wall clock ends no talking session."""

from __future__ import annotations

MAX_TRACKS = 100_000


class PacketWatch:
    """Remembers for each track when its newest packet was first seen to be the newest; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, float]] = {}

    def moved(self, track: str, newest: object, now: float, within_s: float) -> bool:
        """Whether a newer packet came within so many seconds. What is seen for the first time counts as just come."""
        before = self._seen.get(track)
        if before is None or before[0] != newest:
            if len(self._seen) >= MAX_TRACKS:
                del self._seen[next(iter(self._seen))]
            self._seen[track] = (newest, now)
            return newest is not None
        return newest is not None and now - before[1] < within_s
