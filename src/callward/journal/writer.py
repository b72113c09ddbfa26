"""The writing side of an event journal: group commit in a thread of its own.

`append` frames a record into memory and returns its offset at once; the thread writes what has gathered and calls
`fdatasync`; then everybody
who waits for one of those records is woken. While one sync runs the next group gathers, so that the disk is asked
as rarely as it is slow, and no caller waits for another's turn.

- A failed `fdatasync` (or a failed write other than a full disk) ends the process at once with status 74: the kernel
  may have dropped the pages, so a second
  try that "succeeds" would prove nothing. The journal is recovered at the next start.
- A full disk is no failure: `able` becomes False with the reason in `why`, nothing is acknowledged, records gather in
  memory up to
  `buffer_bytes` (then `append` raises JournalFullError), and the write is tried again each second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import heapq
import itertools
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from callward.journal import cursor, frame, segment
from callward.journal.errors import JournalError, JournalFullError, JournalLockedError, RecordTooLargeError
from callward.journal.frame import Kind
from callward.journal.recovery import Recovered, recover
from callward.platform.ids import new_ulid
from callward.platform.telemetry import logger

SEGMENT_BYTES = 64 * 1024 * 1024
BUFFER_BYTES = 256 * 1024 * 1024
"""Records that wait for the disk: at 600 calls a second with 8 kB each this is most of a minute."""
GATHER_S = 0.005
"""A group gathers at least so long: far below what a caller notices, and a burst of calls shares one sync."""
RETRY_S = 1.0
EXIT_STATUS = 74

_SYNC_SECONDS = Histogram(
    "callward_journal_sync_seconds",
    "Time that fdatasync of an event journal takes",
    ["journal"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
_RECORDS = Counter("callward_journal_records", "Records appended to an event journal", ["journal"])
_ABLE = Gauge("callward_journal_able", "1 while the disk takes what is appended to an event journal", ["journal"])


@dataclass(frozen=True, slots=True)
class _Rotate:
    """From here on records go to the segment that begins at `base`."""

    base: int


class EventJournal:
    """The one writer of a journal. Make it with `open`; `append` may be called from any thread."""

    def __init__(
        self, folder: Path, recovered: Recovered, lock: int, segment_bytes: int, buffer_bytes: int, gather_s: float
    ) -> None:
        self.folder = folder
        self.journal_id = recovered.journal_id or new_ulid()
        self.recovered = recovered
        self.able = True
        self.why = ""
        self._lock = lock
        self._segment_bytes = segment_bytes
        self._buffer_bytes = buffer_bytes
        self._gather_s = gather_s
        self._changed = threading.Condition()
        self._pending: list[bytes | _Rotate] = []
        self._pending_bytes = 0
        self._durable = self._end = recovered.end
        self._waiters: list[tuple[int, int, asyncio.Future[None], asyncio.AbstractEventLoop]] = []
        self._ticket = itertools.count()
        self._stopping = False
        self._thread_waits = False
        self._descriptor = -1
        self._position = 0
        self._durable_file = os.open(folder / segment.DURABLE_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._name = folder.name
        self._sync_seconds = _SYNC_SECONDS.labels(self._name)
        self._records = _RECORDS.labels(self._name)
        self._able_gauge = _ABLE.labels(self._name)
        self._able_gauge.set(1)
        if recovered.last is None or recovered.fresh_segment:
            self._base = self._end
            self._pending.append(_Rotate(self._base))
            self._end += segment.HEADER_BYTES
        else:
            self._base = recovered.last.base
            self._position = recovered.end - self._base
            self._descriptor = os.open(recovered.last.path, os.O_RDWR | os.O_CLOEXEC)
        self._publish(self._durable)
        self._thread = threading.Thread(target=self._run, name=f"journal-{self._name}", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        buffer_bytes: int = BUFFER_BYTES,
        gather_s: float = GATHER_S,
    ) -> EventJournal:
        """Recover the journal in `folder` (made when absent) and begin to write at its end.

        Raises:
            JournalLockedError: another process writes it.
            OSError: the folder cannot be used.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise JournalLockedError(
                f"the journal {folder} is written by another process: stop that one first"
            ) from None
        recovered = recover(folder)
        if recovered.cut_bytes:
            logger.info("journal_tail_cut", journal=str(folder), bytes=recovered.cut_bytes)
        for damage in recovered.damage:
            logger.error("journal_damaged", journal=str(folder), start=damage.start, end=damage.end)
        journal = cls(folder, recovered, lock, segment_bytes, buffer_bytes, gather_s)
        journal._thread.start()
        return journal

    @property
    def durable_offset(self) -> int:
        """Everything before this offset is on the disk."""
        return self._durable

    @property
    def end_offset(self) -> int:
        """Where the next record goes (unless it begins a new segment)."""
        return self._end

    @property
    def waiting_bytes(self) -> int:
        """What was appended and is not yet durable."""
        return self._pending_bytes

    def append(self, payload: bytes, kind: int = Kind.EVENT) -> int:
        """Add a record and return its offset; it is acknowledged only when `wait_durable(offset)` returned.

        Raises:
            JournalFullError: the disk has not taken records for so long that the buffer is full.
            RecordTooLargeError: empty or above `frame.MAX_PAYLOAD_BYTES`.
        """
        if not 0 < len(payload) <= frame.MAX_PAYLOAD_BYTES:
            raise RecordTooLargeError(f"a record has 1 to {frame.MAX_PAYLOAD_BYTES} bytes, not {len(payload)}")
        size = frame.HEADER_BYTES + len(payload)
        with self._changed:
            if self._stopping:
                raise JournalError("the journal is closed")
            if self._pending_bytes + size > self._buffer_bytes:
                raise JournalFullError(
                    f"the journal {self.folder} cannot be written: {self.why or 'the disk is too slow'}"
                )
            if self._end + size > self._base + self._segment_bytes and self._end > self._base + segment.HEADER_BYTES:
                self._base = self._end
                self._end += segment.HEADER_BYTES
                self._pending.append(_Rotate(self._base))
            offset = self._end
            self._pending.append(frame.encode(payload, kind=kind, offset=offset, durable=self._durable))
            self._pending_bytes += size
            self._end += size
            if self._thread_waits:  # a system call, once for each group
                self._thread_waits = False
                self._changed.notify_all()
        self._records.inc()
        return offset

    async def wait_durable(self, offset: int) -> None:
        """Return when the record that begins at `offset` is on the disk."""
        if self._durable > offset:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._changed:
            if self._durable > offset:
                return
            heapq.heappush(self._waiters, (offset, next(self._ticket), future, loop))
        await future

    async def append_durable(self, payload: bytes, kind: int = Kind.EVENT) -> int:
        """Append a record, wait until it is on the disk, return its offset."""
        offset = self.append(payload, kind)
        await self.wait_durable(offset)
        return offset

    def sync(self, timeout_s: float = 30.0) -> bool:
        """Block until all records appended before are on the disk (for threads without a loop); False: not in time."""
        with self._changed:
            end = self._end
            return self._changed.wait_for(lambda: self._durable >= end or not self._pending_bytes, timeout_s)

    def release(self, required: Sequence[str] = ()) -> int:
        """Remove the segments that every consumer has passed; return how many.

        `required`: consumers that must have a cursor at all before anything is removed. The segment that is written is
        never removed.
        """
        cursors = cursor.consumers(self.folder)
        if any(name not in cursors for name in required) or not cursors:
            return 0
        keep_from = min(state.offset if state.journal_id == self.journal_id else 0 for state in cursors.values())
        segments = segment.list_segments(self.folder)
        removed = 0
        for part, following in itertools.pairwise(segments):
            if following.base > keep_from or following.base > self._durable:
                break
            part.path.unlink()
            removed += 1
        if removed:
            segment.sync_folder(self.folder)
        return removed

    async def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits (unless the disk is full for `timeout_s`), and let go of the journal."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join, timeout_s)
        if not self._thread.is_alive():
            os.close(self._durable_file)
            if self._descriptor >= 0:
                os.close(self._descriptor)
            os.close(self._lock)

    # The thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._pending_bytes and not self._stopping:
                    self._thread_waits = True
                    self._changed.wait()
                self._thread_waits = False
                if not self._pending_bytes:
                    return
                stopping = self._stopping
            if not stopping and self._gather_s:
                time.sleep(self._gather_s)
            with self._changed:
                group, self._pending = self._pending, []
                end = self._end
            self._write_group(group)
            size = sum(len(item) for item in group if isinstance(item, bytes))
            with self._changed:
                self._pending_bytes -= size
                self._durable = end
                self._publish(end)
                ready = []
                while self._waiters and self._waiters[0][0] < end:
                    ready.append(heapq.heappop(self._waiters))
                self._changed.notify_all()
            by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
            for _, _, future, loop in ready:
                by_loop.setdefault(loop, []).append(future)
            for loop, futures in by_loop.items():
                with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                    loop.call_soon_threadsafe(_wake, futures)

    def _write_group(self, group: list[bytes | _Rotate]) -> None:
        """Write and sync one group; returns only when it is durable."""
        gathered: list[bytes] = []
        for item in group:
            if isinstance(item, _Rotate):
                self._put(b"".join(gathered))
                gathered = []
                self._begin_segment(item.base)
            else:
                gathered.append(item)
        self._put(b"".join(gathered))
        self._sync_or_die()

    def _begin_segment(self, base: int) -> None:
        """Sync the old segment before the new one exists: then only the last segment can have a torn tail."""
        if self._descriptor >= 0:
            self._sync_or_die()
            os.close(self._descriptor)
        path = segment.path_of(self.folder, base)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        while True:
            try:
                self._descriptor = os.open(path, flags, 0o600)
                break
            except OSError as error:
                self._full_or_die(error)
        self._position = 0
        self._put(segment.encode_header(self.journal_id, base))
        try:
            segment.sync_folder(self.folder)
        except OSError as error:
            self._die("fsync of the folder", error)

    def _put(self, data: bytes) -> None:
        """Write at the end of the segment; a full disk is waited for, and the same bytes go to the same place again."""
        view = memoryview(data)
        while view:
            try:
                written = self._write(self._descriptor, view, self._position)
            except OSError as error:
                self._full_or_die(error)
                continue
            self._position += written
            view = view[written:]
        if data and not self.able:
            self._set_able(True, "")

    def _full_or_die(self, error: OSError) -> None:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            self._die("a write", error)
        if self.able:
            self._set_able(
                False,
                f"no space left for the journal {self.folder}: free some disk space, recording then goes on by itself",
            )
        with self._changed:
            if self._stopping:
                # Nothing of this group was acknowledged; recovery cuts what stands of it.
                raise SystemExit
        time.sleep(RETRY_S)

    def _set_able(self, able: bool, why: str) -> None:
        self.able, self.why = able, why
        self._able_gauge.set(able)
        logger.warning("journal_able", journal=str(self.folder), able=able, why=why)

    def _sync_or_die(self) -> None:
        started = time.monotonic()
        try:
            self._sync(self._descriptor)
        except OSError as error:
            self._die("fdatasync", error)
        self._sync_seconds.observe(time.monotonic() - started)

    def _die(self, what: str, error: OSError) -> None:
        logger.critical("journal_failed", journal=str(self.folder), what=what, error=str(error))
        os._exit(EXIT_STATUS)

    def _write(self, descriptor: int, data: memoryview, position: int) -> int:
        return os.pwrite(descriptor, data, position)

    def _sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def _publish(self, durable: int) -> None:
        """Tell readers in other processes how far they may read. Not synced: recovery finds the end without it."""
        try:
            os.pwrite(self._durable_file, segment.encode_durable(durable), 0)
        except OSError as error:
            logger.warning("journal_not_published", journal=str(self.folder), error=str(error))


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
