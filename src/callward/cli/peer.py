"""`callward peer`: the recording clients (SBC, PBX, carrier) that may connect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from callward.cli.database_option import with_database
from callward.siprec.peer import PROFILES

if TYPE_CHECKING:
    from callward.platform.database import Database
    from callward.platform.paths import DataPaths
    from callward.provisioning.model import Organisation, Peer

app = typer.Typer(help="Manage peers, the recording clients that may connect.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the peers that may connect."""

    from callward.provisioning import service

    async def work(database: Database, _: DataPaths) -> tuple[list[Peer], list[Organisation]]:
        return await service.list_peers(database), await service.list_organisations(database)

    peers, organisations = with_database(work)
    codes: dict[str | None, str] = {o.id: o.code for o in organisations}
    if as_json:
        rows = [
            {
                "id": p.id,
                "name": p.name,
                "organisation": codes.get(p.organisation_id),
                "carrier": p.carrier,
                "addresses": p.addresses,
                "certificates": p.certificates,
                "dialect": p.dialect,
            }
            for p in peers
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("Name", "Organisation", "Addresses", "Certificates", "Dialect")
    for one in peers:
        owner = "(carrier)" if one.carrier else codes.get(one.organisation_id, "?")
        table.add_row(one.name, owner, ", ".join(one.addresses), ", ".join(one.certificates), one.dialect)
    Console().print(table)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the peer, for example sbc-brussels.")],
    organisation: Annotated[
        str | None, typer.Option(metavar="CODE", help="Whose calls it sends; leave out for a carrier of several.")
    ] = None,
    address: Annotated[list[str] | None, typer.Option(help="Address or range, for example 192.0.2.0/24.")] = None,
    certificate: Annotated[
        list[str] | None, typer.Option(help="Name (SAN) or SHA-256 fingerprint of its client certificate.")
    ] = None,
    dialect: Annotated[str, typer.Option(help=f"One of: {', '.join(('auto', *sorted(PROFILES)))}.")] = "auto",
) -> None:
    """Allow a recording client to connect; the recorder knows it at once."""

    from callward.provisioning import service

    async def work(database: Database, paths: DataPaths) -> Peer:
        owner = (await service.find_organisation(database, organisation)).id if organisation else None
        made = await service.add_peer(database, name, owner, address or [], certificate or [], dialect)
        await service.publish_snapshot(database, paths)
        return made

    typer.echo(f"added {with_database(work).name}")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Name of the peer.")]) -> None:
    """Allow a peer no longer; its recordings stay."""

    from callward.provisioning import service

    async def work(database: Database, paths: DataPaths) -> None:
        await service.remove_peer(database, name)
        await service.publish_snapshot(database, paths)

    with_database(work)
    typer.echo(f"removed {name}")
