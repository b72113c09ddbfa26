"""The sealing process: from `recording_ended` in the recorder's journal to a stored recording, exactly once.

Theory of operation. Ended recordings are taken in the order of the recorder's journal and go through three stages:
*prepare* (extract, decode, encode, encrypt into the spool; `jobs` at a time), *store* (put every object and have its
checksum proved, then write `recording_stored` into the seal journal and wait until that is on the disk), *release* (the
media process may forget the tracks). A recording is done when `recording_released` is written. The cursor in the
recorder's journal stands at the first recording that is not done; after a crash everything from there on is looked at
again, and what the seal journal already holds is not repeated. The cursor in the seal journal keeps everything that the
life after the next start must know. A recording whose manifest the object store holds is never sealed again.

While the object store is down, prepared recordings wait in the spool, at most `SPOOL_RECORDINGS`; then sealing waits too,
and the audio in its journal. A recording that fails on its own is set aside with an alarm and tried again later, so that
the others go on.
"""

from __future__ import annotations

import asyncio
import collections
import errno
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from callward.archive.extraction import ExtractionError, TrackOpenError
from callward.archive.ingest import AlreadyStoredError, Ingest, Outcome, TrackUnconfirmedError
from callward.archive.sealer_watch import SealerWatch
from callward.archive.tracks import Tracks
from callward.journal import Cursor, EventJournal, JournalFullError, JournalReader, OffsetGoneError
from callward.media.codec_process import CodecError
from callward.media.protocol import MediaError, MediaRefusedError
from callward.platform.blobs import BlobStoreError
from callward.platform.telemetry import logger
from callward.recorder.sealing.ogg import OggHeadError
from callward.records.events import (
    EVENT,
    RecordingEnded,
    RecordingFailed,
    RecordingReleased,
    RecordingStored,
    SystemEvent,
)

CONSUMER = "seal"
WORKER = "worker"
SPOOL_RECORDINGS = 1000
STORES_AT_A_TIME = 4
ATTEMPTS = 5
"""Then no master is tried any more and the packets themselves are stored."""
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 60.0
POLL_S = 0.1
TIDY_INTERVAL_S = 30.0
WATCH_INTERVAL_S = 1.0
HOLD_MAX_S = 60.0
"""A recording that fails for so long makes room for the next one, however few attempts that were."""
RELEASE_ATTEMPTS = 3
ASIDE_FIRST_S = 60.0
ASIDE_LONGEST_S = 3600.0
ASIDE_MAX = 1000
"""Recordings that wait aside at most; then the next ones wait too."""

_STORED = Counter("callward_seal_recordings_total", "Recordings that left the sealer", ["outcome"])
_WAITING = Gauge("callward_seal_waiting_recordings", "Ended recordings that are not stored yet")
_PREPARE = Histogram(
    "callward_seal_prepare_seconds", "Time to decode, encode and encrypt", buckets=(0.1, 1, 5, 15, 60, 300)
)
_RETRIES = Counter("callward_seal_retries_total", "Steps that have to be tried again", ["step"])


@dataclass(slots=True)
class _Item:
    """A place in the recorder's journal that may have work to be done."""

    offset: int
    next_offset: int
    ended: RecordingEnded | None = None
    stored: Outcome | None = None
    seal_offset: int | None = None
    """Where the seal journal has the first that it knows of the recording."""
    done: bool = False
    asides: int = 0
    """How often it was set aside."""


class _TriedEnoughError(Exception):
    """A recording fails again and again: others go first."""


