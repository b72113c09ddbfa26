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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from callward.media.protocol import (
    LINE_MAX_BYTES,
    PROTOCOL,
    ClosedTrack,
    Hello,
    ListedTrack,
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
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
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
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def open_track(self, track: str, session: str, address: str, settings: TrackSettings) -> OpenedTrack:
        """Lease ports on `address` and begin a track; returns when its key and header are synced."""
        fields = await self.request(
            "open_track", {"track": track, "session": session, "address": address, **settings.to_wire()}
        )
        return OpenedTrack(rtp_port=int(fields.get("rtp_port") or 0), rtcp_port=int(fields.get("rtcp_port") or 0))

    async def update_track(self, track: str, changes: Mapping[str, Any]) -> None:
        """Change any of payload types, remote, keys, state, source check, meta (wire form: `TrackSettings.to_wire`)."""
        await self.request("update_track", {"track": track, **changes})

    async def rotate_track(self, track: str, following: str, session: str, meta: Mapping[str, Any]) -> ClosedTrack:
        """End `track` and go on with `following` on the same ports, without losing a packet between them."""
        fields = await self.request(
            "rotate_track", {"track": track, "next": following, "session": session, "meta": dict(meta)}
        )
        return _closed(fields)

    async def close_track(self, track: str) -> ClosedTrack:
        """End a track; returns when all of it stands in the audio journal."""
        return _closed(await self.request("close_track", {"track": track}))

    async def release_track(self, track: str) -> None:
        """The audio of a closed track is not needed here any more: its key is destroyed, its journal space may be freed."""
        await self.request("release_track", {"track": track})

    async def shred_track(self, track: str) -> None:
        """Destroy a track's key at once, also while it is open: nothing of it can be read any more."""
        await self.request("shred_track", {"track": track})

    async def track_stats(self, track: str) -> Mapping[str, Any]:
        return await self.request("track_stats", {"track": track})

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
        """Send one request and wait for its reply.

        Raises:
            MediaRefusedError: the media process said no.
            MediaUnavailableError: no connection, no reply in time, or too many requests waiting.
        """
        writer = self._writer
        if writer is None or self.hello is None:
            _FAILED.labels(op, "unavailable").inc()
            raise MediaUnavailableError("the media process is not connected")
        if len(self._waiting) >= MAX_WAITING:
            _FAILED.labels(op, "waiting").inc()
            raise MediaUnavailableError("too many requests wait for the media process")
        number = next(self._numbers)
        line = encode_request(number, op, arguments)
        loop = asyncio.get_running_loop()
        started = loop.time()
        future: asyncio.Future[Mapping[str, Any]] = loop.create_future()
        self._waiting[number] = future
        try:
            writer.write(line)
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            _FAILED.labels(op, "timeout").inc()
            raise MediaUnavailableError(f"the media process did not answer {op} in {self._timeout_s:g} s") from None
        except MediaRefusedError as error:
            _FAILED.labels(op, error.code).inc()
            raise
        finally:
            self._waiting.pop(number, None)
            _REQUESTS.labels(op).observe(loop.time() - started)

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
            future = self._waiting.get(said.id)
            if future is not None and not future.done():
                if said.error is None:
                    future.set_result(said.fields)
                else:
                    future.set_exception(MediaRefusedError(*said.error))
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
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(MediaUnavailableError("the media process went away"))
        logger.warning("media_lost")
        if self._on_lost is not None:
            self._on_lost()


def _closed(fields: Mapping[str, Any]) -> ClosedTrack:
    stats = fields.get("stats")
    return ClosedTrack(acked_bytes=int(fields.get("acked_bytes") or 0), stats=stats if isinstance(stats, dict) else {})
