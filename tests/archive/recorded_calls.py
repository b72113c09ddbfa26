"""A recorded call for tests of the archive: tracks as files, the recorder's event, an extractor that copies."""

from __future__ import annotations

import base64
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from callward.archive.extraction import TrackGoneError
from callward.records.events import (
    Call,
    Mark,
    Party,
    RawMetadata,
    RecordingEnded,
    RecordingStarted,
    TrackRef,
)
from tests.sealing.track_writer import BASE_NS, TrackBuilder, g711_packets, tone

STARTED_AT = datetime.fromtimestamp(BASE_NS / 1e9, UTC)
CALLER_HZ, CALLED_HZ = 440.0, 1000.0


def ulid(number: int, kind: str = "R") -> str:
    return f"01K{kind}{number:022d}"


@dataclass(frozen=True)
class FolderExtractor:
    """Stands for the media program: tracks lie in a folder already."""

    folder: Path

    def __call__(self, track: str, output: Path, *, partial: bool = False) -> None:
        source = self.folder / track
        if not source.is_file():
            raise TrackGoneError(f"the journal knows no track {track}")
        shutil.copy(source, output)


def record_call(folder: Path, number: int = 1, seconds: float = 2.0, organisation: str | None = None) -> RecordingEnded:
    """Two parties with a tone each; the called party's audio begins half a second later."""
    folder.mkdir(parents=True, exist_ok=True)
    caller, called = ulid(number * 2, "T"), ulid(number * 2 + 1, "T")
    one, two = TrackBuilder(caller), TrackBuilder(called)
    one.packets = g711_packets(tone(CALLER_HZ, seconds))
    two.packets = g711_packets(tone(CALLED_HZ, seconds - 0.5), start_ms=500.0, ssrc=0x99)
    one.write(folder / caller)
    two.write(folder / called)
    return ended_call(number, [called, caller], seconds, organisation)


def ended_call(number: int, tracks: list[str], seconds: float, organisation: str | None = None) -> RecordingEnded:
    ended_at = STARTED_AT + timedelta(seconds=seconds)
    parties = [
        Party(party="p1", name="Ann Caller", aor="sip:+31201234567@x", number="+31201234567", joined_at=STARTED_AT),
        Party(party="p2", name="Bob", aor="sip:bob@x", number="+4930987654", joined_at=STARTED_AT),
    ]
    refs = [TrackRef(track=track, label=str(i), parties=[["p2"], ["p1"]][i % 2]) for i, track in enumerate(tracks)]
    return RecordingEnded(
        recording=ulid(number),
        session=ulid(number, "S"),
        peer="sbc",
        address="192.0.2.1",
        vendor="acme",
        started_at=STARTED_AT,
        ended_at=ended_at,
        calls=[
            Call(
                conversation=ulid(number, "C"),
                organisation=organisation,
                started_at=STARTED_AT,
                ended_at=ended_at,
                direction="in",
                caller=parties[0],
                called=parties[1],
                parties=parties,
                session_ids={"group": f"g{number}", "call_id": f"call-{number}"},
                extensions={"x": ["1"]},
            )
        ],
        tracks=refs,
        marks=[Mark(at=STARTED_AT + timedelta(seconds=1), kind="hold")],
        metadata=[
            RawMetadata(
                at=STARTED_AT,
                content_type="application/rs-metadata+xml",
                body_base64=base64.b64encode("<recording>é</recording>".encode()).decode(),
            )
        ],
    )


def started_call(ended: RecordingEnded) -> RecordingStarted:
    calls = [call.model_copy(update={"ended_at": None}) for call in ended.calls]
    return RecordingStarted(
        recording=ended.recording,
        session=ended.session,
        peer=ended.peer,
        address=ended.address,
        vendor=ended.vendor,
        at=ended.started_at,
        calls=calls,
        tracks=ended.tracks,
    )
