"""Results of benchmarks: one table for people, one JSON file for comparison."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


class PeerMissingError(Exception):
    """A benchmark's peer is not installed: a figure without its peer means nothing on a shared machine."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    what: str
    value: float
    unit: str
    note: str = ""


def show(title: str, figures: Sequence[Figure], folder: Path | None = None) -> None:
    """Print the figures; with `folder` also write `<title>.json` there."""
    table = Table(title=f"{title} ({_machine()})", title_justify="left")
    for column, justify in (("figure", "left"), ("value", "right"), ("unit", "left"), ("note", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for figure in figures:
        table.add_row(
            figure.what,
            f"{figure.value:,.4g}" if figure.value < 100 else f"{figure.value:,.0f}",
            figure.unit,
            figure.note,
        )
    Console().print(table)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{title.replace(' ', '-')}.json").write_text(
            json.dumps({"machine": _machine(), "figures": [asdict(f) for f in figures]}, indent=1) + "\n"
        )


def _machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}"
