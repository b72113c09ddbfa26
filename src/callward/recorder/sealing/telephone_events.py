"""RFC 4733 telephone events of a track: digits with their times, apart from the audio, so that they can be masked."""

from __future__ import annotations

from dataclasses import dataclass

from callward.media.track_file import TrackFile
from callward.recorder.sealing.timeline import Ints

DIGITS = "0123456789*#ABCD!"
"""Events 0-16 (RFC 4733 table 7); `!` is a flash."""
EVENTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One key press: `at_ms` after the start of the track's first packet, `length_ms` long."""

    digit: str
    at_ms: int
    length_ms: int


def telephone_events(track: TrackFile, rows: Ints, clock_hz: int) -> list[TelephoneEvent]:
    """Put the packets of events together: all with one SSRC and timestamp are one event. At most 1,000."""
    found: dict[tuple[int, int, int], tuple[int, int]] = {}
    if not len(rows):
        return []
    first_ns = int(track.packets["arrival_ns"][0])
    for row in track.packets[rows].tolist():
        arrival_ns, offset, timestamp, ssrc, _, length = row[:6]
        if length < 4:
            continue
        event, _, high, low = track.payload[offset : offset + 4].tolist()
        key = (ssrc, timestamp, event)
        at_ns, duration = found.get(key, (arrival_ns, 0))
        if key not in found and len(found) >= EVENTS_MAX:
            continue
        found[key] = (min(at_ns, arrival_ns), max(duration, high << 8 | low))
    return [
        TelephoneEvent(
            DIGITS[event] if event < len(DIGITS) else f"event {event}",
            (at_ns - first_ns) // 1_000_000,
            duration * 1000 // clock_hz,
        )
        for (_, _, event), (at_ns, duration) in sorted(found.items(), key=lambda item: item[1][0])
    ]
