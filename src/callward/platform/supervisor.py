"""A small supervisor: starts children in order, keeps their sockets, restarts with back-off, stops in reverse order.

Life of a child: `starting` → (READY=1) `ready` → `stopping` → `stopped`; a child that ends by itself waits in
`backing_off` and starts again, with the sockets that it had stored (FDSTORE=1). The wait doubles from 0.2 s to 30 s
and is forgotten after a minute of health.
No child outlives the supervisor: each gets a signal from the kernel when its parent dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from callward.platform import child
from callward.platform.notify import open_channel, receive
from callward.platform.telemetry import logger

BACK_OFF_FIRST_S = 0.2
BACK_OFF_MAX_S = 30.0
HEALTHY_AFTER_S = 60.0
STOP_TIMEOUT_S = 15.0
STORED_DESCRIPTORS_MAX = 65_536

State = Literal["starting", "ready", "backing_off", "stopping", "stopped"]


class ChildFailedError(Exception):
    """A child did not become ready in time."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What the supervisor has to know of one child."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: pwd.struct_passwd | None = None
    notifies: bool = True
    """False: it does not speak the notification protocol; `probe` says when it is ready."""
    probe: Callable[[], bool] | None = None
    stop_signal: int = signal.SIGTERM
    """Also what the kernel sends it when the supervisor dies."""
    before_start: Callable[[], None] | None = None
    """Runs before each start, for example to clean up after a kill."""


class Child:
    """One child: its process, its state and its stored sockets."""

    def __init__(self, spec: ChildSpec, runtime: Path, on_change: Callable[[Child], None]) -> None:
        self.spec = spec
        self.state: State = "stopped"
        self.pid: int | None = None
        self.restarts = 0
        self.stored: dict[tuple[int, int], tuple[str, int]] = {}
        """Stored descriptors by device and inode: name and descriptor."""
        self._on_change = on_change
        self._back_off_s = BACK_OFF_FIRST_S
        self._started = 0.0
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._path = runtime / f"notify-{spec.name}.sock"
        self._channel: socket.socket | None = None
        self._stored_from = child.raise_descriptor_limit()

    def start(self) -> None:
        """Begin the child's life; `wait_ready` says when it can be used."""
        self._stop.clear()
        if self.spec.notifies:
            self._channel = open_channel(self._path)
            asyncio.get_running_loop().add_reader(self._channel, self._read_notices)
        self._task = asyncio.create_task(self._live(), name=f"child-{self.spec.name}")

    async def wait_ready(self, timeout_s: float = 90.0) -> None:
        """Wait until it is ready.

        Raises:
            ChildFailedError: not in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise ChildFailedError(
                f"{self.spec.name} is not ready after {timeout_s:.0f} s ({self.restarts} restarts): see its log above"
            ) from None

    async def stop(self) -> None:
        """Stop it and let go of its sockets; killed when it does not stop in time."""
        self._stop.set()
        if self.pid is not None:
            self._set("stopping")
            self._signal(self.spec.stop_signal)
        if self._task is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._task), STOP_TIMEOUT_S)
            except TimeoutError:
                logger.warning("child_killed", child=self.spec.name, after_s=STOP_TIMEOUT_S)
                self._signal(signal.SIGKILL)
                await self._task
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
            self._path.unlink(missing_ok=True)
        self._forget(lambda name: True)
        self._set("stopped")

    def _signal(self, number: int) -> None:
        if self.pid is not None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state = state
            (self._ready.set if state == "ready" else self._ready.clear)()
            self._on_change(self)

    async def _live(self) -> None:
        while not self._stop.is_set():
            status = await self._run_once()
            if self._stop.is_set():
                return
            if time.monotonic() - self._started > HEALTHY_AFTER_S:
                self._back_off_s = BACK_OFF_FIRST_S
            self._set("backing_off")
            self.restarts += 1
            logger.error("child_ended", child=self.spec.name, ended=_describe(status), again_in_s=self._back_off_s)
            try:
                await asyncio.wait_for(self._stop.wait(), self._back_off_s)
            except TimeoutError:
                self._back_off_s = min(self._back_off_s * 2, BACK_OFF_MAX_S)

    async def _run_once(self) -> int:
        if self.spec.before_start is not None:
            try:
                self.spec.before_start()
            except Exception as error:
                logger.error("child_not_started", child=self.spec.name, why=str(error))
                return -1
        environment = {**os.environ, "CALLWARD_SERVICE": "supervised", **self.spec.environment}
        if self._channel is not None:
            environment["NOTIFY_SOCKET"] = str(self._path)
        self._started = time.monotonic()
        self.pid = child.start(
            child.Program(
                self.spec.arguments,
                environment,
                user=self.spec.user,
                death_signal=self.spec.stop_signal,
                descriptors=tuple(self.stored.values()),
            )
        )
        self._set("starting")
        descriptor = os.pidfd_open(self.pid)
        loop = asyncio.get_running_loop()
        self._ended.clear()
        loop.add_reader(descriptor, self._ended.set)
        try:
            await self._watch()
            return os.waitpid(self.pid, 0)[1]  # noqa: ASYNC222 (it has ended: this does not wait)
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self.pid = None

    async def _watch(self) -> None:
        """Wait for the end; meanwhile probe a child that does not notify."""
        while self.spec.probe is not None and not self._ended.is_set() and self.state == "starting":
            if await asyncio.to_thread(self.spec.probe):
                self._set("ready")
                break
            try:
                await asyncio.wait_for(self._ended.wait(), 0.2)
            except TimeoutError:
                continue
        await self._ended.wait()

    def _read_notices(self) -> None:
        while self._channel is not None and (notice := receive(self._channel)) is not None:
            name = notice.values.get("FDNAME", "stored")
            for descriptor in notice.descriptors:
                if "FDSTORE" in notice.values:
                    self._store(name, descriptor)
                os.close(descriptor)
            if "FDSTOREREMOVE" in notice.values:
                self._forget(lambda stored, name=name: stored == name)  # type: ignore[misc]
            if notice.values.get("READY") == "1" and self.state == "starting":
                self._set("ready")

    def _store(self, name: str, descriptor: int) -> None:
        """Keep a copy of a descriptor; the same socket is kept once, however often it is stored."""
        found = os.fstat(descriptor)
        key = (found.st_dev, found.st_ino)
        if key not in self.stored and len(self.stored) < STORED_DESCRIPTORS_MAX:
            self.stored[key] = (name, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, self._stored_from))

    def _forget(self, chosen: Callable[[str], bool]) -> None:
        for key, (name, descriptor) in list(self.stored.items()):
            if chosen(name):
                os.close(descriptor)
                del self.stored[key]


def _describe(status: int) -> str:
    if status < 0:
        return "could not be started"
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.WEXITSTATUS(status)}"


class Supervisor:
    """All children of one machine."""

    def __init__(self, runtime: Path) -> None:
        self.children: dict[str, Child] = {}
        self._runtime = runtime

    def add(self, spec: ChildSpec) -> Child:
        """Add a child and start it."""
        one = Child(spec, self._runtime, self._log_change)
        self.children[spec.name] = one
        one.start()
        return one

    async def stop(self) -> None:
        """Stop all children, the last one first."""
        for one in reversed(list(self.children.values())):
            await one.stop()

    def _log_change(self, one: Child) -> None:
        logger.info("child", child=one.spec.name, state=one.state, pid=one.pid)
