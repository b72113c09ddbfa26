"""Whether new calls are taken (S40, fault 6): alarms come before, refusals name the reason, and it clears by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from callward.recorder.ability import Alarms, Condition, assess

AT = datetime(2026, 3, 1, tzinfo=UTC)
WELL = Condition(
    attached=True,
    media_able=True,
    media_why="",
    journal_able=True,
    journal_why="",
    sessions=3,
    max_sessions=10,
    disk_free_bytes=100 << 30,
    disk_reserve_bytes=1 << 30,
    audio_journal_bytes=1 << 30,
    audio_journal_max_bytes=20 << 30,
)


def test_all_well_takes_calls() -> None:
    assert assess(WELL).able


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"attached": False}, "media"),
        ({"journal_able": False, "journal_why": "no space"}, "journal"),
        ({"disk_free_bytes": 1 << 20}, "disk"),
        ({"media_able": False, "media_why": "the audio journal is full"}, "disk"),
        ({"sessions": 10}, "sessions"),
    ],
)
def test_each_cause_refuses_with_its_reason(change: dict, reason: str) -> None:
    ability = assess(replace(WELL, **change))
    assert not ability.able
    assert ability.reason == reason
    assert ability.why


def test_the_alarm_comes_before_calls_are_refused_and_is_told_once() -> None:
    alarms = Alarms()
    low = replace(WELL, disk_free_bytes=3 << 29)
    assert assess(low).able
    [event] = alarms.watch(low, assess(low), AT)
    assert (event.severity, event.code) == ("alarm", "disk_low")
    assert alarms.watch(low, assess(low), AT) == []
    full = replace(WELL, disk_free_bytes=1 << 20)
    [event] = alarms.watch(full, assess(full), AT)
    assert event.code == "not_able"
    assert {event.code for event in alarms.watch(WELL, assess(WELL), AT)} == {"not_able_cleared", "disk_low_cleared"}


def test_an_audio_journal_that_nobody_empties_raises_the_alarm() -> None:
    behind = replace(WELL, audio_journal_bytes=17 << 30)
    [event] = Alarms().watch(behind, assess(behind), AT)
    assert event.code == "disk_low"
    assert "sealing" in event.detail
