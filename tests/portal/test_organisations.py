"""32: what belongs to another organisation does not exist, in the code and a second time in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from tests.access.people import add_person
from tests.archive.recorded_calls import ended_call
from tests.portal.conftest import ADDRESS, Browser

from callward.archive.apply import apply_event
from callward.archive.keys import ArchiveKeys
from callward.archive.service import Archive
from callward.archive.stored import StoredArchive
from callward.media.codec_process import CodecPool
from callward.platform.blobs_folder import FolderStore
from callward.platform.database import Database, Scope
from callward.platform.settings import Settings
from callward.portal.app import create_app

A, B = "01J00000000000000000000000", "01J00000000000000000000001"
OWNERS = (A, A, B, None)


@pytest.fixture
async def conversations(database: Database) -> dict[str | None, list[str]]:
    """Two calls of A, one of B, one that no organisation matched."""
    found: dict[str | None, list[str]] = {A: [], B: [], None: []}
    for number, owner in enumerate(OWNERS, 1):
        ended = ended_call(number, [], 5.0, owner)
        async with database.begin(Scope.provider()) as session:
            await apply_event(session, ended)
        found[owner].append(ended.calls[0].conversation)
    return found


@pytest.fixture
async def visit(database: Database, tmp_path: Path) -> AsyncIterator[Callable[[str], Browser]]:
    codecs = CodecPool(1)
    archive = StoredArchive(FolderStore(tmp_path / "blobs"), ArchiveKeys(tmp_path / "keys"), codecs)
    app: FastAPI = create_app(Settings(data=tmp_path), database, cast(Archive, archive))
    opened: list[httpx.AsyncClient] = []

    def make(address: str) -> Browser:
        transport = httpx.ASGITransport(app=app, client=(address, 40000), raise_app_exceptions=False)
        opened.append(httpx.AsyncClient(transport=transport, base_url=ADDRESS))
        return Browser(opened[-1])

    yield make
    for client in opened:
        await client.aclose()
    codecs.close()


async def test_32_each_lists_and_opens_its_own_and_the_provider_all(
    database: Database, visit: Callable[[str], Browser], conversations: dict[str | None, list[str]]
) -> None:
    everything = {one for group in conversations.values() for one in group}
    for name, organisation in (("ann.ant", A), ("bob.bee", B), ("pro.vider", None)):
        await add_person(database, name, organisation_id=organisation)
        browser = visit("192.0.2.1")
        await browser.sign_in(name)
        own = everything if organisation is None else set(conversations[organisation])
        for query in ("", "?number=31201234567", "?number=ann", "?problem=any", "?order=-duration_ms"):
            items = (await browser.get(f"/conversations{query}")).json()["items"]
            expected = set() if query == "?problem=any" else own
            assert {item["id"] for item in items} == expected, (name, query)
        for one in everything:
            assert (await browser.get(f"/conversations/{one}")).status_code == (200 if one in own else 404)


async def test_32_a_crafted_query_shows_nothing_of_another_organisation(
    database: Database, conversations: dict[str | None, list[str]]
) -> None:
    async with database.begin(Scope.organisation(B)) as session:
        for table in ("conversation", "recording", "conversation_recording", "conversation_number", "conversation_key"):
            rows = await session.execute(
                text(f"SELECT DISTINCT organisation_id FROM {table} WHERE true OR organisation_id = '{A}'")
            )
            assert set(rows.scalars()) == {B}, table
        joined = await session.execute(
            text(
                "SELECT count(*) FROM conversation c CROSS JOIN LATERAL (SELECT * FROM recording) r WHERE c.id IS NOT NULL"
            )
        )
        assert joined.scalar_one() == 1


async def test_a_view_stands_in_the_audit_of_the_organisation_that_owns_the_call(
    database: Database, visit: Callable[[str], Browser], conversations: dict[str | None, list[str]]
) -> None:
    await add_person(database, "pro.vider")
    browser = visit("192.0.2.1")
    await browser.sign_in("pro.vider")
    await browser.get(f"/conversations/{conversations[A][0]}")
    async with database.begin(Scope.organisation(A)) as session:
        rows = await session.execute(text("SELECT who, action, object_id FROM audit"))
        assert rows.all() == [("pro.vider", "conversation.view", conversations[A][0])]
    async with database.begin(Scope.organisation(B)) as session:
        assert (await session.execute(text("SELECT count(*) FROM audit"))).scalar_one() == 0
