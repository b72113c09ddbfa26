"""Debian's Chromium against a portal with real recordings: sealed, encrypted, listed by the archive's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.access.people import PASSWORD, add_person
from tests.archive.recorded_calls import record_call, started_call
from tests.archive.test_first_recording import Platform
from tests.portal.live_portal import live_portal

from callward.media.codec_process import CodecPool
from callward.platform.database import Database
from callward.platform.postgres import EmbeddedPostgres
from callward.portal.pages import STATIC
from callward.records.events import RecordingEnded

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--mute-audio"]
TIMEOUT_MS = 10_000
SECONDS = 8.0
HOSTILE = '<img src=x onerror="window.pwned=1">'
SCRIPT = "<script>window.pwned=1</script>"


@dataclass
class Stage:
    """A running portal and what lies behind it."""

    address: str
    database_url: str
    platform: Platform
    plain: RecordingEnded
    hostile: RecordingEnded
    live: RecordingEnded

    def conversation(self, ended: RecordingEnded) -> str:
        return f"{self.address}/conversations/{ended.calls[0].conversation}"

    def finish_live_call(self) -> None:
        """The call that goes on ends: sealed and stored as any other. (In a thread: Playwright's loop runs in this one.)"""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._finish()).result()

    async def _finish(self) -> None:
        database = Database(self.database_url)
        await self.platform.journal(self.live)
        await self.platform.run_sealer()
        await self.platform.apply(database)
        await database.close()


def _hostile(ended: RecordingEnded) -> RecordingEnded:
    """A call whose every text wants to run as a script."""
    call = ended.calls[0]
    parties = [
        call.parties[0].model_copy(update={"name": HOSTILE, "aor": f"sip:{HOSTILE}@x"}),
        call.parties[1].model_copy(update={"name": SCRIPT, "number": SCRIPT}),
    ]
    call = call.model_copy(
        update={
            "caller": parties[0],
            "called": parties[1],
            "parties": parties,
            "session_ids": {"call_id": HOSTILE, SCRIPT: "javascript:window.pwned=1"},
            "extensions": {HOSTILE: [SCRIPT]},
        }
    )
    marks = [mark.model_copy(update={"detail": SCRIPT}) for mark in ended.marks]
    return ended.model_copy(update={"calls": [call], "marks": marks, "peer": HOSTILE, "vendor": SCRIPT})


@pytest.fixture(scope="module")
def codecs() -> Iterator[CodecPool]:
    pool = CodecPool(2)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def stage(postgres: EmbeddedPostgres, codecs: CodecPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if not (STATIC / "index.html").is_file():
        pytest.fail("the pages are not built: run `make build`")
    root = tmp_path_factory.mktemp("browser")
    admin = postgres.url.replace("/callward?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS browser WITH (FORCE)")
        connection.execute("CREATE DATABASE browser TEMPLATE template_callward")
    url = postgres.url.replace("/callward?", "/browser?")
    platform = Platform(root, codecs)
    plain = record_call(platform.tracks, 1, SECONDS)
    hostile = _hostile(record_call(platform.tracks, 2, 2.0))
    live = record_call(platform.tracks, 3, 3.0)

    async def prepare(database: Database) -> None:
        await platform.journal(plain, hostile, started_call(live))  # type: ignore[arg-type]
        await platform.run_sealer()
        await platform.apply(database)
        await add_person(database, "ann.ant")
        await add_person(database, "new.comer", must_change_password=True)

    with live_portal(url, root, platform.archive, prepare) as address:
        yield Stage(address, url, platform, plain, hostile, live)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS browser WITH (FORCE)")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def stranger(chromium: Browser, stage: Stage) -> Iterator[Page]:
    """A page of a fresh profile, not signed in; fails the test for any script error or policy violation."""
    context = chromium.new_context(
        locale="en-GB", timezone_id="Europe/Brussels", viewport={"width": 1280, "height": 860}
    )
    yield from _watched(context)


@pytest.fixture(scope="module")
def signed_in_state(chromium: Browser, stage: Stage) -> object:
    context = chromium.new_context()
    answer = context.request.post(
        f"{stage.address}/api/v1/session", data={"user_name": "ann.ant", "password": PASSWORD}
    )
    assert answer.status == 201
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(chromium: Browser, signed_in_state: object) -> Iterator[Page]:
    """A page of a fresh profile, signed in as ann.ant."""
    context = chromium.new_context(
        storage_state=signed_in_state,  # type: ignore[arg-type]
        locale="en-GB",
        timezone_id="Europe/Brussels",
        viewport={"width": 1280, "height": 860},
        permissions=["clipboard-read", "clipboard-write"],
    )
    yield from _watched(context)


def _watched(context: BrowserContext) -> Iterator[Page]:
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))

    def console(message: object) -> None:
        text = message.text  # type: ignore[attr-defined]
        expected = "status of 401" in text
        if message.type == "error" and not expected:  # type: ignore[attr-defined]
            wrong.append(text)

    page.on("console", console)
    yield page
    context.close()
    assert wrong == []
