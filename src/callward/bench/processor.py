"""What a process costs: CPU seconds from /proc, and pinning to one core."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def pin(pid: int, cpu: int) -> None:
    """Let all threads of a process run on one core only."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu})


@dataclass(slots=True)
class CpuMeter:
    """Share of one core that some processes use between `start` and `share`."""

    pids: tuple[int, ...]
    _begun_at: float = 0.0
    _before: float = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._begun_at = time.monotonic()
        self._before = self._total()

    def share(self) -> float:
        """CPU seconds per second since `start`; 1.0 is one whole core."""
        return (self._total() - self._before) / max(1e-9, time.monotonic() - self._begun_at)

    def _total(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.pids)
