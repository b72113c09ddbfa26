"""What every long-running process of Callward shares: logs, signals, readiness, metrics, sockets that outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import uvloop

from callward.platform.health import Health, HealthServer, own_metrics
from callward.platform.notify import inherited_sockets, notify
from callward.platform.paths import DataPaths
from callward.platform.settings import Settings
from callward.platform.telemetry import configure_logs, logger

SUPERVISED = "CALLWARD_SERVICE"
"""Set by `callward up` for its children: then the metrics port belongs to the supervisor."""


@dataclass(slots=True)
class Service:
    """One running process, as its main coroutine sees it."""

    name: str
    settings: Settings
    paths: DataPaths
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by SIGTERM or SIGINT: finish what is under way and return."""
    health: Health = field(default_factory=Health)
    metrics: Callable[[], Awaitable[bytes]] | None = None
    """Replaces the process's own metrics, for one that adds those of a child program."""
    _inherited: dict[str, socket.socket] | None = None

    def ready(self) -> None:
        """Tell the service manager that the work can begin."""
        notify("READY=1")
        logger.info("ready")

    def stored_sockets(self) -> dict[str, socket.socket]:
        """The sockets that were stored before a restart, by name; those not used must be closed by the caller."""
        if self._inherited is None:
            self._inherited = inherited_sockets()
        return self._inherited

    def store_socket(self, name: str, stored: socket.socket) -> None:
        """Keep a socket with the service manager, so that a restart loses nothing that waits in it."""
        notify(f"FDSTORE=1\nFDNAME={name}", [stored])


def run_service(name: str, main: Callable[[Service], Awaitable[None]], settings: Settings) -> None:
    """Run a process's main coroutine until it returns or a signal asks it to stop."""
    configure_logs(settings.log, name)
    uvloop.run(_run(name, main, settings))


async def _run(name: str, main: Callable[[Service], Awaitable[None]], settings: Settings) -> None:
    paths = DataPaths(settings.data)
    paths.create()
    service = Service(name, settings, paths)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)

    async def report() -> dict[str, object]:
        return service.health.report()

    async def metrics() -> bytes:
        return await (service.metrics or own_metrics)()

    server = HealthServer(report, metrics)
    await server.listen_unix(paths.runtime / f"health-{name}.sock")
    if not os.environ.get(SUPERVISED):
        await server.listen_tcp(settings.metrics.host, settings.metrics.port)
    logger.info("starting", pid=os.getpid())
    try:
        await main(service)
    finally:
        await server.close()
        logger.info("stopped")
