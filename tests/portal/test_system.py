"""System page: processes, disk, events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI
from tests.access.people import add_person
from tests.portal.conftest import Browser

from callward.platform.database import Database, Scope
from callward.platform.health import Health, HealthServer
from callward.platform.paths import DataPaths
from callward.records.model import SystemEventRow

AT = datetime(2026, 3, 1, 11, tzinfo=UTC)


async def _fill(database: Database, count: int) -> None:
    async with database.begin(Scope.provider()) as session:
        for number in range(count):
            session.add(
                SystemEventRow(
                    host="local",
                    journal="recorder",
                    position=number,
                    at=AT + timedelta(seconds=number // 2),
                    severity=("info", "warning", "alarm")[number % 3],
                    code="peer_refused",
                    detail=f"event {number}",
                    data={"number": number},
                )
            )


async def test_events_are_read_to_the_end_newest_first_also_when_times_are_equal(
    browser: Browser, database: Database
) -> None:
    await _fill(database, 11)
    await add_person(database, "ann.ant")
    await browser.sign_in("ann.ant")
    found: list[int] = []
    cursor = ""
    while True:
        page = (
            await browser.http.get(
                "/api/v1/system/events", params={"limit": 3, **({"cursor": cursor} if cursor else {})}
            )
        ).json()
        found += [item["data"]["number"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == list(range(10, -1, -1))
    alarms = (await browser.get("/system/events?severity=alarm")).json()["items"]
    assert [item["data"]["number"] for item in alarms] == [8, 5, 2]
    for bad in ("x", "AAAA", "W10=", "WyIyMDI2LTAxLTAxIiwiIiwiIiwxXQ=="):
        assert (await browser.get(f"/system/events?cursor={bad}")).json()["code"] == "bad_cursor"


async def test_the_status_tells_whether_the_recorder_takes_calls_and_why_not(
    browser: Browser, database: Database, tmp_path: Path
) -> None:
    await _fill(database, 6)
    await add_person(database, "ann.ant")
    await browser.sign_in("ann.ant")
    status = (await browser.get("/system/status")).json()
    assert status["able"] is False
    assert status["alarms"] == 2
    assert {service["state"] for service in status["services"]} == {"absent"}
    assert status["disk"]["free_bytes"] > 0

    health = Health()
    health.set("disk", False, "only 3 MiB of disk are free")

    async def report() -> dict[str, object]:
        return health.report()

    server = HealthServer(report)
    await server.listen_unix(DataPaths(tmp_path).runtime / "health-recorder.sock")
    try:
        recorder = (await browser.get("/system/status")).json()["services"][0]
        assert recorder["state"] == "not_ready"
        assert recorder["checks"] == [{"name": "disk", "well": False, "why": "only 3 MiB of disk are free"}]
        health.set("disk", True)
        assert (await browser.get("/system/status")).json()["able"] is True
    finally:
        await server.close()


async def test_the_system_is_the_providers_alone(
    app: FastAPI, open_browser: Callable[..., Browser], database: Database
) -> None:
    await _fill(database, 3)
    await add_person(database, "bob.bee", organisation_id="01J00000000000000000000001")
    bob = open_browser()
    await bob.sign_in("bob.bee")
    for path in ("/system/status", "/system/events"):
        assert (await bob.get(path)).status_code == 403
