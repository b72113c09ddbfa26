"""`callward organisation`: the firms whose calls are recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from callward.cli.database_option import with_database

if TYPE_CHECKING:
    from callward.platform.database import Database
    from callward.platform.paths import DataPaths
    from callward.provisioning.model import Organisation

app = typer.Typer(help="Manage organisations, the firms whose calls are recorded.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the organisations."""

    from callward.provisioning import service

    async def work(database: Database, _: DataPaths) -> list[Organisation]:
        return await service.list_organisations(database)

    found = with_database(work)
    if as_json:
        rows = [
            {"id": o.id, "code": o.code, "name": o.name, "group_ids": o.group_ids, "numbers": o.numbers} for o in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("Code", "Name", "Group ids", "Numbers")
    for one in found:
        table.add_row(one.code, one.name, ", ".join(one.group_ids), ", ".join(one.numbers))
    Console().print(table)


@app.command()
def add(
    code: Annotated[str, typer.Argument(help="Short code, for example acme.")],
    name: Annotated[str, typer.Argument(help="Name as people read it.")],
    group_id: Annotated[
        list[str] | None, typer.Option(help="Group id in a carrier's metadata that means this organisation.")
    ] = None,
    number: Annotated[list[str] | None, typer.Option(help="Recorded number (+32...) of this organisation.")] = None,
) -> None:
    """Add an organisation; the recorder knows it at once."""

    from callward.provisioning import service

    async def work(database: Database, paths: DataPaths) -> Organisation:
        made = await service.create_organisation(database, name, code, group_id or [], number or [])
        await service.publish_snapshot(database, paths)
        return made

    typer.echo(f"added {with_database(work).code}")
