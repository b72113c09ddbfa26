"""`callward doctor`: what is missing on this machine, and the remedy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from callward.cli.settings_option import settings


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at this machine; exit status 1 when Callward cannot run (warnings do not fail it)."""
    from callward.cli.machine_checks import CHECKS

    found = settings()
    findings = [finding for check in CHECKS for finding in check(found)]
    if as_json:
        typer.echo(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        signs = {"well": "[green]well   [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}
        for finding in findings:
            console.print(f"{signs[finding.state]} {finding.what}: {finding.found}", markup=True)
            if finding.remedy:
                console.print(f"        remedy: {finding.remedy}", markup=False)
    if any(f.state == "error" for f in findings):
        raise typer.Exit(1)
