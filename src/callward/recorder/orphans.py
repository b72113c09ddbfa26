"""Tracks that no session knows when the recorder starts: they are adopted as sessions that have ended.

From then on they are closed and told of like those of any other session, also after a further crash: when there is
audio in them as `recovered` and nobody's; else they are discarded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from callward.journal import JournalReader, Kind, OffsetGoneError
from callward.media.client import MediaClient
from callward.media.protocol import ListedTrack, MediaRefusedError
from callward.platform.ids import is_ulid, ulid_at
from callward.recorder.recording import RecordedTrack, Recording
from callward.recorder.session_data import SessionData

_PROFILE = "automatic"


def told_tracks(folder: Path) -> tuple[set[str], str]:
    """The tracks of all recordings whose end the journal tells, and the earliest track id of which it would tell.

    What was removed from the journal was consumed, hence sealed: nothing can be said of tracks from before.
    """
    reader = JournalReader(folder, kinds=(Kind.EVENT,))
    reader.offset = reader.first_offset()
    since = "" if reader.offset == 0 else None
    tracks: set[str] = set()
    while True:
        try:
            records = reader.read()
        except OffsetGoneError:
            reader.offset = reader.first_offset()
            continue
        if not records:
            return tracks, "~" if since is None else since
        for record in records:
            value = _event(record.payload)
            if since is None:
                since = _id_of(value.get("ended_at") or value.get("at"))
            if value.get("type") == "recording_ended":
                tracks.update(item["track"] for item in value["tracks"])


def _event(payload: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _id_of(at: Any) -> str | None:
    """The first track id of a moment."""
    try:
        return ulid_at(datetime.fromisoformat(at), bytes(10))
    except (TypeError, ValueError):
        return None


def find_orphans(
    listed: Iterable[ListedTrack], known: set[str], told: Callable[[], tuple[set[str], str]]
) -> list[ListedTrack]:
    """Open tracks that no session knows, and closed ones whose end nobody told of. `told` is asked only when it matters."""
    unknown = [item for item in listed if item.track not in known]
    orphans = [item for item in unknown if item.state == "open"]
    closed = [item for item in unknown if item.state == "closed"]
    if closed:
        tracks, since = told()
        orphans += [item for item in closed if item.track not in tracks and item.track >= since]
    return orphans


async def adopted(
    media: MediaClient, orphans: Iterable[ListedTrack], at: datetime, make_id: Callable[[], str]
) -> list[SessionData]:
    """Sessions that have ended, with the tracks not yet closed."""
    sessions: dict[str, SessionData] = {}
    for orphan in orphans:
        started_at = await _began(media, orphan.track) or at
        session = sessions.setdefault(
            orphan.session,
            SessionData(
                id=orphan.session if is_ulid(orphan.session) else make_id(),
                peer_id="",
                peer_name="",
                address="",
                profile=_PROFILE,
                began_at=started_at,
                answered=True,
                ended=True,
            ),
        )
        named = str(orphan.meta.get("recording", ""))
        key = named if is_ulid(named) else make_id()
        recording = session.recordings.setdefault(key, Recording(key, started_at))
        recording.started_at = min(recording.started_at, started_at)
        recording.end("recovered", at)
        recording.problem("unattributed", "the recorder did not know the session of this audio after its restart")
        recording.add_track(RecordedTrack(orphan.track, 0, str(orphan.meta.get("label", ""))[:255]))
    return list(sessions.values())


async def _began(media: MediaClient, track: str) -> datetime | None:
    """When the first packet of a track came."""
    try:
        stats = (await media.track_stats(track)).get("stats")
    except MediaRefusedError:
        return None
    first_ns = stats.get("first_at_ns") if isinstance(stats, dict) else None
    return datetime.fromtimestamp(first_ns / 1e9, UTC) if isinstance(first_ns, int) and first_ns else None
