"""The timer queue of an endpoint: started, cancelled and run by `now`; knows no clock.

A cancelled timer stays in the heap until its time (cheap: a set-up starts about six timers and cancels half of them); when more
than half of a large heap is cancelled it is rebuilt, so memory follows the live timers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

_REBUILD_FROM = 4096
"""Smaller heaps are not worth rebuilding."""


class Timer:
    """A started timer. `action` is called with the time when it is due; None once it ran or was cancelled."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[float], None]) -> None:
        self.due = due
        self.action: Callable[[float], None] | None = action


class TimerQueue:
    """All timers of one endpoint, in order of their time."""

    __slots__ = ("_cancelled", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = 0
        self._cancelled = 0

    def start(self, due: float, action: Callable[[float], None]) -> Timer:
        """Call `action(now)` at `due` or later."""
        timer = Timer(due, action)
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, timer))
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Does nothing for None and for a timer that ran."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._cancelled += 1
        if self._cancelled > _REBUILD_FROM and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_deadline(self) -> float | None:
        """The earliest live timer."""
        heap = self._heap
        while heap:
            if heap[0][2].action is not None:
                return heap[0][0]
            heapq.heappop(heap)
            self._cancelled -= 1
        return None

    def run(self, now: float) -> None:
        """Run all that are due, in order; also those that they start for a time that has come."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            action = timer.action
            if action is None:
                self._cancelled -= 1
                continue
            timer.action = None
            action(now)
            heap = self._heap

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled
