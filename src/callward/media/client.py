"""The asyncio client of the media process.

One connection, made again with back-off for as long as the client runs. Requests that wait when the connection breaks
fail with
`MediaUnavailableError`; every operation of the protocol may be repeated. After each connect the callback
`on_connected` gets the
`Hello`: with another `boot` than before the media process was restarted, and its user compares `list_tracks` with what
it thinks is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from callward.media.protocol import (
    LINE_MAX_BYTES,
    PROTOCOL,
    ClosedTrack,
    Hello,
    ListedTrack,
    MediaError,
    MediaEvent,
    MediaRefusedError,
    MediaStatus,
    MediaUnavailableError,
    OpenedTrack,
    Reply,
    TrackSettings,
    decode_line,
    encode_request,
    listed_tracks,
)
from callward.platform.telemetry import logger

REQUEST_TIMEOUT_S = 10.0
"""Opening and closing wait for a sync of the audio journal; a disk slower than this cannot record."""
HELLO_TIMEOUT_S = 5.0
BACK_OFF_FIRST_S = 0.05
BACK_OFF_MAX_S = 2.0
MAX_WAITING = 20_000
"""Requests without a reply; beyond, new ones are refused at once."""

_CONNECTED = Gauge("callward_media_connected", "1 while the media process is connected")
_REQUESTS = Histogram(
    "callward_media_request_seconds",
    "Time to the media process's reply",
    ["op"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
_FAILED = Counter(
    "callward_media_requests_failed", "Requests that the media process refused or did not answer", ["op", "code"]
)


_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Waiting:
    """A request without a reply."""

    op: str
    sent_at: float
    future: asyncio.Future[Mapping[str, Any]]

    def answer(self, reply: Reply, now: float) -> None:
        _seconds_of(self.op).observe(now - self.sent_at)
        if reply.error is not None:
            _FAILED.labels(self.op, reply.error[0]).inc()
            self.fail(MediaRefusedError(*reply.error))
        elif not self.future.done():
            self.future.set_result(reply.fields)

    def fail(self, error: MediaError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@lru_cache(maxsize=64)
def _seconds_of(op: str) -> Histogram:
    return _REQUESTS.labels(op)


class Pending(Generic[_Result]):
    """A request that was sent; `await` it for its reply, which `read` makes of the fields. Errors as in `MediaClient.send`."""

    __slots__ = ("_read", "_reply")

    def __init__(self, reply: asyncio.Future[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], _Result]) -> None:
        self._reply = reply
        self._read = read

    def __await__(self) -> Generator[Any, None, _Result]:
        return self._read((yield from self._reply.__await__()))


class MediaClient:
    """Commands the media process that listens at `path`. Callbacks are synchronous and quick."""

    def __init__(
        self,
        path: Path,
        *,
        on_event: Callable[[MediaEvent], None] | None = None,
        on_connected: Callable[[Hello], None] | None = None,
        on_lost: Callable[[], None] | None = None,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self.path = path
        self.hello: Hello | None = None
        """Of the present connection; None while there is none."""
        self._on_event = on_event
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._timeout_s = request_timeout_s
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, _Waiting] = {}
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self.hello is not None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="media-client")

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait for a connection; False: not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Disconnect for good. The tracks go on."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    # Each of these verbs sends at once; what it returns is awaited for the reply.

    def open_track(self, track: str, session: str, address: str, settings: TrackSettings) -> Pending[OpenedTrack]:
        """Lease ports on `address` and begin a track; the reply comes when its key and header are synced."""
        arguments = {"track": track, "session": session, "address": address, **settings.to_wire()}
        return Pending(self.send("open_track", arguments), _opened)

    def update_track(self, track: str, changes: Mapping[str, Any]) -> Pending[None]:
        """Change any of payload types, remote, keys, state, source check, meta (wire form: `TrackSettings.to_wire`)."""
        return Pending(self.send("update_track", {"track": track, **changes}), _done)

    def rotate_track(self, track: str, following: str, session: str, meta: Mapping[str, Any]) -> Pending[ClosedTrack]:
        """End `track` and go on with `following` on the same ports, without losing a packet between them."""
        arguments = {"track": track, "next": following, "session": session, "meta": dict(meta)}
        return Pending(self.send("rotate_track", arguments), _closed)

    def close_track(self, track: str) -> Pending[ClosedTrack]:
        """End a track; the reply comes when all of it stands in the audio journal."""
        return Pending(self.send("close_track", {"track": track}), _closed)

    def release_track(self, track: str) -> Pending[None]:
        """The audio of a closed track is not needed here any more: its key is destroyed, its journal space may be freed."""
        return Pending(self.send("release_track", {"track": track}), _done)

    def shred_track(self, track: str) -> Pending[None]:
        """Destroy a track's key at once, also while it is open: nothing of it can be read any more."""
        return Pending(self.send("shred_track", {"track": track}), _done)

    async def track_stats(self, track: str) -> Mapping[str, Any]:
        return await self.send("track_stats", {"track": track})

    async def list_tracks(self) -> Sequence[ListedTrack]:
        """All tracks that the media process knows, in the order of their ids; asked for page by page."""
        found: list[ListedTrack] = []
        arguments: dict[str, Any] = {}
        while True:
            fields = await self.request("list_tracks", arguments)
            page = listed_tracks(fields)
            found += page
            if fields.get("more") is not True or not page or page[-1].track <= arguments.get("after", ""):
                return found
            arguments = {"after": page[-1].track}

    async def status(self) -> MediaStatus:
        fields = await self.request("status", {})
        return MediaStatus(
            able=bool(fields.get("able")),
            why=str(fields.get("why") or ""),
            open_tracks=int(fields.get("open_tracks") or 0),
            raw=fields,
        )

    async def metrics(self) -> str:
        """Prometheus exposition of the media process."""
        return str((await self.request("metrics", {})).get("text", ""))

    async def request(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one request and wait for its reply; errors as in `send`."""
        return await self.send(op, arguments)

    def send(self, op: str, arguments: Mapping[str, Any]) -> asyncio.Future[Mapping[str, Any]]:
        """Send one request, together with others of this turn of the loop; the future gets the fields of its reply.

        Or it gets `MediaRefusedError` (the media process said no) or `MediaUnavailableError` (no connection, no reply in time,
        too many requests waiting).
        """
        future: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        if self._writer is None or self.hello is None:
            _FAILED.labels(op, "unavailable").inc()
            future.set_exception(MediaUnavailableError("the media process is not connected"))
        elif len(self._waiting) >= MAX_WAITING:
            _FAILED.labels(op, "waiting").inc()
            future.set_exception(MediaUnavailableError("too many requests wait for the media process"))
        else:
            self._enqueue(op, arguments, future)
        return future

    def _enqueue(self, op: str, arguments: Mapping[str, Any], future: asyncio.Future[Mapping[str, Any]]) -> None:
        number = next(self._numbers)
        try:
            line = encode_request(number, op, arguments)
        except MediaError as error:
            future.set_exception(error)
            return
        if not self._unsent:
            self._loop.call_soon(self._write)
        self._unsent.append(line)
        self._waiting[number] = _Waiting(op, self._loop.time(), future)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._give_up)

    def _write(self) -> None:
        lines, self._unsent = self._unsent, []
        if self._writer is not None and lines:
            self._writer.write(b"".join(lines))

    def _give_up(self) -> None:
        """Requests wait in the order in which they were sent: one timer, for the oldest, is enough."""
        self._timer = None
        now = self._loop.time()
        while self._waiting:
            number, oldest = next(iter(self._waiting.items()))
            left_s = oldest.sent_at + self._timeout_s - now
            if left_s > 0:
                self._timer = self._loop.call_later(left_s, self._give_up)
                return
            del self._waiting[number]
            _FAILED.labels(oldest.op, "timeout").inc()
            oldest.fail(MediaUnavailableError(f"the media process did not answer {oldest.op} in {self._timeout_s:g} s"))

    async def _run(self) -> None:
        delay = BACK_OFF_FIRST_S
        while True:
            try:
                if await self._converse():
                    delay = BACK_OFF_FIRST_S
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                logger.debug("media_connection_failed", error=str(error))
            await asyncio.sleep(delay * (0.5 + random.random()))  # noqa: S311
            delay = min(delay * 2, BACK_OFF_MAX_S)

    async def _converse(self) -> bool:
        """One connection from hello to its end; True when it was of use."""
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=LINE_MAX_BYTES)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = decode_line(await reader.readuntil(b"\n"))
            if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
                logger.error("media_protocol_unknown", hello=repr(hello)[:200], wanted=PROTOCOL)
                return False
            self._writer, self.hello = writer, hello
            self._connected.set()
            _CONNECTED.set(1)
            logger.info("media_connected", boot=hello.boot, version=hello.version, pid=hello.pid)
            if self._on_connected is not None:
                self._on_connected(hello)
            while line := await reader.readline():
                self._take(line)
        finally:
            self._lose(writer)
        return True

    def _take(self, line: bytes) -> None:
        said = decode_line(line)
        if isinstance(said, Reply):
            waiting = self._waiting.pop(said.id, None)
            if waiting is not None:
                waiting.answer(said, self._loop.time())
        elif isinstance(said, MediaEvent):
            if self._on_event is not None:
                self._on_event(said)
        else:
            logger.warning("media_line_unknown", line=line[:200].decode(errors="replace"))

    def _lose(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        if self._writer is not writer:
            return
        self._writer = self.hello = None
        self._connected.clear()
        _CONNECTED.set(0)
        lost, self._waiting = self._waiting, {}
        self._unsent = []
        for waiting in lost.values():
            waiting.fail(MediaUnavailableError("the media process went away"))
        logger.warning("media_lost")
        if self._on_lost is not None:
            self._on_lost()


def _done(fields: Mapping[str, Any]) -> None:
    """The reply says no more than that it was done."""


def _opened(fields: Mapping[str, Any]) -> OpenedTrack:
    return OpenedTrack(rtp_port=int(fields.get("rtp_port") or 0), rtcp_port=int(fields.get("rtcp_port") or 0))


def _closed(fields: Mapping[str, Any]) -> ClosedTrack:
    stats = fields.get("stats")
    return ClosedTrack(acked_bytes=int(fields.get("acked_bytes") or 0), stats=stats if isinstance(stats, dict) else {})
