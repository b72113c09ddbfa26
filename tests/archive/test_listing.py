"""The list of conversations: pages that neither repeat nor skip, numbers by any part, legs of one call, no other organisation's rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from callward.archive import listing, numbers
from callward.archive.apply import apply_event
from callward.archive.keys import ArchiveKeys
from callward.archive.model import Conversation, NumberPart
from callward.archive.schemas import ConversationFilter, ConversationOrder, PageRequest, PartyView
from callward.archive.service import BadCursorError, NotReadyError
from callward.archive.stored import StoredArchive
from callward.media.codec_process import CodecPool
from callward.platform.blobs_folder import FolderStore
from callward.platform.database import Database, Scope
from tests.archive.recorded_calls import STARTED_AT, ended_call, ulid

ONE, TWO = "01KXXXXXXXXXXXXXXXXXXXXXXX", "01KYYYYYYYYYYYYYYYYYYYYYYY"


@pytest.fixture
def archive(tmp_path: Path) -> StoredArchive:
    return StoredArchive(FolderStore(tmp_path), ArchiveKeys(tmp_path / "keys"), CodecPool(1))


async def fill(database: Database, count: int, organisation: str | None = ONE, first: int = 1) -> None:
    async with database.begin(Scope.provider()) as session:
        for number in range(first, first + count):
            ended = ended_call(number, [], 5 + number % 3, organisation)
            call = ended.calls[0]
            assert call.caller is not None
            caller = call.caller.model_copy(update={"number": f"+3120{number:07d}"})
            # Several calls begin in the same second: then the id decides.
            at = STARTED_AT + timedelta(seconds=number // 3)
            call = call.model_copy(update={"caller": caller, "parties": [caller], "started_at": at})
            await apply_event(session, ended.model_copy(update={"calls": [call]}))


@pytest.mark.parametrize("order", list(ConversationOrder))
async def test_pages_hold_every_conversation_once_and_in_order(
    database: Database, archive: StoredArchive, order: ConversationOrder
) -> None:
    await fill(database, 25)
    seen, cursor = [], None
    async with database.begin(Scope.organisation(ONE)) as session:
        while True:
            page = await archive.list_conversations(
                session, ConversationFilter(), PageRequest(limit=7, cursor=cursor, order=order)
            )
            seen += page.items
            if (cursor := page.next_cursor) is None:
                break
    column = order.value.lstrip("-")
    keys = [(getattr(item, column), item.id) for item in seen]
    assert len(set(keys)) == 25 and keys == sorted(keys, reverse=order.value.startswith("-"))


@pytest.mark.parametrize("asked", ["20 0000012", "0012", "+31200000012", "0031-20-0000012", "00000012"])
async def test_a_number_is_found_by_any_part(database: Database, archive: StoredArchive, asked: str) -> None:
    await fill(database, 20)
    async with database.begin(Scope.organisation(ONE)) as session:
        page = await archive.list_conversations(session, ConversationFilter(number=asked), PageRequest())
        assert [item.caller_number for item in page.items] == ["+31200000012"]
        nothing = await archive.list_conversations(session, ConversationFilter(number="999999"), PageRequest())
        assert not nothing.items


async def test_names_states_problems_and_times_filter(database: Database, archive: StoredArchive) -> None:
    await fill(database, 6)
    async with database.begin(Scope.organisation(ONE)) as session:

        async def found(**conditions: object) -> int:
            filters = ConversationFilter.model_validate(conditions)
            return len((await archive.list_conversations(session, filters, PageRequest())).items)

        assert await found(number="ann c") == 6 and await found(number="a_n%") == 0
        assert await found(state="sealing") == 6 and await found(state="ready") == 0
        assert await found(problem="any") == 0 and await found(problem="gaps") == 0
        assert await found(direction="in") == 6
        assert await found(started_from=STARTED_AT + timedelta(seconds=1)) == 4
        assert await found(started_before=STARTED_AT + timedelta(seconds=1)) == 2


async def test_fault_32_another_organisation_sees_nothing(database: Database, archive: StoredArchive) -> None:
    await fill(database, 3, ONE)
    await fill(database, 3, TWO, 10)
    await fill(database, 3, None, 20)
    for scope, expected in ((Scope.organisation(ONE), 3), (Scope.organisation(TWO), 3), (Scope.provider(), 9)):
        async with database.begin(scope) as session:
            page = await archive.list_conversations(session, ConversationFilter(), PageRequest())
            assert len(page.items) == expected
            own = await archive.list_conversations(session, ConversationFilter(number="200000"), PageRequest())
            assert len(own.items) == expected
            parts = (await session.scalars(select(NumberPart.organisation_id).distinct())).all()
            assert len(parts) == (3 if scope.is_provider else 1)


async def test_s18_legs_of_one_call_are_related(database: Database, archive: StoredArchive) -> None:
    async with database.begin(Scope.provider()) as session:
        for number in (1, 2, 3):
            ended = ended_call(number, [], 5, ONE)
            group = "shared" if number < 3 else "another"
            call = ended.calls[0].model_copy(update={"session_ids": {"group": group, "call_id": "same"}})
            await apply_event(session, ended.model_copy(update={"calls": [call]}))
    async with database.begin(Scope.organisation(ONE)) as session:
        detail = await archive.conversation(session, ulid(1, "C"))
        assert [leg.id for leg in detail.related] == [ulid(2, "C")]
        assert detail.recordings[0].playable is False
        with pytest.raises(NotReadyError):
            await archive.open_audio(session, detail.recordings[0].id)
        with pytest.raises(NotReadyError):
            await archive.peaks(session, detail.recordings[0].id)


async def test_s35_one_recording_carries_several_conversations_each_with_its_place(
    database: Database, archive: StoredArchive
) -> None:
    ended = ended_call(1, [], 60, ONE)
    second = ended.calls[0].model_copy(
        update={
            "conversation": ulid(2, "C"),
            "started_at": STARTED_AT + timedelta(seconds=20),
            "ended_at": STARTED_AT + timedelta(seconds=50),
        }
    )
    async with database.begin(Scope.provider()) as session:
        await apply_event(session, ended.model_copy(update={"calls": [ended.calls[0], second]}))
        detail = await archive.conversation(session, ulid(2, "C"))
    assert (detail.recordings[0].offset_ms, detail.recordings[0].length_ms) == (20_000, 30_000)


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "bnVsbA", "WyItc3RhcnRlZF9hdCIsMSwyXQ", "é"])
async def test_a_cursor_that_is_not_ours_is_refused(database: Database, archive: StoredArchive, cursor: str) -> None:
    async with database.begin(Scope.provider()) as session:
        with pytest.raises(BadCursorError):
            await archive.list_conversations(session, ConversationFilter(), PageRequest(cursor=cursor))


async def test_the_number_search_uses_its_index_under_row_level_security(database: Database) -> None:
    await fill(database, 5)
    async with database.begin(Scope.organisation(ONE)) as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        query = select(Conversation.id).where(*listing.conditions(ConversationFilter(number="0000003")))
        compiled = query.compile(session.bind, compile_kwargs={"literal_binds": True})
        plan = (await session.execute(text("EXPLAIN " + str(compiled).replace(":", "\\:")))).scalars().all()
    assert any("number_part_part" in line or "number_part_unique" in line for line in plan), plan


@given(st.text("0123456789", min_size=1, max_size=20), st.data())
def test_any_part_of_a_number_lies_in_its_range(digits: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(digits) - 1))
    asked = digits[start : data.draw(st.integers(start + 1, len(digits)))]
    low, high = numbers.part_range(asked)
    assert any(low <= part <= high for part in numbers.parts(digits))
    assert max(numbers.parts(digits)) < 1 << 31


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("+3222022221", "+32 2 202 22 21"),
        ("+31201234567", "+31 20 123 4567"),
        ("+12015550123", "+1 201-555-0123"),
        ("+000000000", "+000000000"),
        ("+99912345678", "+99912345678"),
        ("022022221", "022022221"),
        ("+32<b>", "+32<b>"),
        ("+" + "1" * 300, "+" + "1" * 300),
        ("", ""),
    ],
)
def test_a_number_is_shown_as_its_country_writes_it(sent: str, shown: str) -> None:
    assert numbers.display(sent) == shown
    assert PartyView(party="p", number=sent).model_dump()["number_display"] == shown


@given(st.text(max_size=30) | st.from_regex(r"\+[0-9]{1,20}", fullmatch=True))
def test_the_shown_number_has_the_digits_that_were_sent(sent: str) -> None:
    assert "".join(filter(str.isdigit, numbers.display(sent))) == "".join(filter(str.isdigit, sent))
