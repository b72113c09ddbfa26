"""Marks of a recording that come from comparing what was with what is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from callward.recorder.recording import Recording
from callward.recorder.session_data import OpenStream
from callward.records.events import Call


def mark_transfer(recording: Recording, before: Call, after: Call, at: datetime) -> None:
    """Somebody left and somebody joined in one step (S36)."""
    were = {party.party: party for party in before.parties if party.left_at is None}
    are = {party.party: party for party in after.parties if party.left_at is None}
    left = [were[key].number or were[key].aor or key for key in were if key not in are]
    joined = [are[key].number or are[key].aor or key for key in are if key not in were]
    if left and joined:
        recording.mark("transfer", at, f"{', '.join(left)} left, {', '.join(joined)} joined")


def mark_flow(recording: Recording, streams: Sequence[OpenStream], before: Mapping[int, bool], at: datetime) -> None:
    """Pause and resume, with the labels of the streams; the recording is paused when none of its streams flows (S23).

    `before`: by index, whether each stream flowed.
    """
    for kind, flows in (("pause", False), ("resume", True)):
        labels = [
            stream.label or str(stream.index)
            for stream in streams
            if stream.flows is flows and before.get(stream.index, stream.flows) is not flows
        ]
        if labels:
            recording.mark(kind, at, "streams " + ", ".join(labels))
    paused = bool(streams) and not any(stream.flows for stream in streams)
    if paused != recording.paused:
        recording.paused = paused
        recording.dirty = True


def unmark_flow(recording: Recording, at: datetime) -> None:
    """Take back what `mark_flow` noted at this moment: it did not come to pass."""
    recording.marks = [mark for mark in recording.marks if mark.at != at or mark.kind not in ("pause", "resume")]
    recording.dirty = True
