"""Events into the archive's tables: organisations that are named late, and sealing that happens twice."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, select, text

from callward.archive.apply import apply_event
from callward.archive.keys import ArchiveKeys
from callward.archive.model import ConversationKey, ConversationRecording, Recording
from callward.archive.schemas import ConversationFilter, PageRequest
from callward.archive.stored import StoredArchive
from callward.media.codec_process import CodecPool
from callward.platform.blobs_folder import FolderStore
from callward.platform.database import Database, Scope, driver_url
from callward.records.events import Blob, Event, Problem, RecordingFailed, RecordingStored, RecordingUpdated
from tests.archive.recorded_calls import STARTED_AT, ended_call, started_call, ulid

ONE = "01KXXXXXXXXXXXXXXXXXXXXXXX"


def archive(folder: Path) -> StoredArchive:
    return StoredArchive(FolderStore(folder), ArchiveKeys(folder / "keys"), CodecPool(1))


def stored(sha256: str = "1", wrapped_key: str = "v1.first", organisation: str | None = ONE) -> RecordingStored:
    recording = ulid(1)
    return RecordingStored(
        recording=recording,
        organisation=organisation,
        at=STARTED_AT + timedelta(minutes=1),
        started_at=STARTED_AT,
        duration_ms=10_000,
        codec="opus",
        channels=1,
        sample_rate_hz=8000,
        blobs=[
            Blob(kind="master", key=f"{recording}/master", media_type="audio/ogg", size_bytes=1, stored_bytes=2,
                 sha256="0" * 64, stored_sha256=sha256 * 64)
        ],
        wrapped_key=wrapped_key,
        tracks=[],
    )  # fmt: skip


async def apply(database: Database, *events: Event) -> None:
    for event in events:
        async with database.begin(Scope.provider()) as session:
            await apply_event(session, event)


def upgrade_again(database_url: str, migration: str, *before: str) -> None:
    """Run one migration on rows that are made as they were before it."""
    engine = create_engine(driver_url(database_url))
    with engine.begin() as connection:
        for statement in before:
            connection.execute(text(statement))
        with Operations.context(MigrationContext.configure(connection)):
            importlib.import_module(f"callward.migrations.versions.{migration}").upgrade()
    engine.dispose()


def named_late() -> tuple[Event, Event]:
    """The carrier's INVITE names nobody; its BYE does."""
    ended = ended_call(1, [], 10, ONE)
    started = started_call(ended)
    return started.model_copy(
        update={"calls": [call.model_copy(update={"organisation": None}) for call in started.calls]}
    ), ended


@pytest.mark.parametrize("named_by", ["ended", "updated", "ended after stored"])
async def test_an_organisation_named_late_gets_the_recording_too(
    database: Database, tmp_path: Path, named_by: str
) -> None:
    started, ended = named_late()
    events = [started, ended]
    if named_by == "updated":
        at = STARTED_AT + timedelta(seconds=2)
        events = [started, RecordingUpdated(recording=ulid(1), at=at, calls=ended_call(1, [], 10, ONE).calls)]
    elif named_by == "ended after stored":
        events = [started, stored(organisation=None), ended]
    await apply(database, *events)
    async with database.begin(Scope.organisation(ONE)) as session:
        detail = await archive(tmp_path).conversation(session, ulid(1, "C"))
        assert [recording.id for recording in detail.recordings] == [ulid(1)]
        assert len(detail.recordings[0].blobs) == (named_by == "ended after stored")
        assert set((await session.scalars(select(ConversationKey.kind))).all()) == {"group", "found_by"}
        found = await archive(tmp_path).list_conversations(
            session, ConversationFilter(number="201234567"), PageRequest()
        )
        assert len(found.items) == 1


async def test_an_older_event_of_a_second_recording_does_not_take_the_organisation_away(database: Database) -> None:
    started, ended = named_late()
    await apply(database, ended, started.model_copy(update={"recording": ulid(2)}))
    async with database.begin(Scope.organisation(ONE)) as session:
        links = (await session.scalars(select(ConversationRecording.recording_id))).all()
    assert sorted(links) == [ulid(1), ulid(2)]


async def test_migration_0006_gives_existing_rows_to_their_organisation(database: Database, database_url: str) -> None:
    started, ended = named_late()
    await apply(database, started, ended)
    upgrade_again(
        database_url,
        "0006_late_organisations",
        "UPDATE conversation_recording SET organisation_id = NULL",
        "UPDATE conversation_key SET organisation_id = NULL",
    )
    async with database.begin(Scope.organisation(ONE)) as session:
        assert len((await session.execute(text("SELECT 1 FROM conversation_recording"))).all()) == 1
        assert len((await session.execute(text("SELECT 1 FROM conversation_key WHERE kind = 'group'"))).all()) == 1


