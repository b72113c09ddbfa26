"""Whether new recording sessions can be taken (S40), and the alarms before they cannot. Decides; asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from callward.records.events import SystemEvent

RETRY_AFTER_S = 10
"""A client should try its next recorder meanwhile; a disk or a restart is rarely well sooner."""
LOW_DISK_FACTOR = 2
"""The alarm comes when the free disk is below this many times the reserve."""
LOW_JOURNAL_SHARE = 0.8
"""The alarm comes when the audio journal has used this share of its bound."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known at one moment."""

    attached: bool
    """The media process is connected and agrees with us on the tracks."""
    media_able: bool
    media_why: str
    journal_able: bool
    journal_why: str
    sessions: int
    max_sessions: int
    disk_free_bytes: int
    disk_reserve_bytes: int
    audio_journal_bytes: int = 0
    audio_journal_max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ability:
    """The verdict. `reason` is a short word for metrics, `why` a sentence for people."""

    able: bool
    reason: str = ""
    why: str = ""


def assess(condition: Condition) -> Ability:
    """Take new sessions or not; running ones go on in any case."""
    if not condition.attached:
        return Ability(False, "media", "the media process is not connected: look at its log")
    if not condition.journal_able:
        return Ability(False, "journal", condition.journal_why or "the recorder's journal cannot be written")
    if condition.disk_free_bytes < condition.disk_reserve_bytes:
        free = condition.disk_free_bytes >> 20
        return Ability(
            False, "disk", f"only {free} MiB of disk are free: free some space, recording then goes on by itself"
        )
    if not condition.media_able:
        return Ability(False, "disk", condition.media_why or "the audio journal takes no more")
    if condition.sessions >= condition.max_sessions:
        return Ability(
            False, "sessions", f"{condition.sessions} sessions are open, the limit is {condition.max_sessions}"
        )
    return Ability(True)


class Alarms:
    """Turns changes into system events; the same alarm is told once until it has cleared."""

    def __init__(self) -> None:
        self._raised: dict[str, str] = {}

    def watch(self, condition: Condition, ability: Ability, at: datetime) -> list[SystemEvent]:
        events = self._set("not_able", ability.why if not ability.able else "", at, {"reason": ability.reason})
        low = ""
        if condition.disk_free_bytes < LOW_DISK_FACTOR * condition.disk_reserve_bytes:
            low = (
                f"{condition.disk_free_bytes >> 20} MiB of disk are free; "
                f"new calls are refused below {condition.disk_reserve_bytes >> 20} MiB"
            )
        elif condition.audio_journal_bytes > LOW_JOURNAL_SHARE * condition.audio_journal_max_bytes > 0:
            low = (
                f"the audio journal holds {condition.audio_journal_bytes >> 20} MiB of at most "
                f"{condition.audio_journal_max_bytes >> 20} MiB: is sealing behind?"
            )
        return events + self._set("disk_low", low, at, {"free_bytes": condition.disk_free_bytes})

    def _set(self, code: str, why: str, at: datetime, data: dict[str, Any]) -> list[SystemEvent]:
        before = self._raised.get(code, "")
        if why and not before:
            self._raised[code] = why
            return [_event("alarm", code, why, at, data)]
        if not why and before:
            del self._raised[code]
            return [_event("info", f"{code}_cleared", before, at, data)]
        return []


def _event(
    severity: Literal["info", "warning", "alarm"], code: str, detail: str, at: datetime, data: dict[str, Any]
) -> SystemEvent:
    return SystemEvent(at=at, severity=severity, code=code, detail=detail[:4096], data=data)
