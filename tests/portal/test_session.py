"""Sign-in over HTTP: cookie, CSRF, first password, brute force, revocation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from tests.access.people import PASSWORD, add_person
from tests.portal.conftest import Browser, Clock

from callward.access.service import ensure_first_administrator
from callward.platform.database import Database
from callward.platform.settings import PortalSettings, Settings
from callward.portal.app import create_app

OPEN = {"/api/v1/session", "/healthz", "/readyz", "/{address:path}", "/api/v1/openapi.json"}


async def test_nobody_is_signed_in_at_first(browser: Browser) -> None:
    answer = await browser.get("/session")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_signed_in"
    assert answer.json()["remedy"]


async def test_every_endpoint_but_sign_in_and_probes_refuses_a_stranger(app: FastAPI, browser: Browser) -> None:
    seen = 0
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            if (method, path) == ("post", "/api/v1/session"):
                continue
            real = (
                path.replace("{conversation_id}", "0" * 26)
                .replace("{recording_id}", "0" * 26)
                .replace("{session_id}", "0" * 26)
            )
            answer = await browser.http.request(
                method,
                real,
                params={"format": "mp3"},
                json={"current_password": "x", "new_password": "y"} if method == "post" else None,
            )
            assert answer.status_code == 401, (method, path)
            seen += 1
    assert seen >= 12


async def test_the_cookie_is_for_scripts_and_other_sites_out_of_reach(browser: Browser, database: Database) -> None:
    await add_person(database, "ann.ant")
    answer = await browser.sign_in("ann.ant")
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"].lower()
    for attribute in ("httponly", "samesite=strict", "path=/", "max-age="):
        assert attribute in cookie
    assert answer.headers["cache-control"] == "no-store"
    assert (await browser.get("/session")).json()["user_name"] == "ann.ant"


async def test_behind_tls_the_cookie_is_secure_and_bound_to_the_host(
    database: Database, clock: Clock, shelf: object
) -> None:
    import httpx

    settings = Settings(portal=PortalSettings(public_url="https://portal.example"))
    app = create_app(settings, database, shelf, clock=clock)  # type: ignore[arg-type]
    await add_person(database, "ann.ant")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://portal.example") as http:
        answer = await http.post("/api/v1/session", json={"user_name": "ann.ant", "password": PASSWORD})
    assert answer.headers["set-cookie"].startswith("__Host-callward=")
    assert "secure" in answer.headers["set-cookie"].lower()
    assert "max-age=" in answer.headers["strict-transport-security"]


async def test_a10_everything_waits_until_the_first_password_is_changed(browser: Browser, database: Database) -> None:
    first = await ensure_first_administrator(database)
    assert first is not None
    answer = await browser.sign_in(first.user_name, first.password)
    assert answer.json()["must_change_password"] is True
    assert answer.json()["rights"] == []
    for path in ("/conversations", "/sessions", "/system/status", "/system/events"):
        refused = await browser.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "password_change_required")
    weak = await browser.change_password(first.password, "short")
    assert (weak.status_code, weak.json()["code"]) == (400, "weak_password")
    wrong = await browser.change_password("not it", PASSWORD)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_password")
    changed = await browser.change_password(first.password, PASSWORD)
    assert changed.status_code == 200
    assert changed.json()["must_change_password"] is False
    assert (await browser.get("/conversations")).status_code == 200


async def test_35_a_change_needs_the_sessions_token(
    browser: Browser, open_browser: Callable[..., Browser], database: Database
) -> None:
    await add_person(database, "ann.ant")
    await browser.sign_in("ann.ant")
    other = open_browser()
    await other.sign_in("ann.ant")
    for token in ("", "x", other.csrf, browser.csrf + "0", "ö"):
        answer = await browser.http.delete("/api/v1/session", headers={"X-CSRF-Token": token.encode()})  # type: ignore[dict-item]
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    assert (await browser.send("DELETE", "/session")).status_code == 204
    assert (await browser.get("/session")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_35_another_sites_page_cannot_sign_anybody_in(
    browser: Browser, database: Database, headers: dict[str, str]
) -> None:
    await add_person(database, "ann.ant")
    body = {"user_name": "ann.ant", "password": PASSWORD}
    answer = await browser.http.post("/api/v1/session", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    form = await browser.http.post("/api/v1/session", data=body)
    assert form.status_code == 422
    own = await browser.http.post(
        "/api/v1/session", json=body, headers={"Origin": "http://portal.test", "Sec-Fetch-Site": "same-origin"}
    )
    assert own.status_code == 201


async def test_35_a_session_that_was_planted_before_sign_in_is_not_used(browser: Browser, database: Database) -> None:
    await add_person(database, "ann.ant")
    planted = "A" * 43
    browser.http.cookies.set("callward", planted, domain="portal.test")
    answer = await browser.sign_in("ann.ant")
    assert planted not in answer.headers["set-cookie"]
    stale = await browser.http.get("/api/v1/session", headers={"Cookie": f"callward={planted}"})
    assert stale.status_code == 401


async def test_signing_in_again_ends_the_browsers_earlier_session(browser: Browser, database: Database) -> None:
    await add_person(database, "ann.ant")
    await browser.sign_in("ann.ant")
    await browser.sign_in("ann.ant")
    assert len((await browser.get("/sessions")).json()) == 1


async def test_35_wrong_and_unknown_get_one_answer_and_are_slowed_alike(
    open_browser: Callable[..., Browser], database: Database, clock: Clock
) -> None:
    await add_person(database, "ann.ant")
    answers = []
    for index, name in enumerate(("ann.ant", "no.body")):
        seen = []
        for attempt in range(7):
            answer = await open_browser(f"198.51.{index}.{attempt}").sign_in(name, "wrong")
            seen.append((answer.status_code, answer.json(), answer.headers.get("retry-after")))
        answers.append(seen)
    assert answers[0] == answers[1]
    assert [status for status, _, _ in answers[0]] == [401] * 5 + [429] * 2
    assert answers[0][-1][2] == "1"
    clock.forward(seconds=1)
    assert (await open_browser("198.51.9.9").sign_in("ann.ant")).status_code == 201


async def test_sessions_are_listed_and_ended_by_their_person_only(
    open_browser: Callable[..., Browser], database: Database
) -> None:
    await add_person(database, "ann.ant")
    await add_person(database, "bob.bee")
    one, two, bob = open_browser("192.0.2.1"), open_browser("192.0.2.2"), open_browser("192.0.2.3")
    await one.sign_in("ann.ant")
    await two.sign_in("ann.ant")
    await bob.sign_in("bob.bee")
    listed = (await one.get("/sessions")).json()
    assert {row["address"] for row in listed} == {"192.0.2.1", "192.0.2.2"}
    twos = next(row["id"] for row in listed if not row["current"])
    assert (await bob.send("DELETE", f"/sessions/{twos}")).status_code == 404
    assert (await one.send("DELETE", f"/sessions/{twos}")).status_code == 204
    assert (await one.send("DELETE", f"/sessions/{twos}")).status_code == 404
    assert (await two.get("/session")).status_code == 401


async def test_an_idle_session_ends_although_its_page_asks_by_itself(
    browser: Browser, database: Database, clock: Clock
) -> None:
    await add_person(database, "ann.ant")
    await browser.sign_in("ann.ant")
    for _ in range(6):
        clock.forward(minutes=10)
        last = await browser.get("/conversations", **{"X-Callward-Background": "1"})
    assert last.status_code == 200
    clock.forward(minutes=1)
    assert (await browser.get("/conversations")).status_code == 401


async def test_no_secret_comes_back_in_a_refusal(browser: Browser) -> None:
    body = {"user_name": "ann.ant", "password": "hunter2hunter2", "extra": "hunter2hunter2"}
    answer = await browser.http.post("/api/v1/session", json=body)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


def test_every_route_asks_who_it_is_unless_it_is_open_on_purpose(app: FastAPI) -> None:
    def asks(route: APIRoute) -> bool:
        waiting = list(route.dependant.dependencies)
        while waiting:
            one = waiting.pop()
            if getattr(one.call, "__name__", "") in ("current_subject", "signed_in"):
                return True
            waiting.extend(one.dependencies)
        return False

    open_ones = {route.path for route in app.routes if isinstance(route, APIRoute) and not asks(route)}
    assert open_ones <= OPEN