@pytest.mark.parametrize(
    "second",
    [
        RecordingFailed(recording=ulid(1), at=STARTED_AT + timedelta(minutes=2), problems=[Problem(code="bad")]),
        RecordingFailed(
            recording=ulid(1), at=STARTED_AT + timedelta(minutes=2), problems=[Problem(code="bad")], retry=True
        ),
        stored("2", "v1.second"),
    ],
)
async def test_a_second_sealing_never_takes_a_good_recording_away(database: Database, second: Event) -> None:
    await apply(database, ended_call(1, [], 10, ONE), stored(), second)
    async with database.begin(Scope.organisation(ONE)) as session:
        row = await session.get_one(Recording, ulid(1))
        assert (row.state, row.wrapped_key, row.seal_problems) == ("ready", "v1.first", [])
        blob = (await session.execute(text("SELECT stored_sha256 FROM blob"))).scalar_one()
        assert blob == "1" * 64


async def test_a_key_wrapped_anew_is_taken_when_the_objects_are_the_same(database: Database) -> None:
    await apply(database, ended_call(1, [], 10, ONE), stored(), stored("1", "v1.again"))
    async with database.begin(Scope.organisation(ONE)) as session:
        assert (await session.get_one(Recording, ulid(1))).wrapped_key == "v1.again"


async def test_a_failed_recording_may_still_become_ready(database: Database) -> None:
    failed = RecordingFailed(recording=ulid(1), organisation=ONE, at=STARTED_AT, problems=[Problem(code="bad")])
    await apply(database, ended_call(1, [], 10, ONE), failed, stored())
    async with database.begin(Scope.organisation(ONE)) as session:
        assert (await session.get_one(Recording, ulid(1))).state == "ready"


def call_with_vendor_ids() -> Event:
    ended = ended_call(1, [], 10, ONE)
    call = ended.calls[0].model_copy(
        update={
            "session_ids": {"ucid": "00001034561234567890", "call_id": "a84b4c76e66710@gw.example", "guid": "F81D4FAE"},
            "extensions": {"broadworks": [{"extTrackingID": "27:1_x%", "deep": {"n": 4711000}}]},
        }
    )
    return ended.model_copy(update={"calls": [call]})


ASKED = ["00001034561234567890", "a84b4c76e667", "f81d4fae", "F81D4", "27:1_x%", "4711000"]


async def found(database: Database, folder: Path, asked: str, organisation: str = ONE) -> int:
    async with database.begin(Scope.organisation(organisation)) as session:
        page = await archive(folder).list_conversations(session, ConversationFilter(number=asked), PageRequest())
    return len(page.items)


@pytest.mark.parametrize("after_migration", [False, True])
async def test_s20_a_conversation_is_found_by_its_vendors_ids(
    database: Database, database_url: str, tmp_path: Path, after_migration: bool
) -> None:
    await apply(database, ended_call(2, [], 10, ONE), call_with_vendor_ids())
    if after_migration:
        upgrade_again(
            database_url,
            "0008_identifiers",
            "DELETE FROM conversation_key WHERE kind = 'found_by'",
            "UPDATE conversation SET search_text = ' 31201234567 ann'",
        )
    assert [await found(database, tmp_path, asked) for asked in ASKED] == [1] * len(ASKED)
    assert await found(database, tmp_path, "27:2") == await found(database, tmp_path, "000010345612345678") == 0
    assert await found(database, tmp_path, ASKED[0], "01KYYYYYYYYYYYYYYYYYYYYYYY") == 0


async def test_s20_identifiers_are_bounded_and_relate_no_legs(database: Database, tmp_path: Path) -> None:
    for number in (1, 2):
        ended = ended_call(number, [], 10, ONE)
        update = {"session_ids": {"call_id": "same"}, "extensions": {f"x{i}": [f"v{i}" * 300] for i in range(500)}}
        calls = [ended.calls[0].model_copy(update=update)]
        await apply(database, ended.model_copy(update={"calls": calls}))
    async with database.begin(Scope.organisation(ONE)) as session:
        values = (await session.scalars(select(ConversationKey.value))).all()
        assert len(values) == 2 * 64 and max(map(len, values)) == 255
        assert (await archive(tmp_path).conversation(session, ulid(1, "C"))).related == []
