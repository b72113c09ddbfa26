"""Conversations over HTTP: paging, ranges, rights, audit, other organisations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from tests.access.people import add_person
from tests.portal.conftest import Browser, Clock
from tests.portal.shelf import AUDIO, NAME, Shelf

from callward.access.model import AuditEntry
from callward.platform.database import Database, Scope
from callward.platform.ids import new_ulid
from callward.portal.audio import ByteRange, UnsatisfiableRangeError, parse_range

A, B = "01J00000000000000000000000", "01J00000000000000000000001"


@pytest.fixture
async def ann(browser: Browser, database: Database) -> Browser:
    await add_person(database, "ann.ant")
    await browser.sign_in("ann.ant")
    return browser


async def _audit(database: Database) -> list[tuple[str, str, str]]:
    async with database.begin(Scope.provider()) as session:
        rows = (await session.execute(select(AuditEntry).order_by(AuditEntry.id))).scalars().all()
    return [(row.action, row.outcome, row.object_id) for row in rows if row.action != "sign_in"]


async def test_the_list_is_read_page_by_page_to_its_end(ann: Browser, shelf: Shelf) -> None:
    wanted = [shelf.add().id for _ in range(7)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await ann.get(f"/conversations?limit=3{f'&cursor={cursor}' if cursor else ''}")
        found += [item["id"] for item in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
    assert found == wanted


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "order=secret",
        "started_from=yesterday",
        "cursor=zz",
        "state=x",
        "nonsense=1",
        "problem=a-b",
    ],
)
async def test_a_bad_query_is_named(ann: Browser, query: str) -> None:
    answer = await ann.get(f"/conversations?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] in ("invalid_input", "bad_cursor")
    assert answer.json()["detail"]


async def test_a_conversation_shows_what_strangers_wrote_unchanged_as_json(
    ann: Browser, shelf: Shelf, database: Database
) -> None:
    conversation = shelf.add()
    answer = await ann.get(f"/conversations/{conversation.id}")
    assert answer.json()["caller_name"] == NAME
    assert answer.json()["caller_number"] == "+3225550142"
    assert answer.json()["caller_display"] == "+32 2 555 01 42"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert await _audit(database) == [("conversation.view", "done", conversation.id)]


async def test_a12_the_whole_file_and_its_parts_are_played(ann: Browser, shelf: Shelf) -> None:
    conversation = shelf.add()
    path = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}/audio"
    whole = await ann.get(path)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, AUDIO, "bytes")
    part = await ann.get(path, Range="bytes=100-299")
    assert (part.status_code, part.content) == (206, AUDIO[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(AUDIO)}"
    assert (await ann.get(path, Range="bytes=-7")).content == AUDIO[-7:]
    assert (await ann.get(path, Range=f"bytes={len(AUDIO)}-")).status_code == 416
    assert (await ann.get(path, Range="bytes=0-1,4-5")).status_code == 200
    changed = await ann.get(path, **{"Range": "bytes=0-9", "If-Range": '"older"'})
    assert (changed.status_code, len(changed.content)) == (200, len(AUDIO))
    same = await ann.get(path, **{"Range": "bytes=0-9", "If-Range": whole.headers["etag"]})
    assert (same.status_code, same.content) == (206, AUDIO[:10])
    head = await ann.http.head(f"/api/v1{path}")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(AUDIO)), b"")


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True), st.integers(0, 2000))
def test_any_range_header_gives_bytes_of_the_file_or_is_refused(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except UnsatisfiableRangeError:
        return
    if found is not None:
        assert 0 <= found.start < found.end <= size


def test_rfc9110_14_1_2_ranges() -> None:
    assert parse_range("bytes=0-0", 10) == ByteRange(0, 1)
    assert parse_range("bytes=5-", 10) == ByteRange(5, 10)
    assert parse_range("bytes=-3", 10) == ByteRange(7, 10)
    assert parse_range("bytes=-30", 10) == ByteRange(0, 10)
    assert parse_range("bytes=2-99", 10) == ByteRange(2, 10)
    assert parse_range("bytes=7-3", 10) is None
    assert parse_range("items=0-1", 10) is None


async def test_a_playback_is_one_act_in_the_audit_and_a_download_each(
    ann: Browser, shelf: Shelf, database: Database, clock: Clock
) -> None:
    conversation = shelf.add()
    base = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}"
    for start in (0, 500, 9000):
        await ann.get(f"{base}/audio", Range=f"bytes={start}-{start + 99}")
    clock.forward(minutes=31)
    await ann.get(f"{base}/audio")
    for _ in range(2):
        await ann.get(f"{base}/download?format=mp3")
    play, download = "conversation.play", "conversation.download"
    assert [row[0] for row in await _audit(database)] == [play, play, download, download]


async def test_37_nothing_is_played_when_the_audit_cannot_be_written(
    ann: Browser, shelf: Shelf, database: Database
) -> None:
    conversation = shelf.add()
    base = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}"
    async with database.engine.begin() as connection:
        await connection.execute(text("RESET ROLE"))
        await connection.execute(text("REVOKE INSERT ON audit FROM callward_app"))
        await connection.execute(text("SET ROLE callward_app"))
    for path in (
        f"/conversations/{conversation.id}",
        f"{base}/audio",
        f"{base}/download?format=wav",
        f"{base}/metadata",
    ):
        answer = await ann.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
        assert AUDIO[:100] not in answer.content
        assert NAME not in answer.text


async def test_a12_downloads_are_the_conversations_part_and_named_by_time(ann: Browser, shelf: Shelf) -> None:
    conversation = shelf.add()
    base = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}/download"
    answer = await ann.get(f"{base}?format=mp3")
    assert answer.text == "mp3 1000 18000"
    assert answer.headers["content-disposition"] == f'attachment; filename="2026-03-01T12-00-00Z-{conversation.id}.mp3"'
    assert (await ann.get(f"{base}?format=wav&offset_ms=5000&length_ms=60000")).text == "wav 6000 13000"
    assert (await ann.get(f"{base}?format=master")).content == AUDIO
    assert (await ann.get(f"{base}?format=exe")).status_code == 422
    assert shelf.closed == 3


async def test_a_conversion_without_room_is_refused_with_a_time_to_come_back(ann: Browser, shelf: Shelf) -> None:
    conversation = shelf.add()
    base = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}/download"
    shelf.busy = True
    answer = await ann.get(f"{base}?format=mp3")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "10")
    assert (await ann.get(f"{base}?format=master")).status_code == 200


async def test_what_is_still_recorded_cannot_be_played_yet(ann: Browser, shelf: Shelf) -> None:
    conversation = shelf.add(ready=False)
    base = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}"
    for path in ("audio", "peaks"):
        answer = await ann.get(f"{base}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/recordings/{r}/audio",
        "/recordings/{r}/peaks",
        "/recordings/{r}/metadata",
        "/recordings/{r}/download?format=mp3",
    ],
)
async def test_32_another_organisations_conversation_does_not_exist(
    open_browser: Callable[..., Browser], shelf: Shelf, database: Database, path: str
) -> None:
    await add_person(database, "bob.bee", organisation_id=B)
    bob = open_browser()
    await bob.sign_in("bob.bee")
    for organisation in (A, None):
        theirs = shelf.add(organisation_id=organisation)
        answer = await bob.get(f"/conversations/{theirs.id}{path.format(r=theirs.recordings[0].id)}")
        unknown = await bob.get(f"/conversations/{new_ulid()}{path.format(r=new_ulid())}")
        assert (answer.status_code, answer.json()) == (unknown.status_code, unknown.json())
        assert answer.status_code == 404
    own = shelf.add(organisation_id=B)
    assert (await bob.get(f"/conversations/{own.id}{path.format(r=own.recordings[0].id)}")).status_code == 200


async def test_32_a_recording_is_reached_through_its_own_conversation_only(ann: Browser, shelf: Shelf) -> None:
    one, two = shelf.add(), shelf.add()
    for path in ("audio", "peaks", "metadata", "download?format=mp3"):
        assert (await ann.get(f"/conversations/{one.id}/recordings/{two.recordings[0].id}/{path}")).status_code == 404


async def test_d7_an_administrator_who_may_not_listen_is_refused_and_that_is_audited(
    open_browser: Callable[..., Browser], shelf: Shelf, database: Database
) -> None:
    await add_person(database, "cat.cee", profiles=("administrator",))
    cat = open_browser()
    await cat.sign_in("cat.cee")
    conversation = shelf.add()
    base = f"/conversations/{conversation.id}/recordings/{conversation.recordings[0].id}"
    assert (await cat.get(f"/conversations/{conversation.id}")).status_code == 200
    for path in ("audio", "peaks", "metadata", "download?format=mp3"):
        answer = await cat.get(f"{base}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    refused = [row[0] for row in await _audit(database) if row[1] == "refused"]
    assert refused == ["conversation.play", "conversation.play", "conversation.metadata", "conversation.download"]


@pytest.mark.parametrize("id_", ["x", "..%2f..%2fetc%2fpasswd", "0" * 25, "0" * 27, "Z" * 26, "%00" * 26])
async def test_an_id_that_is_none_is_refused(ann: Browser, app: FastAPI, id_: str) -> None:
    assert (await ann.get(f"/conversations/{id_}")).status_code in (404, 422)
