"""Silence is measured without the wall clock (fault 11)."""

from __future__ import annotations

from callward.recorder.packet_watch import PacketWatch


def test_fault_11_a_step_of_the_clock_makes_no_silence() -> None:
    watch = PacketWatch()
    hours_ns = 5 * 3600 * 10**9
    assert watch.moved("t", 1_000, 0.0, 60.0)
    assert watch.moved("t", 2_000 - hours_ns, 61.0, 60.0)  # packets go on with a clock that was put back
    assert watch.moved("t", 3_000 - hours_ns, 300.0, 60.0)


def test_a_track_whose_newest_packet_stays_the_same_is_silent_in_time() -> None:
    watch = PacketWatch()
    assert watch.moved("t", 1_000, 0.0, 60.0)
    assert watch.moved("t", 1_000, 59.0, 60.0)
    assert not watch.moved("t", 1_000, 60.0, 60.0)
    assert not watch.moved("empty", None, 0.0, 60.0)
