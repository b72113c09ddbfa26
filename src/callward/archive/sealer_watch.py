"""How sealing is doing: one health check for each subject, and alarms that an administrator sees. Knows no journal, no clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from prometheus_client import Gauge

from callward.platform.health import Health
from callward.records.events import SystemEvent

LAG_MAX_S = 900.0
"""An ended recording that waits longer than this is a fault."""
STORE_ALARM_S = 300.0
ALARMS_MAX = 20
"""Recordings set aside at the same time that get an alarm of their own; the health check counts the others."""

_LAG = Gauge("callward_seal_lag_seconds", "Age of the oldest ended recording that is not stored")
_ASIDE = Gauge(
    "callward_seal_set_aside_recordings", "Recordings that could not be sealed or released and wait for longer"
)


class SealerWatch:
    """Told by the sealer what goes wrong and right; `look` says how that is."""

    def __init__(self, health: Health | None = None) -> None:
        self._health = health or Health()
        self._failing_since: float | None = None
        self._failing_why = ""
        self._alarmed = False
        self._aside: dict[str, str] = {}
        self._alarms: dict[str, bool] = {}
        """Recordings with an alarm to be raised (False) or raised (True)."""
        self._again: list[str] = []

    def store_failed(self, now: float, why: str) -> None:
        """An object could not be stored."""
        if self._failing_since is None:
            self._failing_since = now
        self._failing_why = why

    def store_worked(self) -> None:
        """All objects of a recording were stored."""
        self._failing_since = None

    def set_aside(self, recording: str, why: str) -> None:
        """A recording was tried often enough for now."""
        self._aside[recording] = why
        if recording not in self._alarms and len(self._alarms) < ALARMS_MAX:
            self._alarms[recording] = False

    def went_on(self, recording: str) -> None:
        """A recording is through the step that failed."""
        if self._aside.pop(recording, None) is not None and self._alarms.pop(recording, False):
            self._again.append(recording)

    def look(self, at: datetime, now: float, oldest: datetime | None) -> list[SystemEvent]:
        """Set the health checks; returns the events to write. `oldest`: when the oldest waiting recording ended."""
        lag_s = max(0.0, (at - oldest).total_seconds()) if oldest is not None else 0.0
        _LAG.set(lag_s)
        _ASIDE.set(len(self._aside))
        late = lag_s > LAG_MAX_S
        self._health.set("sealer", not late, f"the oldest recording waits for {lag_s:.0f} s" if late else "")
        failing = self._failing_since is not None
        self._health.set("blob_store", not failing, f"objects cannot be stored: {self._failing_why}" if failing else "")
        first = next(iter(self._aside), None)
        why = "" if first is None else f"{len(self._aside)} recordings are set aside; {first}: {self._aside[first]}"
        self._health.set("set_aside", first is None, why)
        return [*self._store_events(at, now), *self._aside_events(at)]

    def _store_events(self, at: datetime, now: float) -> list[SystemEvent]:
        if self._failing_since is None:
            if not self._alarmed:
                return []
            self._alarmed = False
            return [_event(at, "info", "blob_store_back", "objects can be stored again")]
        if self._alarmed or now - self._failing_since < STORE_ALARM_S:
            return []
        self._alarmed = True
        detail = f"objects cannot be stored for {now - self._failing_since:.0f} s: {self._failing_why}"
        return [_event(at, "alarm", "blob_store_failing", detail)]

    def _aside_events(self, at: datetime) -> list[SystemEvent]:
        found = []
        for recording in [recording for recording, raised in self._alarms.items() if not raised]:
            self._alarms[recording] = True
            detail = f"recording {recording} cannot be sealed for now: {self._aside[recording]}"
            found.append(_event(at, "alarm", "sealing_set_aside", detail, recording))
        for recording in self._again:
            detail = f"recording {recording}, which had been set aside, went on"
            found.append(_event(at, "info", "sealing_went_on", detail, recording))
        self._again.clear()
        return found


def _event(
    at: datetime, severity: Literal["info", "alarm"], code: str, detail: str, recording: str | None = None
) -> SystemEvent:
    data: dict[str, Any] = {} if recording is None else {"recording": recording}
    return SystemEvent(at=at, severity=severity, code=code, detail=detail[:4096], data=data)
