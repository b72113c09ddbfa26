"""The frame of all answers: headers, bounds, problems, pages, the committed OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.portal.conftest import Browser
from tests.portal.shelf import Shelf

from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal import openapi, pages
from callward.portal.app import create_app
from callward.portal.security import BODY_MAX_BYTES

WEB = Path(__file__).parents[2] / "web"


def test_the_committed_openapi_document_is_current() -> None:
    """Else: `.venv/bin/python -m callward.portal.openapi > web/openapi.json`."""
    assert (WEB / "openapi.json").read_text(encoding="utf-8") == openapi.document()


async def test_the_openapi_document_is_served_and_names_every_problem_shape(browser: Browser) -> None:
    document = (await browser.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["operationId"].isalnum()
            assert operation["description"]
            assert "application/problem+json" in operation["responses"]["422"]["content"]


@pytest.mark.parametrize(
    "path", ["/", "/conversations", "/api/v1/session", "/api/v1/nothing", "/assets/none.js", "/healthz"]
)
async def test_every_answer_carries_the_security_headers(browser: Browser, path: str) -> None:
    answer = await browser.http.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    if path.startswith("/api/"):
        assert answer.headers["cache-control"] == "no-store"


async def test_an_unknown_address_of_the_api_is_a_problem_not_a_page(browser: Browser) -> None:
    for path in ("/api", "/api/v1/nothing", "/api/v2/session"):
        answer = await browser.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    wrong = await browser.http.put("/api/v1/session")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


async def test_a_body_is_bounded_said_or_not(browser: Browser) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX_BYTES // 1024 + 10):
            yield b"x" * 1024

    headers = {"Content-Type": "application/json"}
    said = await browser.http.post("/api/v1/session", content=b"x" * (BODY_MAX_BYTES + 1), headers=headers)
    unsaid = await browser.http.post("/api/v1/session", content=endless(), headers=headers)
    for answer in (said, unsaid):
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    long = await browser.http.get("/api/v1/conversations?number=" + "1" * 9000)
    assert (long.status_code, long.json()["code"]) == (400, "url_too_long")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"user_name": "\\ud800", "password": "x"}', b"[" * 60000]
)
async def test_a_body_that_is_no_credentials_is_invalid(browser: Browser, body: bytes) -> None:
    answer = await browser.http.post("/api/v1/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 401, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_when_the_database_is_down_the_answer_says_so(tmp_path: Path, shelf: Shelf) -> None:
    import httpx

    database = Database(f"postgresql://nobody@/none?host={tmp_path}")
    app = create_app(Settings(data=tmp_path), database, shelf)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://portal.test") as http:
        answer = await http.post("/api/v1/session", json={"user_name": "a", "password": "b"})
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "database_down", "5")
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
    await database.close()


async def test_probes(browser: Browser) -> None:
    assert (await browser.http.get("/healthz")).text == "alive\n"
    assert (await browser.http.get("/readyz")).status_code == 200


@pytest.fixture
def built(tmp_path: Path) -> FastAPI:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-abc.js").write_text("run()")
    (tmp_path / "index.html").write_text(f'<meta name="style-nonce" content="{pages.NONCE_PLACEHOLDER}" />')
    (tmp_path / "secret.txt").write_text("not for the web")
    app = FastAPI()
    app.include_router(pages.router(tmp_path))
    return app


async def test_every_address_is_the_page_with_a_fresh_nonce_and_files_keep(built: FastAPI) -> None:
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=built), base_url="http://portal.test") as http:
        one, two = await http.get("/"), await http.get("/conversations/x")
        assert one.status_code == two.status_code == 200
        nonce = one.text.split('content="')[1].split('"')[0]
        assert f"'nonce-{nonce}'" in one.headers["content-security-policy"]
        assert len(nonce) >= 20
        assert one.text != two.text
        assert "script-src 'self';" in one.headers["content-security-policy"]
        script = await http.get("/assets/index-abc.js")
        assert "immutable" in script.headers["cache-control"]
        for path in ("/secret.txt", "/../app.py", "/%2e%2e/app.py", "/assets/../index.html%00"):
            assert "not for the web" not in (await http.get(path)).text


async def test_without_built_pages_the_page_says_what_to_run(tmp_path: Path) -> None:
    import httpx

    app = FastAPI()
    app.include_router(pages.router(tmp_path / "none"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://portal.test") as http:
        answer = await http.get("/")
    assert answer.status_code == 503
    assert "make build" in answer.text


def test_the_lock_file_names_no_registry() -> None:
    lock = (WEB / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "omit-lockfile-registry-resolved=true" in (WEB / ".npmrc").read_text()


def test_the_pages_never_render_html_that_they_were_given() -> None:
    for path in (WEB / "src").rglob("*.tsx"):
        if "generated" not in path.parts:
            source = path.read_text(encoding="utf-8")
            assert "dangerouslySetInnerHTML" not in source, path
            assert "innerHTML" not in source, path
