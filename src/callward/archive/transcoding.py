"""Downloads that are encoded while they are sent: bounded, in threads of their own, never held by a client that stopped reading."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from prometheus_client import Counter, Gauge

from callward.archive.encryption import EncryptionError
from callward.archive.service import ArchiveError, BusyError
from callward.platform.blobs import BlobStoreError

IDLE_S = 30.0
"""A client that takes no piece for so long loses its download."""

_ACTIVE = Gauge("callward_archive_transcodes_active", "Downloads that are being encoded")
_ENDED = Counter("callward_archive_transcodes_refused_total", "Downloads refused or given up", ["why"])


class Transcodes:
    """At most `limit` at a time; further ones are refused at once, so that nothing else of the portal waits behind them."""

    def __init__(self, limit: int, idle_s: float = IDLE_S) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._active: set[_Transcode] = set()
        self._threads = ThreadPoolExecutor(limit, "transcode")

    @property
    def active(self) -> int:
        """How many there are."""
        return len(self._active)

    def check(self) -> None:
        """Raise BusyError when there is no room for one more."""
        if len(self._active) >= self._limit:
            _ENDED.labels("busy").inc()
            raise BusyError(f"{self._limit} downloads are being converted, and more are not possible at a time")

    def start(self, make: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
        """The pieces of a blocking iterator; close it with `aclose`. Raises BusyError."""
        self.check()
        found = _Transcode(make(), self._threads, self._idle_s, self._forget)
        self._active.add(found)
        _ACTIVE.set(len(self._active))
        return found

    def _forget(self, ended: _Transcode) -> None:
        self._active.discard(ended)
        _ACTIVE.set(len(self._active))

    def close(self) -> None:
        """Let the threads go; what runs ends with its codec worker."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Transcode:
    """One download. It holds its room from its making until its iterator is closed, which a clock does when nobody reads."""

    def __init__(
        self,
        pieces: Iterator[bytes],
        threads: ThreadPoolExecutor,
        idle_s: float,
        ended: Callable[[_Transcode], None],
    ) -> None:
        self._pieces = pieces
        self._threads = threads
        self._idle_s = idle_s
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._making: asyncio.Future[bytes | None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._idle = self._loop.call_later(idle_s, self._give_up)
        self._too_slow = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._too_slow:
            raise ArchiveError(f"nothing was read for {self._idle_s:g} s, so the download was given up")
        if self._closing is not None:
            raise StopAsyncIteration
        self._idle.cancel()
        self._making = self._loop.run_in_executor(self._threads, next, self._pieces, None)
        try:
            piece = await asyncio.shield(self._making)
        except (EncryptionError, BlobStoreError) as error:
            await self.aclose()
            raise ArchiveError(str(error)) from error
        except BaseException:
            self._close()  # a client that goes away cancels this: the thread ends its piece first
            raise
        if piece is None:
            await self.aclose()
            raise StopAsyncIteration
        self._idle = self._loop.call_later(self._idle_s, self._give_up)
        return piece

    async def aclose(self) -> None:
        """Stop encoding and give the room back."""
        await asyncio.shield(self._close())

    def _give_up(self) -> None:
        self._too_slow = True
        _ENDED.labels("too_slow").inc()
        self._close()

    def _close(self) -> asyncio.Task[None]:
        self._idle.cancel()
        if self._closing is None:
            self._closing = self._loop.create_task(self._end())
        return self._closing

    async def _end(self) -> None:
        try:
            if self._making is not None:
                await asyncio.wait([self._making])
            close = cast("Callable[[], None] | None", getattr(self._pieces, "close", None))
            if close is not None:
                with contextlib.suppress(RuntimeError):  # the threads are gone: the portal stops
                    await self._loop.run_in_executor(self._threads, close)
        finally:
            self._ended(self)
