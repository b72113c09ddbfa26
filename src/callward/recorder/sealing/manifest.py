"""The manifest of a sealed recording: canonical JSON with the digests of everything that belongs to it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from callward.media.track_file import TrackFile
from callward.recorder.sealing.master import MasterFile
from callward.recorder.sealing.track import LaidOutTrack
from callward.records.events import Mark, Problem, RecordingEnded, StoredTrack

VERSION = 1


def manifest(
    ended: RecordingEnded,
    master: MasterFile | None,
    tracks: Sequence[StoredTrack],
    files: Sequence[TrackFile],
    digests: Mapping[str, str],
    problems: Sequence[Problem],
    salt: bytes,
) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8. `digests`: object name to SHA-256 of its plain content."""
    document: dict[str, Any] = {
        "version": VERSION,
        "recording": ended.recording,
        "session": ended.session,
        "peer": ended.peer,
        "address": ended.address,
        "vendor": ended.vendor,
        "started_at": ended.started_at.isoformat(),
        "ended_at": ended.ended_at.isoformat(),
        "why": ended.why,
        "calls": [call.model_dump(mode="json") for call in ended.calls],
        "marks": [mark.model_dump(mode="json") for mark in marks_of(ended, files)],
        "tracks": [track.model_dump(mode="json") for track in tracks],
        "track_sha256": {file.header.track: file.header.sha256 for file in files},
        "problems": [problem.model_dump(mode="json") for problem in problems],
        "sha256": dict(digests),
        "salt": salt.hex(),
        "software": {"callward": importlib.metadata.version("callward"), "python": platform.python_version()},
    }
    if master is not None:
        document["master"] = {
            "codec": master.codec,
            "channels": master.channels,
            "sample_rate_hz": master.sample_rate_hz,
            "samples": master.samples,
            "started_at_ns": master.started_at_ns,
            "sha256": master.sha256,
        }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def marks_of(ended: RecordingEnded, files: Sequence[TrackFile]) -> list[Mark]:
    """The recorder's marks and those that the media process set in the tracks, in order."""
    found = list(ended.marks)
    for file in files:
        for mark in file.header.marks[:1000]:
            at = datetime.fromtimestamp(mark.at_ns / 1e9, UTC)
            found.append(Mark(at=at, kind=f"track_{mark.kind}"[:40], detail=file.header.track))
    return sorted(found, key=lambda mark: mark.at)


def stored_track(
    laid_out: LaidOutTrack, file: TrackFile, label: str, parties: list[str], channel: int, master: MasterFile | None
) -> StoredTrack:
    """What the archive lists of a track."""
    meter = master.meters[channel] if master is not None else None
    offset_ms = (laid_out.start_ns - master.started_at_ns) // 1_000_000 if master is not None else 0
    media = {key: value for key, value in file.header.stats.items() if key != "gaps"}
    return StoredTrack(
        track=laid_out.track,
        label=label,
        parties=parties,
        channel=channel,
        codec=laid_out.codec[:255],
        offset_ms=max(0, offset_ms),
        duration_ms=laid_out.duration_ns // 1_000_000,
        silent=meter.silent if meter is not None else True,
        level_dbfs=meter.level_dbfs if meter is not None else None,
        stats={
            **laid_out.counts,
            "media": media,
            "gaps": [asdict(gap) for gap in laid_out.gaps],
            "telephone_events": [asdict(event) for event in laid_out.events],
            "undecodable": laid_out.undecodable,
            "unknown_codecs": laid_out.unknown[:16],
        },
    )
