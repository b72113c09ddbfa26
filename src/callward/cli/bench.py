"""`callward bench`: measure the hot paths, each next to a peer in the same run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from callward.bench.report import Figure

app = typer.Typer(
    help="Measure the hot paths, each next to a peer in the same run (absolute times mean little, ratios do).",
    no_args_is_help=True,
)

Json = Annotated[Path | None, typer.Option("--json", metavar="FOLDER", help="Also write the figures there as JSON.")]


@app.command()
def capture(json: Json = None) -> None:
    """Largest number of concurrent calls that one core records without loss, next to the machine's limit and rtpengine."""
    from callward.bench.capture import measure

    _show("capture", measure, json)


@app.command()
def sessions(json: Json = None) -> None:
    """SIPREC sessions set up per second and core, with SIPp as the client."""
    from callward.bench.sessions import measure

    _show("sessions", measure, json)


@app.command()
def seal(json: Json = None) -> None:
    """Speed of sealing, in multiples of real time per core, next to FFmpeg."""
    from callward.bench.seal import measure

    _show("seal", measure, json)


@app.command("all")
def all_command(json: Json = None) -> None:
    """All of them."""
    capture(json)
    sessions(json)
    seal(json)


def _show(name: str, measure: Callable[[], list[Figure]], json: Path | None) -> None:
    from callward.bench.report import PeerMissingError, show

    typer.echo(f"measuring {name}: this takes a few minutes, leave the machine alone ...", err=True)
    try:
        show(name, measure(), json)
    except PeerMissingError as error:
        typer.echo(f"callward: {error}", err=True)
        raise typer.Exit(1) from None
