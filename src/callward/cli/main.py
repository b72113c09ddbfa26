"""The command line: one tree over everything; each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from callward.cli import bench, config, demo, doctor, organisation, peer, siprec
from callward.cli.settings_option import set_config_file

app = typer.Typer(
    name="callward",
    help="Routes service numbers and records calls the way the law asks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN = "Run"
_LOOK = "Look and check"
_MANAGE = "Manage"


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"callward {version('callward')}")
        raise typer.Exit


@app.callback()
def root(
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).", envvar="CALLWARD_CONFIG")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    set_config_file(config_file)


@app.command(rich_help_panel=_RUN)
def up(
    public: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to bind and to advertise, instead of loopback.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add demo data and place a demo call.")] = False,
) -> None:
    """Run all of Callward on this machine, in the foreground, with embedded PostgreSQL."""
    from callward.cli.up import run_up

    run_up(public, demo)


def _service(name: str, help_text: str) -> None:
    def command() -> None:
        from callward.cli.service import run

        run(name)

    app.command(name, help=help_text, rich_help_panel="One process on its own host")(command)


_service("recorder", "Run the recording server (SIPREC).")
_service("media", "Run the media process: RTP and the audio journal.")
_service("seal", "Run the sealer: tracks become stored recordings.")
_service("worker", "Run the worker: journals and jobs into the database.")
_service("portal", "Run the portal and its HTTP API.")

app.add_typer(config.app, name="config", rich_help_panel=_LOOK)
app.command("doctor", rich_help_panel=_LOOK)(doctor.doctor)
app.add_typer(siprec.app, name="siprec", rich_help_panel=_LOOK)
app.add_typer(bench.app, name="bench", rich_help_panel=_LOOK)
app.add_typer(organisation.app, name="organisation", rich_help_panel=_MANAGE)
app.add_typer(peer.app, name="peer", rich_help_panel=_MANAGE)
app.add_typer(demo.app, name="demo", rich_help_panel=_MANAGE)


@app.command("migrate", rich_help_panel=_MANAGE)
def migrate_command() -> None:
    """Bring the schema of the database in database.url up to this version."""
    from callward.cli.settings_option import settings
    from callward.platform.migrate import migrate

    found = settings()
    if found.database.url is None:
        typer.echo("database.url is not set: callward up migrates the embedded database by itself", err=True)
        raise typer.Exit(2)
    done = migrate(found.database.url.get_secret_value())
    typer.echo("\n".join(done) if done else "nothing to do")


def main() -> int:
    """Run the command line; an error that a user can mend is one sentence, not a traceback."""
    try:
        app()
    except Exception as error:
        from callward.platform.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        for problem in error.problems:
            print(f"callward: {problem}", file=sys.stderr)
        return 2
    return 0
