"""`callward config`: show and check the settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callward.cli.settings_option import settings

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="Show and check the settings.", no_args_is_help=True)


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of TOML.")] = False,
    secrets: Annotated[bool, typer.Option("--secrets", help="Print passwords and keys too.")] = False,
) -> None:
    """Print every setting with its value in force; passwords and keys are hidden."""
    values = _plain(settings(), secrets)
    typer.echo(json.dumps(values, indent=2) if as_json else "\n".join(_toml(values)))


@app.command()
def check() -> None:
    """Check the settings: unknown keys and bad values are named; exit status 2 when there are any."""
    found = settings()
    typer.echo(f"settings are well; data folder: {found.data}")


def _plain(model: BaseModel, secrets: bool) -> dict[str, Any]:
    from pydantic import BaseModel, SecretStr

    values: dict[str, Any] = {}
    for name, value in model:
        if isinstance(value, BaseModel):
            values[name] = _plain(value, secrets)
        elif isinstance(value, SecretStr):
            values[name] = value.get_secret_value() if secrets else "(hidden)"
        else:
            plain = value is None or isinstance(value, bool | int | float | tuple)
            values[name] = value if plain else str(value)
    return values


def _toml(values: dict[str, Any], section: str = "") -> list[str]:
    lines = [f"[{section}]"] if section else []
    for name, value in values.items():
        if value is None:
            lines.append(f"# {name} is not set")
        elif not isinstance(value, dict):
            lines.append(f"{name} = {json.dumps(value)}")
    for name, value in values.items():
        if isinstance(value, dict):
            lines += ["", *_toml(value, f"{section}.{name}" if section else name)]
    return lines
