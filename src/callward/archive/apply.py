"""Recording events into the archive's tables.

The recorder's journal and the seal journal are applied side by side, so that `stored` may come before `started`. Facts carry a rank
(started 1, updated 2, ended 3) and an instant: a later event never loses to an earlier one. What sealing found has columns of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from callward.archive import numbers
from callward.archive.identifiers import FOUND_BY, identifiers
from callward.archive.model import (
    Conversation,
    ConversationKey,
    ConversationNumber,
    ConversationRecording,
    NumberPart,
    Recording,
    StoredBlob,
)
from callward.platform.telemetry import logger
from callward.records.apply import storable
from callward.records.events import (
    Call,
    Event,
    Party,
    RecordingEnded,
    RecordingFailed,
    RecordingStarted,
    RecordingStored,
    RecordingUpdated,
)

RANKS = {"recording_started": 1, "recording_updated": 2, "recording_ended": 3}
SEARCH_MAX = 4000
RELATING_KEYS = ("group", "communication_session", "sip_session_id", "ucid", "gcid", "tracking_id")
"""Identifiers that legs of one call have in common (S18, S36); others of them say more about the session than about the call."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def apply_event(session: AsyncSession, event: Event) -> None:
    """Apply one event; repeating it changes nothing."""
    if isinstance(event, RecordingStarted | RecordingUpdated | RecordingEnded):
        await _apply_facts(session, event)
    elif isinstance(event, RecordingStored | RecordingFailed):
        await _apply_outcome(session, event)


