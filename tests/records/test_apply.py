"""Journals into the database: exactly once, in any order between journals, after an outage, with hostile content."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from callward.archive.apply import apply_event
from callward.archive.model import Conversation, ConversationRecording, Recording, StoredBlob
from callward.cli.worker import report_to
from callward.journal import EventJournal
from callward.platform.database import Database, Scope
from callward.platform.health import Health
from callward.records.apply import Applier, Source
from callward.records.events import (
    Blob,
    Event,
    Problem,
    RecordingFailed,
    RecordingStored,
    RecordingUpdated,
    SystemEvent,
)
from callward.records.model import SetAsideEvent, SystemEventRow
from tests.archive.recorded_calls import STARTED_AT, ended_call, started_call, ulid

ORGANISATION = "01KXXXXXXXXXXXXXXXXXXXXXXX"


async def write(folder: Path, *events: Event | bytes) -> None:
    journal = EventJournal.open(folder)
    for event in events:
        await journal.append_durable(event if isinstance(event, bytes) else event.model_dump_json().encode())
    await journal.close()


async def apply(database: Database, folder: Path, name: str = "recorder") -> int:
    applier = Applier(database, Source("local", name, folder), [apply_event])
    count = 0
    while True:
        try:
            applied = await applier.step()
        except FileNotFoundError:  # two in one process have one temporary file for the cursor; two processes have two
            continue
        if not applied:
            return count
        count += applied


def stored(number: int = 1) -> RecordingStored:
    ended = ended_call(number, [ulid(1, "T")], 10)
    return RecordingStored(
        recording=ended.recording,
        organisation=ended.calls[0].organisation,
        at=STARTED_AT,
        started_at=STARTED_AT - timedelta(seconds=1),
        duration_ms=11_000,
        codec="opus",
        channels=1,
        sample_rate_hz=8000,
        blobs=[
            Blob(kind="master", key=f"{ended.recording}/master", media_type="audio/ogg", size_bytes=1, stored_bytes=2,
                 sha256="0" * 64, stored_sha256="1" * 64)
        ],
        wrapped_key="v1.x.y.z",
        tracks=[],
        problems=[Problem(code="gaps", detail="one")],
    )  # fmt: skip


async def count(session: AsyncSession, table: type) -> int:
    return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def test_states_follow_the_events(tmp_path: Path, database: Database) -> None:
    ended = ended_call(1, [ulid(1, "T")], 10)
    started = started_call(ended)
    paused = RecordingUpdated(
        recording=ended.recording, at=STARTED_AT + timedelta(seconds=3), state="paused", calls=started.calls, tracks=[]
    )
    for event, state in ((started, "recording"), (paused, "paused"), (ended, "sealing")):
        await write(tmp_path / "r", event)
        assert await apply(database, tmp_path / "r") == 1
        async with database.begin(Scope.provider()) as session:
            assert (await session.get_one(Conversation, ended.calls[0].conversation)).state == state
    await write(tmp_path / "s", stored())
    await apply(database, tmp_path / "s", "seal")
    async with database.begin(Scope.provider()) as session:
        row = await session.get_one(Conversation, ended.calls[0].conversation)
        link = (await session.scalars(select(ConversationRecording))).one()
        assert (row.state, row.duration_ms, row.caller_number) == ("ready", 10_000, "+31201234567")
        assert [problem["code"] for problem in row.problems] == ["gaps"]
        assert (link.offset_ms, link.length_ms) == (1000, 10_000)


async def test_stored_may_come_before_started_and_a_late_update_changes_nothing_final(
    tmp_path: Path, database: Database
) -> None:
    ended = ended_call(1, [ulid(1, "T")], 10)
    await write(tmp_path / "s", stored())
    await apply(database, tmp_path / "s", "seal")
    await write(tmp_path / "r", ended, started_call(ended))
    await apply(database, tmp_path / "r")
    async with database.begin(Scope.provider()) as session:
        row = await session.get_one(Conversation, ended.calls[0].conversation)
        recording = await session.get_one(Recording, ended.recording)
        assert row.state == "ready" and row.ended_at == ended.ended_at
        assert recording.codec == "opus" and recording.why_ended == "bye" and recording.peer == "sbc"


async def test_fault_10_database_away_then_exactly_once(
    tmp_path: Path, database: Database, monkeypatch: object
) -> None:
    calls = [ended_call(number, [ulid(number, "T")], 5) for number in range(1, 51)]
    await write(tmp_path / "r", *calls, SystemEvent(at=STARTED_AT, code="peer_refused"))
    away = Database("postgresql://nobody@127.0.0.1:9/nothing", 1)
    stopping = asyncio.Event()
    states: list[bool] = []
    waiting = Applier(away, Source("local", "recorder", tmp_path / "r"), [apply_event])

    def on_state(well: bool, _why: str) -> None:
        states.append(well)
        if len(states) == 2:
            stopping.set()

    async with asyncio.timeout(20):
        await waiting.run(stopping, on_state)
    assert states[:2] == [False, False]
    await away.close()
    assert await apply(database, tmp_path / "r") == 51
    assert await apply(database, tmp_path / "r") == 0
    async with database.begin(Scope.provider()) as session:
        assert await count(session, Conversation) == 50 and await count(session, SystemEventRow) == 1


async def test_two_workers_and_a_lost_cursor_file_apply_once(tmp_path: Path, database: Database) -> None:
    events = [SystemEvent(at=STARTED_AT, code="alarm", detail=str(i)) for i in range(300)]
    calls = [ended_call(number, [ulid(number, "T")], 5) for number in range(1, 21)]
    await write(tmp_path / "r", *events, *calls)
    await asyncio.gather(*(apply(database, tmp_path / "r") for _ in range(3)))
    (tmp_path / "r" / "consumers" / "worker").unlink()
    await apply(database, tmp_path / "r")
    async with database.begin(Scope.provider()) as session:
        assert await count(session, SystemEventRow) == 300
        assert await count(session, Conversation) == await count(session, ConversationRecording) == 20


async def test_a_crash_between_database_and_cursor_file_applies_once(tmp_path: Path, database: Database) -> None:
    seen: list[str] = []

    async def handler(session: AsyncSession, event: Event) -> None:
        seen.append(event.type)

    await write(tmp_path / "r", ended_call(1, [ulid(1, "T")], 5))
    applier = Applier(database, Source("local", "recorder", tmp_path / "r"), [handler])
    applier._cursor.store = lambda *_: (_ for _ in ()).throw(OSError("killed here"))  # type: ignore[method-assign]
    for _ in range(2):
        try:
            await applier.step()
        except OSError:
            pass
    again = Applier(database, Source("local", "recorder", tmp_path / "r"), [handler])
    assert await again.step() == 1 or seen
    while await again.step():
        pass
    assert seen == ["recording_ended"]


async def test_a_poisoned_event_is_set_aside_alone(tmp_path: Path, database: Database) -> None:
    async def refuse(session: AsyncSession, event: Event) -> None:
        if event.type == "recording_failed":
            raise RuntimeError("a bug")

    failed = RecordingFailed(recording=ulid(9), at=STARTED_AT, problems=[])
    await write(tmp_path / "r", ended_call(1, [], 5), b"not json", b'{"type":"unknown"}', failed, ended_call(2, [], 5))
    applier = Applier(database, Source("local", "recorder", tmp_path / "r"), [apply_event, refuse])
    while await applier.step():
        pass
    async with database.begin(Scope.provider()) as session:
        assert await count(session, Conversation) == 2
        rows = (await session.scalars(select(SystemEventRow))).all()
        assert [row.code for row in rows] == ["event_not_applied"] * 3


async def test_what_was_set_aside_is_applied_at_the_next_start(tmp_path: Path, database: Database) -> None:
    async def refuse(session: AsyncSession, event: Event) -> None:
        raise RuntimeError("a bug of this version")

    source = Source("local", "recorder", tmp_path / "r")
    await write(source.folder, ended_call(1, [], 5), b"never an event", ended_call(2, [], 5))
    old = Applier(database, source, [refuse])
    while await old.step():
        pass
    async with database.begin(Scope.provider()) as session:
        assert await count(session, Conversation) == 0 and await count(session, SetAsideEvent) == 3
    stopping = asyncio.Event()
    async with asyncio.timeout(20):
        await Applier(database, source, [apply_event]).run(stopping, lambda _well, _why: stopping.set())
    async with database.begin(Scope.provider()) as session:
        assert await count(session, Conversation) == 2
        assert (await session.scalars(select(SetAsideEvent.payload))).all() == [b"never an event"]
        rows = (await session.scalars(select(SystemEventRow).order_by(SystemEventRow.position))).all()
        assert [row.code for row in rows] == ["event_applied_later", "event_not_applied", "event_applied_later"]
        assert [row.severity for row in rows] == ["info", "alarm", "info"]
    async with database.begin(Scope.organisation(ORGANISATION)) as session:
        assert await count(session, SetAsideEvent) == 0
    assert await Applier(database, source, [apply_event]).apply_set_aside() == 0


async def test_each_journal_has_a_check_of_its_own() -> None:
    health = Health()
    for source, well in (("recorder", False), ("seal", True)):
        report_to(health, source)(well, "" if well else "the database does not take events")
    assert not health.ready
    assert sorted(health.checks) == ["database_recorder", "database_seal"]


async def test_fault_26_hostile_text_is_kept_as_text(tmp_path: Path, database: Database) -> None:
    ended = ended_call(1, [ulid(1, "T")], 5)
    evil = "'; DROP TABLE conversation; --\0<script>\u202e\r\n"
    call = ended.calls[0]
    assert call.caller is not None
    bad = call.model_copy(
        update={
            "caller": call.caller.model_copy(update={"name": evil, "number": evil}),
            "session_ids": {"group": evil, evil: evil},
            "extensions": {evil: [evil, {"x": evil}]},
        }
    )
    await write(tmp_path / "r", ended.model_copy(update={"calls": [bad], "vendor": evil}))
    await apply(database, tmp_path / "r")
    async with database.begin(Scope.provider()) as session:
        row = await session.get_one(Conversation, call.conversation)
        assert row.caller_name == evil.replace("\0", "\ufffd")
        assert await count(session, SystemEventRow) == 0 and await count(session, StoredBlob) == 0
