"""All metrics and all readiness of one machine behind one port: those of each process, labelled with its name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from callward.platform.health import fetch


def merge(texts: dict[str, str]) -> str:
    """Join the expositions of several processes (by name) into one, with the label `process`.

    A text that is not Prometheus' format is left out and shown by `callward_scrape_well` = 0.
    """
    families: dict[str, Metric] = {}
    well = Metric("callward_scrape_well", "1 when the process gave its metrics", "gauge")
    for process, text in texts.items():
        try:
            found = list(text_string_to_metric_families(text))
        except ValueError:
            found = []
        well.add_sample("callward_scrape_well", {"process": process}, 1.0 if found else 0.0)
        for family in found:
            place = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            place.samples.extend(
                Sample(s.name, {**s.labels, "process": process}, s.value, s.timestamp) for s in family.samples
            )
    return "".join(_print(family) for family in [*families.values(), well])


def _print(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    documentation = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    lines = [f"# HELP {name} {documentation}", f"# TYPE {name} {family.type}"]
    for sample in family.samples:
        if sample.name.endswith("_created"):
            continue
        labels = ",".join(f'{key}="{_escape(value)}"' for key, value in sorted(sample.labels.items()))
        lines.append(f"{sample.name}{{{labels}}} {sample.value!r}")
    return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


async def scrape(runtime: Path, names: list[str]) -> bytes:
    """The metrics of the named processes, asked over their unix sockets."""
    answers = await asyncio.gather(*(fetch(runtime / f"health-{name}.sock", "/metrics") for name in names))
    return merge(
        {name: body.decode("utf-8", "replace") for name, (_, body) in zip(names, answers, strict=True)}
    ).encode()


async def readiness(runtime: Path, names: list[str], states: Callable[[], dict[str, str]]) -> dict[str, object]:
    """Whether all children are ready and well, as `/readyz` prints it."""
    answers = await asyncio.gather(*(fetch(runtime / f"health-{name}.sock", "/readyz") for name in names))
    processes: dict[str, object] = {}
    ready = True
    for name, (status, body) in zip(names, answers, strict=True):
        try:
            report = json.loads(body) if body else {"ready": False, "checks": {}}
        except ValueError:
            report = {"ready": False, "checks": {}}
        processes[name] = report
        ready = ready and status == 200
    found = states()
    return {"ready": ready and all(s == "ready" for s in found.values()), "children": found, "processes": processes}
