"""Journals, store and keys of a Callward without its processes, in a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from callward.archive.apply import apply_event
from callward.archive.ingest import Ingest
from callward.archive.keys import ArchiveKeys
from callward.archive.sealer import Sealer
from callward.archive.stored import StoredArchive
from callward.journal import EventJournal, JournalReader
from callward.media.codec_process import CodecPool
from callward.platform.blobs_folder import FolderStore
from callward.platform.database import Database
from callward.recorder.sealing.seal import SealOptions
from callward.records.apply import Applier, Source
from callward.records.events import EVENT, Event
from tests.archive.recorded_calls import FolderExtractor


class Platform:
    """Journals, store and keys in a folder; for a sealer also the media process's `Tracks`."""

    def __init__(self, root: Path, codecs: CodecPool, codec: str = "opus") -> None:
        self.recorder, self.seal = root / "recorder", root / "seal"
        self.store = FolderStore(root / "blobs")
        self.keys = ArchiveKeys(root / "keys")
        self.tracks = root / "tracks"
        self.released: list[str] = []
        self.ingest = Ingest(
            self.seal / "spool",
            FolderExtractor(self.tracks),
            codecs,
            self.keys,
            self.store,
            SealOptions(codec, 32_000),  # type: ignore[arg-type]
        )
        self.archive = StoredArchive(self.store, self.keys, codecs)

    async def knows(self, track: str) -> bool:
        return (self.tracks / track).is_file()

    async def release(self, track: str) -> None:
        self.released.append(track)

    async def journal(self, *events: Event) -> None:
        journal = EventJournal.open(self.recorder)
        for event in events:
            await journal.append_durable(event.model_dump_json().encode())
        await journal.close()

    async def run_sealer(self) -> None:
        stopping = asyncio.Event()
        sealer = Sealer(self.recorder, self.seal, self.ingest, self, 2)
        task = asyncio.create_task(sealer.run(stopping))
        wait = asyncio.create_task(sealer.idle.wait())
        await asyncio.wait({task, wait}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        wait.cancel()
        await task

    async def apply(self, database: Database) -> None:
        for name, folder in (("seal", self.seal), ("recorder", self.recorder)):
            applier = Applier(database, Source("local", name, folder), [apply_event])
            while await applier.step():
                pass

    def outcomes(self) -> list[Event]:
        """What the seal journal says."""
        return [EVENT.validate_json(record.payload) for record in JournalReader(self.seal).read()]
