"""Probes and metrics over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callward.platform.health import Health, HealthServer, fetch
from callward.platform.machine_metrics import merge, readiness, scrape


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Path, Health]]:
    health = Health()

    async def report() -> dict[str, object]:
        return health.report()

    server = HealthServer(report)
    await server.listen_unix(tmp_path / "health-recorder.sock")
    yield tmp_path, health
    await server.close()


async def test_ready_is_503_and_says_why_until_every_check_is_well(served: tuple[Path, Health]) -> None:
    folder, health = served
    health.set("media", False, "the media process does not answer")
    status, body = await fetch(folder / "health-recorder.sock", "/readyz")
    assert status == 503
    assert json.loads(body)["checks"]["media"] == {"well": False, "why": "the media process does not answer"}
    health.set("media", True)
    assert (await fetch(folder / "health-recorder.sock", "/readyz"))[0] == 200
    assert (await fetch(folder / "health-recorder.sock", "/healthz"))[0] == 200


async def test_metrics_of_all_processes_come_with_their_name(served: tuple[Path, Health]) -> None:
    folder, _ = served
    text = (await scrape(folder, ["recorder", "portal"])).decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert {s.labels["process"]: s.value for s in families["callward_scrape_well"].samples} == {
        "recorder": 1.0,
        "portal": 0.0,
    }
    assert any(s.labels["process"] == "recorder" for s in families["process_cpu_seconds"].samples)


async def test_one_process_that_does_not_answer_makes_the_machine_not_ready(served: tuple[Path, Health]) -> None:
    folder, _ = served
    states = {"recorder": "ready", "portal": "ready"}
    found = await readiness(folder, ["recorder", "portal"], lambda: states)
    assert found["ready"] is False
    assert (await readiness(folder, ["recorder"], lambda: {"recorder": "ready"}))["ready"] is True
    assert (await readiness(folder, ["recorder"], lambda: {"recorder": "backing_off"}))["ready"] is False


async def test_strangers_cannot_exhaust_the_probe(served: tuple[Path, Health]) -> None:
    folder, _ = served
    path = str(folder / "health-recorder.sock")
    idle = [await asyncio.open_unix_connection(path) for _ in range(40)]
    reader, writer = await asyncio.open_unix_connection(path)
    assert await reader.read() == b"", "beyond the bound a connection is closed at once"
    writer.close()
    for _, one in idle:
        one.close()


def test_hostile_label_values_stay_inside_their_quotes() -> None:
    text = '# TYPE x gauge\nx{name="a\\"} 1\\n"} 1.0\n'
    again = merge({'p"\n': text})
    assert all(line.startswith(("#", "x{", "callward_")) for line in again.splitlines())
