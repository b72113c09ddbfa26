"""`callward demo`: what a newcomer can do without any telephone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callward.cli.settings_option import settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from callward.demo.recording_client import DemoCall

app = typer.Typer(help="Place demo calls.", no_args_is_help=True)


@app.command()
def call(
    recorder: Annotated[
        str | None, typer.Argument(metavar="HOST[:PORT]", help="The recorder (default: the one of these settings).")
    ] = None,
    transport: Annotated[str, typer.Option(help="tcp or udp.")] = "tcp",
    seconds: Annotated[float | None, typer.Option(min=0.1, max=3600, help="Hang up after so long.")] = None,
    count: Annotated[int, typer.Option(min=1, max=50, help="Place so many calls at the same time.")] = 1,
) -> None:
    """Place a recorded call: a real SIPREC session with two spoken voices."""
    import asyncio

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from callward.demo.recording_client import DemoCallError, RecordingClient

    found = settings()
    host, port = found.recorder.host, found.recorder.sip_port
    if recorder is not None:
        host, port = _split(recorder, port)
    if transport.lower() not in ("tcp", "udp"):
        typer.echo(f"callward: --transport {transport}: tcp or udp", err=True)
        raise typer.Exit(2)

    async def place_all(progress: Progress) -> list[DemoCall]:
        task = progress.add_task(f"speaking to {host}:{port}", total=1.0)
        places = [
            RecordingClient(host, port, transport.upper()).place(
                seconds, lambda share: progress.update(task, completed=share)
            )
            for _ in range(count)
        ]
        return await asyncio.gather(*places)

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            calls = asyncio.run(place_all(progress))
    except DemoCallError as error:
        typer.echo(f"callward: {error}", err=True)
        raise typer.Exit(1) from None
    for one in calls:
        typer.echo(f"spoke {one.seconds:.1f} s in {one.packets} packets, Call-ID {one.call_id}")


def _split(text: str, default_port: int) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not host or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        typer.echo(f"callward: {text}: not HOST or HOST:PORT", err=True)
        raise typer.Exit(2)
    return host, int(port) if port else default_port
