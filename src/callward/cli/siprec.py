"""`callward siprec`: what the recorder understands of SIPREC messages."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Look at SIPREC messages the way the recorder does.", no_args_is_help=True)

CANNOT_READ = 2
"""Exit code when a file could not be read; the others are still inspected."""
NOTHING_UNDERSTOOD = 1
"""Exit code when a file could be read but holds nothing that a recorder understands."""


@app.callback()
def siprec() -> None:
    """Look at SIPREC messages the way the recorder does."""


@app.command("inspect")
def inspect_files(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="SIP messages, bodies or metadata; - is standard input.")
    ],
) -> None:
    """Print as JSON what the recorder understands of each FILE: parties, streams, ids, vendor, state, warnings.

    One FILE gives an object, several give an array. A FILE is a SIP message, a body, or a metadata document. Exit codes: 0 understood,
    1 nothing understood in a file, 2 a file could not be read.
    """
    from callward.siprec.inspection import inspect

    findings: list[dict[str, Any]] = []
    code = 0
    for name in files:
        try:
            data = _read(name)
        except OSError as error:
            typer.echo(f"callward siprec inspect: cannot read {name}: {error.strerror or error}", err=True)
            code = CANNOT_READ
            continue
        finding = inspect(data, at=datetime.now(UTC))
        if any(warning.startswith("nothing_understood") for warning in finding["warnings"]):
            typer.echo(
                f"callward siprec inspect: {name}: no SIP message, body or metadata document was found", err=True
            )
            code = max(code, NOTHING_UNDERSTOOD)
        findings.append(finding if len(files) == 1 else {"file": name, **finding})
    if len(files) > 1:
        _print(findings)
    elif findings:
        _print(findings[0])
    raise typer.Exit(code)


def _read(name: str) -> bytes:
    from callward.siprec.inspection import MAX_FILE_BYTES

    if name == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _print(value: object) -> None:
    # ASCII only: no byte of a stranger reaches the terminal as a control sequence, and any locale can print it.
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")