async def _recording(session: AsyncSession, recording: str) -> Recording:
    """The row, made when this is the first that is heard of the recording; locked until the transaction ends."""
    await session.execute(
        insert(Recording)
        .values(
            id=recording,
            session_id="",
            state="recording",
            started_at=_BEGINNING,
            duration_ms=0,
            why_ended="",
            channels=0,
            sample_rate_hz=0,
            tracks=[],
            marks=[],
            problems=[],
            seal_problems=[],
            peer="",
            address="",
            vendor="",
            extensions={},
            facts_rank=0,
            facts_at=_BEGINNING,
        )
        .on_conflict_do_nothing()
    )
    return (
        await session.execute(
            select(Recording)
            .where(Recording.id == recording)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).scalar_one()


async def _apply_facts(session: AsyncSession, event: RecordingStarted | RecordingUpdated | RecordingEnded) -> None:
    row = await _recording(session, event.recording)
    at = event.ended_at if isinstance(event, RecordingEnded) else event.at
    rank = RANKS[event.type]
    if (row.facts_rank, row.facts_at) > (rank, at):
        return
    row.facts_rank, row.facts_at = rank, at
    sealed = row.state in ("ready", "failed")
    organisations = {call.organisation for call in event.calls}
    if not sealed or row.organisation_id is None:
        row.organisation_id = organisations.pop() if len(organisations) == 1 else None
    if isinstance(event, RecordingStarted | RecordingEnded):
        row.session_id = event.session
        row.peer, row.address, row.vendor = storable([event.peer, event.address, event.vendor])
    if not sealed:
        row.tracks = storable([track.model_dump(mode="json") for track in event.tracks])
        if isinstance(event, RecordingStarted):
            row.started_at, row.state = event.at, "recording"
        elif isinstance(event, RecordingUpdated):
            row.state = event.state
        else:
            row.started_at, row.state = event.started_at, "sealing"
    if isinstance(event, RecordingUpdated | RecordingEnded):
        row.marks = storable([mark.model_dump(mode="json") for mark in event.marks])
        row.problems = storable([problem.model_dump(mode="json") for problem in event.problems])
    if isinstance(event, RecordingEnded):
        row.ended_at, row.why_ended = event.ended_at, event.why
        row.extensions = storable(event.extensions)
        if not sealed:
            row.duration_ms = _milliseconds(event.started_at, event.ended_at)
    await session.flush()
    await session.execute(
        update(StoredBlob)
        .where(
            StoredBlob.recording_id == row.id,
            StoredBlob.organisation_id.is_distinct_from(row.organisation_id),
        )
        .values(organisation_id=row.organisation_id)
        .execution_options(synchronize_session=False)
    )
    for call in event.calls:
        await _apply_call(session, row, call, rank, at)
    await _follow_recording(session, row)


async def _apply_call(session: AsyncSession, recording: Recording, call: Call, rank: int, at: datetime) -> None:
    parties = call.parties or [party for party in (call.caller, call.called) if party is not None]
    caller, called = call.caller or Party(party=""), call.called or Party(party="")
    ended_at = call.ended_at or (recording.ended_at if rank == RANKS["recording_ended"] else None)
    facts: dict[str, Any] = storable(
        {
            "direction": call.direction,
            "caller_number": caller.number,
            "caller_name": caller.name,
            "called_number": called.number,
            "called_name": called.name,
            "parties": [party.model_dump(mode="json") for party in parties],
            "peer": recording.peer,
            "address": recording.address,
            "vendor": recording.vendor,
            "session_ids": dict(call.session_ids),
            "extensions": dict(call.extensions),
            "search_text": _search_text([caller, called, *parties], identifiers(call.session_ids, call.extensions)),
        }
    )
    facts |= {
        "organisation_id": call.organisation,
        "started_at": call.started_at,
        "ended_at": ended_at,
        "duration_ms": _milliseconds(call.started_at, ended_at) if ended_at is not None else 0,
        "facts_rank": rank,
        "facts_at": at,
    }
    statement = insert(Conversation).values(id=call.conversation, state="recording", problems=[], marks=[], **facts)
    newer = (Conversation.facts_rank < rank) | ((Conversation.facts_rank == rank) & (Conversation.facts_at <= at))
    # The call may go on in a second recording (2N): the rank is of that recording's picture, and an ended call stays ended.
    await session.execute(statement.on_conflict_do_update(index_elements=[Conversation.id], set_=facts, where=newer))
    # The organisation may be named late (a carrier's peer); what belongs to the conversation follows the conversation.
    organisation, session_ids, extensions = (
        await session.execute(
            select(Conversation.organisation_id, Conversation.session_ids, Conversation.extensions).where(
                Conversation.id == call.conversation
            )
        )
    ).one()
    link = insert(ConversationRecording).values(
        conversation_id=call.conversation,
        recording_id=recording.id,
        organisation_id=organisation,
        offset_ms=0,
        length_ms=0,
    )
    await session.execute(link.on_conflict_do_nothing())
    await _note_keys(session, call, organisation)
    await _note_identifiers(session, call, organisation, identifiers(session_ids, extensions))
    await _note_numbers(session, call, organisation, [caller, called, *parties])
    for table in (ConversationRecording, ConversationKey):
        await session.execute(
            update(table)
            .where(
                table.conversation_id == call.conversation,
                table.organisation_id.is_distinct_from(organisation),
            )
            .values(organisation_id=organisation)
            .execution_options(synchronize_session=False)
        )


async def _note_keys(session: AsyncSession, call: Call, organisation: str | None) -> None:
    rows = [
        {
            "conversation_id": call.conversation,
            "kind": kind,
            "value": storable(value),
            "organisation_id": organisation,
        }
        for kind, value in call.session_ids.items()
        if value and kind in RELATING_KEYS
    ]
    if rows:
        await session.execute(insert(ConversationKey).values(rows).on_conflict_do_nothing())


async def _note_identifiers(session: AsyncSession, call: Call, organisation: str | None, found: list[str]) -> None:
    mine = (ConversationKey.conversation_id == call.conversation, ConversationKey.kind == FOUND_BY)
    await session.execute(delete(ConversationKey).where(*mine, ConversationKey.value.not_in(found)))
    rows = [
        {"conversation_id": call.conversation, "kind": FOUND_BY, "value": value, "organisation_id": organisation}
        for value in found
    ]
    if rows:
        await session.execute(insert(ConversationKey).values(rows).on_conflict_do_nothing())


async def _note_numbers(session: AsyncSession, call: Call, organisation: str | None, parties: list[Party]) -> None:
    found = sorted({numbers.digits_of(p.number) for p in parties if numbers.is_number(p.number)} - {""})
    of_conversation = ConversationNumber.conversation_id == call.conversation
    if not found:  # this event names none: those of an earlier one stay
        found = sorted((await session.scalars(select(ConversationNumber.digits).where(of_conversation))).all())
    await session.execute(delete(ConversationNumber).where(of_conversation))
    for digits in found:
        await session.execute(
            insert(ConversationNumber).values(
                conversation_id=call.conversation,
                digits=digits,
                organisation_id=organisation,
                started_at=call.started_at,
            )
        )
        rows = [{"organisation_id": organisation, "digits": digits, "part": part} for part in numbers.parts(digits)]
        await session.execute(insert(NumberPart).values(rows).on_conflict_do_nothing())


def _search_text(parties: list[Party], known_by: list[str]) -> str:
    digits = {numbers.digits_of(party.number) for party in parties if numbers.is_number(party.number)} - {""}
    words = {text.lower() for party in parties for text in (party.name, party.aor, party.number) if text}
    return " ".join(["", *sorted(digits), *sorted(words), *known_by])[:SEARCH_MAX]


async def _apply_outcome(session: AsyncSession, event: RecordingStored | RecordingFailed) -> None:
    row = await _recording(session, event.recording)
    if row.state == "ready" and not await _is_same_outcome(session, event):
        # Nothing that a second sealing says may cost the good recording its key or its objects.
        logger.error("second_sealing_ignored", recording=event.recording, outcome=event.type)
        return
    row.seal_problems = storable([problem.model_dump(mode="json") for problem in event.problems])
    if isinstance(event, RecordingFailed) and event.retry:
        await session.flush()
        await _follow_recording(session, row)
        return
    row.stored_at = event.at
    row.organisation_id = event.organisation
    row.wrapped_key = event.wrapped_key or None
    if event.tracks:
        row.tracks = storable([track.model_dump(mode="json") for track in event.tracks])
    if isinstance(event, RecordingStored):
        row.state = "ready"
        row.started_at, row.duration_ms = event.started_at, event.duration_ms
        row.codec, row.channels, row.sample_rate_hz = event.codec, event.channels, event.sample_rate_hz
    else:
        row.state = "failed"
    await session.flush()
    for blob in event.blobs:
        values = {
            **blob.model_dump(exclude={"version"}),
            "recording_id": event.recording,
            "organisation_id": event.organisation,
        }
        await session.execute(
            insert(StoredBlob).values(values).on_conflict_do_update(index_elements=[StoredBlob.key], set_=values)
        )
    await _follow_recording(session, row)


async def _is_same_outcome(session: AsyncSession, event: RecordingStored | RecordingFailed) -> bool:
    """The event names exactly the objects that the database knows, byte for byte."""
    if isinstance(event, RecordingFailed):
        return False
    known = await session.execute(
        select(StoredBlob.key, StoredBlob.sha256, StoredBlob.stored_sha256).where(
            StoredBlob.recording_id == event.recording
        )
    )
    return {tuple(row) for row in known} == {(blob.key, blob.sha256, blob.stored_sha256) for blob in event.blobs}


async def _follow_recording(session: AsyncSession, recording: Recording) -> None:
    """Bring state, problems, marks and offsets of the recording's conversations up to date."""
    await session.flush()
    links = await session.scalars(
        select(ConversationRecording).where(ConversationRecording.recording_id == recording.id)
    )
    for link in links.all():
        conversation = (
            await session.execute(
                select(Conversation)
                .where(Conversation.id == link.conversation_id)
                .with_for_update()
                .execution_options(populate_existing=True)
            )
        ).scalar_one()
        _place(link, conversation, recording)
        recordings = (
            await session.scalars(
                select(Recording)
                .join(ConversationRecording, ConversationRecording.recording_id == Recording.id)
                .where(ConversationRecording.conversation_id == conversation.id)
                .order_by(Recording.id)
            )
        ).all()
        conversation.state = _state([found.state for found in recordings])
        conversation.problems = _distinct(
            problem for found in recordings for problem in [*found.problems, *found.seal_problems]
        )
        conversation.marks = sorted(
            _distinct(mark for found in recordings for mark in found.marks), key=lambda mark: str(mark.get("at", ""))
        )
    await session.flush()


def _place(link: ConversationRecording, conversation: Conversation, recording: Recording) -> None:
    """Where the call lies in the recording."""
    offset = max(0, _milliseconds(recording.started_at, conversation.started_at))
    ended_at = conversation.ended_at or recording.ended_at
    link.offset_ms = min(offset, recording.duration_ms)
    end = recording.duration_ms
    if conversation.ended_at is not None and ended_at is not None and conversation.ended_at != recording.ended_at:
        end = min(end, max(0, _milliseconds(recording.started_at, ended_at)))
    link.length_ms = max(0, end - link.offset_ms)


def _state(states: list[str]) -> str:
    for state in ("recording", "paused", "sealing", "ready", "failed"):
        if state in states:
            return state
    return "recording"


def _distinct(entries: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found


def _milliseconds(start: datetime, end: datetime) -> int:
    return (end - start) // timedelta(milliseconds=1)