class Sealer:
    """See the module's text. `run` works until `stopping` is set."""

    def __init__(
        self,
        recorder_journal: Path,
        seal_journal: Path,
        ingest: Ingest,
        tracks: Tracks,
        jobs: int,
        watch: SealerWatch | None = None,
    ) -> None:
        self._recorder_journal = recorder_journal
        self._seal_journal = seal_journal
        self._ingest = ingest
        self._tracks = tracks
        self._jobs = jobs
        self._watch = watch or SealerWatch()
        self._timers: set[asyncio.Task[None]] = set()
        self._items: collections.deque[_Item] = collections.deque()
        self._to_prepare: asyncio.Queue[_Item] = asyncio.Queue(jobs * 2)
        self._to_store: asyncio.Queue[_Item] = asyncio.Queue(SPOOL_RECORDINGS)
        self._to_release: asyncio.Queue[_Item] = asyncio.Queue()
        self._outcomes: dict[str, tuple[Outcome, int]] = {}
        self._released: dict[str, int] = {}
        """Recordings that are done, and where the seal journal has the first that it knows of them."""
        self._passed: int | None = None
        """Where the recorder's cursor belongs; None when both cursors stand where they should."""
        self._kept: int | None = None
        """Where the recorder's cursor stands on the disk."""
        self._cursor_failed = False
        self._stopping = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while nothing waits: for the tests and the health page."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Seal what ends, until `stopping` is set; what is under way is finished after the next start."""
        self._stopping = stopping
        journal = EventJournal.open(self._seal_journal)
        try:
            self._remember(journal)
            await asyncio.to_thread(self._ingest.sweep, frozenset(self._released))
            tasks = [asyncio.create_task(self._read(journal))]
            tasks += [asyncio.create_task(self._prepare()) for _ in range(self._jobs)]
            tasks += [asyncio.create_task(self._store(journal)) for _ in range(STORES_AT_A_TIME)]
            tasks += [asyncio.create_task(self._give_up_tracks(journal)), asyncio.create_task(self._tidy(journal))]
            tasks += [asyncio.create_task(self._watch_over(journal))]
            stop = asyncio.create_task(stopping.wait())
            try:
                done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stop}:
                    task.result()
            finally:
                stop.cancel()
                tasks += self._timers
                for task in tasks:
                    task.cancel()
                await asyncio.gather(stop, *tasks, return_exceptions=True)
        finally:
            await journal.close()

    def _remember(self, journal: EventJournal) -> None:
        """Learn from the seal journal what is stored and released already."""
        state = Cursor(self._seal_journal, CONSUMER).load()
        start = state.offset if state is not None and state.journal_id == journal.journal_id else 0
        reader = JournalReader(self._seal_journal)
        reader.offset = max(start, reader.first_offset())
        while records := reader.read():
            for record in records:
                event = EVENT.validate_json(record.payload)
                if isinstance(event, RecordingStored) or (isinstance(event, RecordingFailed) and not event.retry):
                    self._outcomes.setdefault(event.recording, (event, record.offset))
                elif isinstance(event, RecordingReleased):
                    known = self._outcomes.get(event.recording)
                    self._released.setdefault(event.recording, record.offset if known is None else known[1])

    async def _read(self, journal: EventJournal) -> None:
        """Follow the recorder's journal from the cursor on."""
        cursor = Cursor(self._recorder_journal, CONSUMER)
        reader = JournalReader(self._recorder_journal)
        while (journal_id := reader.journal_id()) is None:
            self.idle.set()
            await asyncio.sleep(POLL_S)
        state = cursor.load()
        if state is not None and state.journal_id == journal_id:
            reader.offset = state.offset
        while True:
            place = reader.offset
            try:
                records = reader.read(100)
            except OffsetGoneError:
                logger.error("recorder_journal_records_gone", offset=reader.offset)
                reader.offset = reader.first_offset()
                continue
            except OSError as error:
                reader.offset = place  # nothing of this batch was taken
                await self._retry("read", "", 1, error)
                continue
            for record in records:
                item = _Item(record.offset, record.next_offset)
                try:
                    event = EVENT.validate_json(record.payload)
                except ValueError as error:
                    logger.error("recorder_event_unreadable", offset=record.offset, error=str(error)[:500])
                    event = None
                if isinstance(event, RecordingEnded) and event.recording not in self._released:
                    item.ended = event
                    self.idle.clear()
                else:
                    item.done = True
                    if isinstance(event, RecordingEnded):
                        item.seal_offset = self._released[event.recording]
                        await asyncio.to_thread(self._ingest.discard, event.recording)
                self._items.append(item)
                if item.ended is not None:
                    await self._enter(item)
            self._advance(journal, journal_id, cursor, caught_up=not records)
            if not records:
                await asyncio.sleep(POLL_S)

    async def _enter(self, item: _Item) -> None:
        """Put a recording to the stage where it belongs."""
        assert item.ended is not None
        _WAITING.inc()
        known = self._outcomes.get(item.ended.recording)
        if known is not None:
            item.stored, item.seal_offset = known
            await self._to_release.put(item)
        else:
            await self._to_prepare.put(item)

    def _advance(self, journal: EventJournal, journal_id: str, cursor: Cursor, *, caught_up: bool) -> None:
        """Move the cursors over what is done, the recorder's first.

        The seal journal's moves only when all of the recorder's journal was read: what was not read may need it.
        """
        while self._items and self._items[0].done:
            self._passed = self._items.popleft().next_offset
        if all(item.done for item in self._items):
            self.idle.set()
        if self._passed is None:
            return
        try:
            if self._kept != self._passed:
                cursor.store(journal_id, self._passed)
                self._kept = self._passed
            if caught_up:
                durable = journal.durable_offset
                needed = [item.seal_offset for item in self._items if item.seal_offset is not None]
                Cursor(self._seal_journal, CONSUMER).store(journal.journal_id, min([*needed, durable]))
                self._passed = None
                self._outcomes.clear()
                self._released.clear()
        except OSError as error:
            if not self._cursor_failed:
                logger.error("seal_cursor_not_stored", error=str(error))
            self._cursor_failed = True
        else:
            self._cursor_failed = False

    async def _prepare(self) -> None:
        while True:
            item = await self._to_prepare.get()
            assert item.ended is not None
            try:
                item.stored = await self._prepare_one(item.ended)
            except AlreadyStoredError:
                await self._leave(item)
            except _TriedEnoughError as error:
                self._set_aside(item, self._to_prepare, str(error))
            else:
                self._watch.went_on(item.ended.recording)
                await self._to_store.put(item)

    async def _prepare_one(self, ended: RecordingEnded) -> Outcome:
        """Seal a recording into the spool. Raises AlreadyStoredError, and _TriedEnoughError when it fails again and again."""
        attempt = spoilt = 0
        gone: set[str] = set()
        started = time.monotonic()
        while True:
            attempt += 1
            failure: Exception
            try:
                with _PREPARE.time():
                    return await asyncio.to_thread(self._ingest.prepare, ended, gone=gone, give_up=spoilt >= ATTEMPTS)
            except AlreadyStoredError:
                raise
            except TrackUnconfirmedError as error:
                if await self._is_gone(error.track):
                    gone.add(error.track)
                    continue
                failure = error
            except (ExtractionError, OSError) as error:  # the disk, not the recording: never give up for that
                failure = error
            except (CodecError, OggHeadError, TrackOpenError) as error:
                failure = error
                if spoilt < ATTEMPTS:
                    spoilt, attempt, started = spoilt + 1, 0, time.monotonic()
            except Exception as error:
                logger.exception("seal_error", recording=ended.recording, attempt=attempt)
                failure = error
                if spoilt < ATTEMPTS:
                    spoilt, attempt = ATTEMPTS, 0
            enough = attempt >= ATTEMPTS or time.monotonic() - started > HOLD_MAX_S
            disk_full = isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT)
            if enough and not disk_full and len(self._timers) < ASIDE_MAX:
                raise _TriedEnoughError(str(failure)[:500] or type(failure).__name__) from failure
            await self._retry("prepare", ended.recording, max(attempt, spoilt), failure)

    def _set_aside(self, item: _Item, queue: asyncio.Queue[_Item], why: str) -> None:
        """Let others go first: the recording comes back to its queue after a time that grows."""
        assert item.ended is not None
        delay = min(ASIDE_LONGEST_S, ASIDE_FIRST_S * 2 ** min(item.asides, 10)) * (0.5 + random.random() / 2)  # noqa: S311
        item.asides += 1
        logger.error("recording_set_aside", recording=item.ended.recording, times=item.asides, why=why)
        self._watch.set_aside(item.ended.recording, why)

        async def come_back() -> None:
            await asyncio.sleep(delay)
            await queue.put(item)

        timer = asyncio.create_task(come_back())
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _retry(self, step: str, recording: str, attempt: int, error: Exception) -> None:
        """Note that a step failed, and wait before it is tried again."""
        logger.warning(f"{step}_retry", recording=recording, attempt=attempt, error=str(error)[:500])
        _RETRIES.labels(step).inc()
        await _back_off(attempt)

    async def _append(self, journal: EventJournal, event: Outcome | RecordingReleased | SystemEvent) -> int:
        """Write to the seal journal as soon as it takes more; returns the offset."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return journal.append(event.model_dump_json().encode())
            except JournalFullError as error:
                await self._retry("journal", getattr(event, "recording", ""), attempt, error)

    async def _is_gone(self, track: str) -> bool:
        """Say whether the media process is there and does not know the track: then nothing of it can come any more."""
        try:
            return not await self._tracks.knows(track)
        except MediaError:
            return False

    async def _leave(self, item: _Item) -> None:
        """The archive holds the recording, though the seal journal says nothing of it: nothing is written over or given up."""
        assert item.ended is not None
        logger.warning("recording_stored_before", recording=item.ended.recording)
        self._watch.went_on(item.ended.recording)
        await asyncio.to_thread(self._ingest.discard, item.ended.recording)
        item.done = True
        _WAITING.dec()

    async def _store(self, journal: EventJournal) -> None:
        while True:
            item = await self._to_store.get()
            assert item.stored is not None
            outcome = item.stored
            attempt = 0
            stored_before = False
            while True:
                attempt += 1
                try:
                    await asyncio.to_thread(self._ingest.put, outcome)
                    self._watch.store_worked()
                    break
                except AlreadyStoredError:
                    self._watch.store_worked()
                    stored_before = True
                    break
                except (BlobStoreError, OSError) as error:
                    self._watch.store_failed(time.monotonic(), str(error)[:500])
                    await self._retry("store", outcome.recording, attempt, error)
            if stored_before:
                await self._leave(item)
                continue
            self._ingest.checkpoint("stored")
            item.seal_offset = await self._append(journal, outcome)
            await journal.wait_durable(item.seal_offset)
            self._ingest.checkpoint("journaled")
            _STORED.labels("ready" if isinstance(outcome, RecordingStored) else "failed").inc()
            logger.info("recording_stored", recording=outcome.recording, type=outcome.type)
            await self._to_release.put(item)

    async def _give_up_tracks(self, journal: EventJournal) -> None:
        """Tell the media process, one recording after the other; it may be away for a while."""
        while True:
            item = await self._to_release.get()
            assert item.ended is not None
            try:
                for track in item.ended.tracks:
                    await self._give_up_track(track.track)
                    self._ingest.checkpoint("released")
            except _TriedEnoughError as error:
                self._set_aside(item, self._to_release, str(error))
                continue
            self._watch.went_on(item.ended.recording)
            released = RecordingReleased(recording=item.ended.recording, at=datetime.now(UTC))
            await journal.wait_durable(await self._append(journal, released))
            self._ingest.checkpoint("done")
            await asyncio.to_thread(self._ingest.discard, item.ended.recording)
            item.done = True
            _WAITING.dec()

    async def _give_up_track(self, track: str) -> None:
        """Wait for a media process that is away, not for one that refuses: then raise _TriedEnoughError."""
        attempt = refused = 0
        while True:
            attempt += 1
            try:
                return await self._tracks.release(track)
            except MediaRefusedError as error:
                if error.code == "unknown_track":
                    return None
                logger.warning("release_refused", track=track, error=str(error))
                refused += 1
                if refused >= RELEASE_ATTEMPTS and len(self._timers) < ASIDE_MAX:
                    raise _TriedEnoughError(f"track {track} cannot be released: {error}") from error
            except MediaError:
                pass
            _RETRIES.labels("release").inc()
            await _back_off(attempt)

    async def _watch_over(self, journal: EventJournal) -> None:
        """Keep health and metrics true, and write the alarms."""
        while True:
            oldest = next((item.ended.ended_at for item in self._items if item.ended and not item.done), None)
            for event in self._watch.look(datetime.now(UTC), time.monotonic(), oldest):
                logger.warning(event.code, detail=event.detail)
                await self._append(journal, event)
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def _tidy(self, journal: EventJournal) -> None:
        """Free the seal journal's segments that everybody has read."""
        while True:
            await asyncio.sleep(TIDY_INTERVAL_S)
            try:
                journal.release(required=(CONSUMER, WORKER))
            except OSError as error:
                logger.error("seal_journal_not_freed", error=str(error))


async def _back_off(attempt: int) -> None:
    """Wait longer each time, never in step with others."""
    longest = min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2 ** min(attempt - 1, 10))
    await asyncio.sleep(longest * (0.5 + random.random() / 2))  # noqa: S311 - no secret
