"""`callward worker`: applies the journals of this host to the database."""

from __future__ import annotations

import asyncio

from callward.archive.apply import apply_event
from callward.cli.database_option import database_url
from callward.platform.database import Database
from callward.platform.process import Service, run_service
from callward.platform.settings import Settings
from callward.records.apply import Applier, Source


def run_worker(settings: Settings) -> None:
    """Apply what the journals hold until a signal comes."""
    run_service("worker", _work, settings)


async def _work(service: Service) -> None:
    settings, paths = service.settings, service.paths
    database = Database(database_url(settings), settings.database.pool_size)
    sources = [
        Source(settings.host_name, "recorder", paths.journal_recorder),
        Source(settings.host_name, "seal", paths.journal_seal),
    ]
    service.health.set("database", True)
    service.ready()
    try:
        async with asyncio.TaskGroup() as group:
            for source in sources:
                applier = Applier(database, source, [apply_event])
                group.create_task(
                    applier.run(service.stopping, lambda well, why: service.health.set("database", well, why))
                )
    finally:
        await database.close()
