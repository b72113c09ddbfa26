"""Problem codes that sealing finds (docs/reference/conversation-problems.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from callward.recorder.sealing.track import LaidOutTrack
from callward.records.events import Problem

CLIPPED_MS = 500
"""Packets that were sent before the first one that came, when they amount to this much."""
ONE_WAY_MIN_MS = 3000
"""A call shorter than this may well have one party that says nothing."""


def find_problems(
    tracks: Sequence[LaidOutTrack], silent: Sequence[bool], master_ms: int, started_at: datetime, ended_at: datetime
) -> list[Problem]:
    """What is odd about the audio of a recording; it never costs audio."""
    problems = []
    if silent and all(silent):
        problems.append(Problem(code="silent", detail="nothing is heard on any channel"))
    elif any(silent) and len(silent) > 1 and master_ms >= ONE_WAY_MIN_MS:
        quiet = ", ".join(str(channel + 1) for channel, is_silent in enumerate(silent) if is_silent)
        problems.append(Problem(code="one_way", detail=f"nothing is heard on channel {quiet}"))
    faults = [(track, gap) for track in tracks for gap in track.gaps if gap.is_fault]
    if faults:
        lost = sum(gap.packets for _, gap in faults)
        length = sum(gap.length_ms for _, gap in faults)
        problems.append(Problem(code="gaps", detail=f"{len(faults)} gaps of {length} ms in all, {lost} packets"))
    if any(gap.why == "restart" for _, gap in faults):
        problems.append(Problem(code="restart", detail="the recorder was restarted while it recorded"))
    if any(gap.why == "missing" for _, gap in faults):
        problems.append(Problem(code="journal_damaged", detail="a part of the audio journal could not be read"))
    if any(gap.why == "overflow" for _, gap in faults):
        problems.append(Problem(code="overflow", detail="the disk could not take the audio in time"))
    heard = [track for track in tracks if len(track.samples)]
    if heard:
        first_ns = min(track.start_ns for track in heard)
        late_ms = first_ns // 1_000_000 - int(started_at.timestamp() * 1000)
        if late_ms >= CLIPPED_MS and (ended_at - started_at).total_seconds() * 1000 > late_ms:
            problems.append(Problem(code="clipped_start", detail=f"the first audio came {late_ms} ms after the start"))
    for name in sorted({name for track in tracks for name in track.unknown}):
        problems.append(Problem(code="unknown_codec", detail=f"{name} cannot be decoded; the packets are stored"))
    for name in sorted({name for track in tracks for name in track.decoder_failed}):
        problems.append(Problem(code="decoder_failed", detail=f"the decoder for {name} failed; the packets are stored"))
    undecodable = sum(track.undecodable for track in tracks)
    if undecodable:
        problems.append(Problem(code="undecodable_packets", detail=f"{undecodable} packets could not be decoded"))
    if any(track.counts.get("simultaneous_sources") for track in tracks):
        problems.append(Problem(code="simultaneous_sources", detail="two senders at the same time in one stream"))
    return problems
