"""A portal on a port of its own, in a thread with its own event loop, as browsers and other programs see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn

from callward.archive.service import Archive
from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal.app import create_app


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The test's process keeps its own."""


@contextmanager
def live_portal(
    database_url: str, data: Path, archive: Archive, prepare: Callable[[Database], Awaitable[None]]
) -> Iterator[str]:
    """Serve until the block ends; `prepare` fills the database first. Yields the address."""
    servers: list[_Server] = []

    async def serve() -> None:
        database = Database(database_url)
        try:
            await prepare(database)
            app = create_app(Settings(data=data), database, archive)
            config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
            servers.append(_Server(config))
            await servers[0].serve()
        finally:
            await database.close()

    thread = Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    while not (servers and servers[0].started):
        thread.join(0.02)
        assert thread.is_alive(), "the portal did not start"
    port = servers[0].servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        servers[0].should_exit = True
        thread.join(10)
