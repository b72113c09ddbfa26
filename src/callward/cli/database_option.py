"""The database of a running Callward, for commands that manage it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from callward.cli.settings_option import settings

if TYPE_CHECKING:
    from callward.platform.database import Database
    from callward.platform.paths import DataPaths
    from callward.platform.settings import Settings

Result = TypeVar("Result")


def database_url(found: Settings) -> str:
    """The address of the database in use: the one that is set, else the embedded one."""
    from callward.platform.postgres import locate

    own = found.database.url
    return own.get_secret_value() if own is not None else locate(found.data).url


def with_database(work: Callable[[Database, DataPaths], Awaitable[Result]]) -> Result:
    """Run `work` on the database; what a user can mend becomes one sentence and exit status 1."""
    import asyncio

    from sqlalchemy.exc import OperationalError

    from callward.platform.database import Database
    from callward.platform.paths import DataPaths
    from callward.provisioning.service import ProvisioningError

    found = settings()

    async def run() -> Result:
        database = Database(database_url(found), pool_size=1)
        try:
            return await work(database, DataPaths(found.data))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except ProvisioningError as error:
        typer.echo(f"callward: {error}", err=True)
    except OperationalError:
        where = "" if found.database.url else f" of the data folder {found.data}"
        typer.echo(
            f"callward: the database{where} does not answer: start Callward first (callward up), "
            "or name its folder with CALLWARD_DATA",
            err=True,
        )
    raise typer.Exit(1)
