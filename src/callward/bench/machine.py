"""Some processes of Callward for a benchmark, with folders and ports of their own, under the real supervisor's rules."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from callward.media.program import media_program, write_configuration
from callward.platform.notify import open_channel, receive
from callward.platform.paths import DataPaths
from callward.platform.settings import Settings, load_settings

START_TIMEOUT_S = 20.0


class BenchStartError(Exception):
    """A process did not start; its log is shown."""


class BenchMachine:
    """Starts the named processes (`media`, `recorder`) and stops them at the end."""

    def __init__(self, folder: Path, names: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
        self.sip_port = free_port()
        self.environment = {
            "CALLWARD_DATA": str(folder / "var"),
            "CALLWARD_RECORDER__SIP_PORT": str(self.sip_port),
            "CALLWARD_RECORDER__TLS_PORT": str(free_port()),
            "CALLWARD_LOG__LEVEL": "warning",
            "CALLWARD_LOG__FORMAT": "json",
            "CALLWARD_SERVICE": "supervised",
            "CALLWARD_MEDIA__JOURNAL_MAX_BYTES": str(40 << 30),
            **(environment or {}),
        }
        self.settings: Settings = load_settings(environment=self.environment)
        self.paths = DataPaths(self.settings.data)
        self._names = names
        self._log = folder / "log"
        self._stopping = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def pid(self, name: str) -> int:
        """The pid of a process."""
        return self._processes[name].pid

    def __enter__(self) -> BenchMachine:
        self.paths.create()
        for name in self._names:
            self._start(name)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stopping.set()
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str) -> None:
        """Start one process; its notification channel stays open and is drained, as a service manager does."""
        channel = open_channel(self.paths.runtime / f"bench-{name}.sock")
        ready = threading.Event()
        threading.Thread(target=_drain, args=(channel, ready, self._stopping), daemon=True).start()
        arguments = (
            [str(media_program()), "serve", "--config", str(write_configuration(self.settings))]
            if name == "media"
            else [str(Path(sys.executable).with_name("callward")), name]
        )
        environment = {**os.environ, **self.environment, "NOTIFY_SOCKET": str(channel.getsockname())}
        with self._log.open("ab") as log:
            self._processes[name] = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
        if not ready.wait(START_TIMEOUT_S):
            self.__exit__(None, None, None)
            raise BenchStartError(f"{name} does not start:\n{self._log.read_text()[-2000:]}")


def _drain(channel: socket.socket, ready: threading.Event, stopping: threading.Event) -> None:
    """Read notices until the end; stored sockets are not kept: nothing is restarted here."""
    with channel:
        while not stopping.is_set():
            readable, _, _ = select.select([channel], [], [], 0.5)
            while readable and (notice := receive(channel)) is not None:
                for descriptor in notice.descriptors:
                    os.close(descriptor)
                if notice.values.get("READY") == "1":
                    ready.set()


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
