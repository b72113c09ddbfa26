"""Health and alarms of sealing: one check for each subject, each alarm once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from callward.archive.sealer_watch import LAG_MAX_S, STORE_ALARM_S, SealerWatch
from callward.platform.health import Health

AT = datetime(2026, 5, 1, tzinfo=UTC)


def test_the_blob_store_alarm_comes_once_after_minutes_and_once_when_it_is_back() -> None:
    health = Health()
    watch = SealerWatch(health)
    assert watch.look(AT, 0.0, None) == [] and health.ready
    assert set(health.checks) == {"sealer", "blob_store", "set_aside"}
    watch.store_failed(10.0, "no route to the store")
    assert watch.look(AT, 11.0, None) == []
    assert health.checks["blob_store"] == (False, "objects cannot be stored: no route to the store")
    watch.store_failed(200.0, "no route to the store")
    [alarm] = watch.look(AT, 10.0 + STORE_ALARM_S, None)
    assert (alarm.severity, alarm.code) == ("alarm", "blob_store_failing")
    assert watch.look(AT, 900.0, None) == []
    watch.store_worked()
    assert [event.code for event in watch.look(AT, 901.0, None)] == ["blob_store_back"]
    assert watch.look(AT, 902.0, None) == [] and health.ready


def test_a_short_failure_of_the_blob_store_is_no_alarm() -> None:
    watch = SealerWatch()
    watch.store_failed(0.0, "away")
    watch.store_worked()
    watch.store_failed(STORE_ALARM_S, "away")
    assert watch.look(AT, STORE_ALARM_S + 1, None) == []


def test_lag_makes_the_sealer_unwell() -> None:
    health = Health()
    watch = SealerWatch(health)
    watch.look(AT, 0.0, AT - timedelta(seconds=LAG_MAX_S + 1))
    assert health.checks["sealer"] == (False, "the oldest recording waits for 901 s")
    watch.look(AT, 0.0, AT)
    assert health.ready


def test_recordings_set_aside_are_counted_and_alarmed_once_each() -> None:
    health = Health()
    watch = SealerWatch(health)
    watch.set_aside("A", "disk")
    watch.set_aside("A", "disk")
    assert [(event.code, event.data) for event in watch.look(AT, 0.0, None)] == [
        ("sealing_set_aside", {"recording": "A"})
    ]
    watch.set_aside("A", "disk")
    assert watch.look(AT, 1.0, None) == []
    assert health.checks["set_aside"] == (False, "1 recordings are set aside; A: disk")
    watch.went_on("A")
    watch.went_on("B")
    assert [event.code for event in watch.look(AT, 2.0, None)] == ["sealing_went_on"] and health.ready
