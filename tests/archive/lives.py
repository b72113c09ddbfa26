"""Lives of a sealer for the tests: its extractor and its media process can be made to fail, and it can be stopped half-way."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from callward.archive.extraction import ExtractionError, TrackGoneError
from callward.archive.sealer import Sealer
from tests.archive.platform import Platform


@dataclass
class MoodyExtractor:
    """Tracks in a folder; those in `failing` cannot be read now, those in `hidden` are said to be gone."""

    folder: Path
    failing: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def __call__(self, track: str, output: Path, *, partial: bool = False) -> None:
        self.asked.append(track)
        if track in self.failing:
            raise ExtractionError("the disk says no")
        source = self.folder / track
        if track in self.hidden or not source.is_file():
            raise TrackGoneError(f"the journal knows no track {track}")
        shutil.copy(source, output)


class Lives:
    """A platform whose sealer lives several times; a released track is gone from the audio journal."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.extract = MoodyExtractor(platform.tracks)
        platform.ingest = replace(platform.ingest, extract=self.extract)

    async def knows(self, track: str) -> bool:
        return await self.platform.knows(track)

    async def release(self, track: str) -> None:
        await self.platform.release(track)
        (self.platform.tracks / track).unlink(missing_ok=True)

    def sealer(self, jobs: int) -> Sealer:
        return Sealer(self.platform.recorder, self.platform.seal, self.platform.ingest, self, jobs)

    async def live(
        self, until: Callable[[Sealer], bool] | None = None, *, jobs: int = 3, cursors: bool = True
    ) -> Sealer:
        """Run a sealer until `until` says so; without it, until nothing waits."""
        stopping = asyncio.Event()
        sealer = self.sealer(jobs)
        task = asyncio.create_task(sealer.run(stopping))
        try:
            async with asyncio.timeout(20):
                while not task.done() and not (until(sealer) if until is not None else sealer.idle.is_set()):
                    await asyncio.sleep(0.01)
                if cursors:
                    await asyncio.sleep(0.3)  # the reader's next round moves the cursors
        finally:
            stopping.set()
            await task
        return sealer

    def events(self, recording: str) -> list[str]:
        """Types of the seal journal's events of a recording, in order."""
        return [event.type for event in self.platform.outcomes() if getattr(event, "recording", "") == recording]

    def objects(self, recording: str) -> dict[str, bytes]:
        """What the store holds of a recording."""
        store = self.platform.store
        return {key: store.read(key, 0, store.size(key)) for key in store.keys(f"{recording}/")}
