"""`callward portal`: the process that serves the HTTP API and the web pages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from callward.archive import open_archive
from callward.platform.database import Database
from callward.platform.postgres import locate
from callward.platform.process import Service, run_service
from callward.platform.settings import Settings
from callward.portal.app import create_app

GRACE_S = 5
"""Answers under way get so long when the portal stops."""


class _Server(uvicorn.Server):
    """Leaves the signals to the process (`platform.process`), and says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_portal(settings: Settings) -> None:
    """Serve until a signal asks to stop."""
    run_service("portal", _main, settings)


async def _main(service: Service) -> None:
    settings = service.settings
    url = settings.database.url.get_secret_value() if settings.database.url else locate(settings.data).url
    database = Database(url, settings.database.pool_size)
    archive = open_archive(settings)
    app = create_app(settings, database, archive)
    config = uvicorn.Config(
        app,
        host=settings.portal.host,
        port=settings.portal.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # The client's address comes from a proxy only when the portal is told that it is behind one.
        proxy_headers=settings.portal.public_url is not None,
        timeout_graceful_shutdown=GRACE_S,
        lifespan="off",
    )
    server = _Server(config, service.ready)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(service.stopping.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        archive.close()
        await database.close()
