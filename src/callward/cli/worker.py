"""`callward worker`: applies the journals of this host to the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from callward.archive.apply import apply_event
from callward.cli.database_option import database_url
from callward.platform.database import Database
from callward.platform.health import Health
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
    reports = [report_to(service.health, source.name) for source in sources]
    for report in reports:
        report(True, "")
    service.ready()
    try:
        async with asyncio.TaskGroup() as group:
            for source, report in zip(sources, reports, strict=True):
                applier = Applier(database, source, [apply_event])
                group.create_task(applier.run(service.stopping, report))
    finally:
        await database.close()


def report_to(health: Health, source: str) -> Callable[[bool, str], None]:
    """A check for each journal: one that is well must not hide that the other is not."""
    return lambda well, why: health.set(f"database_{source}", well, why)
