"""Open tracks that no session knows when the recorder starts: closed, and told of when there is audio in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from callward.media.client import MediaClient
from callward.media.protocol import ListedTrack, MediaError
from callward.platform.ids import is_ulid
from callward.platform.telemetry import logger
from callward.recorder.recording import WORTH_PACKETS, Origin, RecordedTrack, Recording
from callward.records.events import Call, Event


async def orphan_events(
    media: MediaClient, orphans: Iterable[ListedTrack], at: datetime, make_id: Callable[[], str]
) -> list[Event]:
    """Close the tracks; recordings with audio become events (nobody's, `recovered`), the rest is discarded."""
    recordings: dict[str, Recording] = {}
    origins: dict[str, Origin] = {}
    for orphan in orphans:
        try:
            closed = await media.close_track(orphan.track)
        except MediaError as error:
            logger.error("orphan_not_closed", track=orphan.track, error=str(error))
            continue
        named = str(orphan.meta.get("recording", ""))
        key = named if is_ulid(named) else make_id()
        first_ns = closed.stats.get("first_at_ns")
        started_at = datetime.fromtimestamp(first_ns / 1e9, UTC) if isinstance(first_ns, int) and first_ns else at
        recording = recordings.setdefault(key, Recording(key, started_at))
        recording.started_at = min(recording.started_at, started_at)
        origins[key] = Origin(orphan.session if is_ulid(orphan.session) else make_id())
        packets = closed.stats.get("packets", 0)
        track = RecordedTrack(orphan.track, 0, str(orphan.meta.get("label", ""))[:255], closed=True)
        track.packets = packets if isinstance(packets, int) else 0
        recording.add_track(track)
    events: list[Event] = []
    for key, recording in recordings.items():
        if recording.packets < WORTH_PACKETS:
            for item in recording.tracks:
                await _release(media, item.track)
            continue
        recording.end("recovered", at)
        recording.problem("unattributed", "the recorder did not know the session of this audio after its restart")
        recording.set_call("", Call(conversation=make_id(), started_at=recording.started_at, ended_at=at))
        events += [recording.started(origins[key]), recording.ended(origins[key])]
    return events


async def _release(media: MediaClient, track: str) -> None:
    try:
        await media.release_track(track)
    except MediaError as error:
        logger.info("orphan_not_released", track=track, error=str(error))
