"""Journals into the database, exactly once: the events of a batch and the cursor behind them are one transaction.

The cursor row (host, journal) is locked for the batch, so that of two workers one waits, and sees where the other ended. Events that cannot
be understood become system events; an event that the database refuses (hostile text, say) is set aside alone, never the batch. What is
set aside keeps its content and is applied again when the worker starts the next time: by then it may understand it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge
from pydantic import ValidationError
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from callward.journal import Cursor, JournalReader, OffsetGoneError, Record
from callward.platform.database import Database, Scope
from callward.platform.telemetry import logger
from callward.records.events import EVENT, Event, SystemEvent
from callward.records.model import JournalCursor, SetAsideEvent, SystemEventRow

CONSUMER = "worker"
BATCH_EVENTS = 200
POLL_S = 0.1
BACK_OFF_MAX_S = 30.0

_APPLIED = Counter("callward_records_applied_total", "Events applied to the database", ["journal"])
_REFUSED = Counter("callward_records_refused_total", "Events that could not be applied", ["journal"])
_DATABASE_UP = Gauge("callward_records_database_up", "1 while the database takes events")

Handler = Callable[[AsyncSession, Event], Awaitable[None]]
"""Applies one event in the batch's transaction; must be safe to repeat and in any order between journals."""


@dataclass(frozen=True, slots=True)
class Source:
    """A journal to apply: `host` and `name` identify it in the database."""

    host: str
    name: str
    folder: Path


class Applier:
    """Applies one journal. Make one for each."""

    def __init__(self, database: Database, source: Source, handlers: Sequence[Handler]) -> None:
        self._database = database
        self._source = source
        self._handlers = list(handlers)
        self._reader = JournalReader(source.folder)
        self._cursor = Cursor(source.folder, CONSUMER)
        self._journal_id: str | None = None

    async def run(self, stopping: asyncio.Event, on_state: Callable[[bool, str], None] | None = None) -> None:
        """Apply what comes until `stopping` is set; waits for a database that is away, however long."""
        failures, retried = 0, False
        while not stopping.is_set():
            try:
                if not retried:
                    await self.apply_set_aside()
                    retried = True
                applied = await self.step()
            except (SQLAlchemyError, OSError) as error:
                failures += 1
                _DATABASE_UP.set(0)
                logger.warning("records_wait_for_database", journal=self._source.name, error=_sentence(error))
                if on_state is not None:
                    on_state(False, "the database does not take events")
                self._journal_id = None  # ask the database again where it stands
                await _pause(stopping, min(BACK_OFF_MAX_S, 0.2 * 2 ** min(failures, 8)) * (0.5 + random.random() / 2))  # noqa: S311
                continue
            failures = 0
            _DATABASE_UP.set(1)
            if on_state is not None:
                on_state(True, "")
            if not applied:
                await _pause(stopping, POLL_S)

    async def apply_set_aside(self) -> int:
        """Apply again what was set aside of this journal; returns how many succeeded. Raises SQLAlchemyError when the database is away.

        A newer Callward may understand what an older one refused. Those that are refused again stay.
        """
        mine = (SetAsideEvent.host == self._source.host, SetAsideEvent.journal.startswith(f"{self._source.name}:"))
        async with self._database.begin(Scope.provider()) as session:
            keys = (
                await session.execute(
                    select(SetAsideEvent.journal, SetAsideEvent.position)
                    .where(*mine)
                    .order_by(SetAsideEvent.journal, SetAsideEvent.position)
                )
            ).all()
        applied = 0
        for journal, position in keys:
            try:
                applied += await self._apply_again(journal, position)
            except Exception as error:
                if is_away(error):
                    raise
                logger.error("event_refused_again", journal=journal, offset=position, error=_sentence(error))
        return applied

    async def _apply_again(self, journal: str, position: int) -> bool:
        """One event in a transaction of its own; its alarm becomes a note. False: another worker has it."""
        key = (SetAsideEvent.host == self._source.host, SetAsideEvent.journal == journal)
        query = select(SetAsideEvent.payload).where(*key, SetAsideEvent.position == position)
        async with self._database.begin(Scope.provider()) as session:
            payload = await session.scalar(query.with_for_update(skip_locked=True))
            if payload is None:
                return False
            event = EVENT.validate_json(payload)
            for handler in self._handlers:
                await handler(session, event)
            changed: dict[str, Any] = {"severity": "info", "code": "event_applied_later"}
            if isinstance(event, SystemEvent):
                changed = {"severity": event.severity, "code": event.code, "detail": _clean(event.detail)}
                changed |= {"at": event.at, "data": storable(event.data)}
            note = (SystemEventRow.host == self._source.host, SystemEventRow.journal == journal)
            await session.execute(
                update(SystemEventRow).where(*note, SystemEventRow.position == position).values(changed)
            )
            await session.execute(delete(SetAsideEvent).where(*key, SetAsideEvent.position == position))
        logger.info("event_applied_later", journal=journal, offset=position)
        return True

    async def step(self) -> int:
        """Apply one batch; returns how many records it had. Raises SQLAlchemyError when the database is away."""
        journal_id = self._reader.journal_id()
        if journal_id is None:
            return 0
        if journal_id != self._journal_id:
            await self._find_place(journal_id)
        try:
            records = await asyncio.to_thread(self._reader.read, BATCH_EVENTS)
        except OffsetGoneError:
            logger.error("journal_records_gone", journal=self._source.name, offset=self._reader.offset)
            self._reader.offset = self._reader.first_offset()
            return 1
        if not records:
            return 0
        try:
            await self._apply(journal_id, records)
        except Exception as error:
            self._reader.offset = records[0].offset
            if is_away(error):
                raise
            await self._apply_singly(journal_id, records)
        self._reader.offset = records[-1].next_offset
        await asyncio.to_thread(self._cursor.store, journal_id, self._reader.offset)
        _APPLIED.labels(self._source.name).inc(len(records))
        return len(records)

    def _key(self, journal_id: str) -> tuple[str, str]:
        return self._source.host, f"{self._source.name}:{journal_id}"

    async def _find_place(self, journal_id: str) -> None:
        """The database's cursor counts: the file beside the journal only tells the journal what it may remove."""
        host, journal = self._key(journal_id)
        async with self._database.begin(Scope.provider()) as session:
            await session.execute(
                insert(JournalCursor)
                .values(host=host, journal=journal, position=0, updated_at=datetime.now(UTC))
                .on_conflict_do_nothing()
            )
            row = await session.get_one(JournalCursor, (host, journal))
            self._reader.offset = max(row.position, self._reader.first_offset())
        self._journal_id = journal_id
        # From now on the journal keeps what this consumer has not read.
        await asyncio.to_thread(self._cursor.store, journal_id, self._reader.offset)

    async def _apply(self, journal_id: str, records: Sequence[Record], *, refused: str | None = None) -> None:
        """One transaction: events that are not applied yet, and the cursor."""
        host, journal = self._key(journal_id)
        async with self._database.begin(Scope.provider()) as session:
            row = (
                await session.execute(
                    select(JournalCursor)
                    .where(JournalCursor.host == host, JournalCursor.journal == journal)
                    .with_for_update()
                )
            ).scalar_one()
            for record in records:
                if record.offset < row.position:
                    continue
                if refused is None:
                    await self._apply_one(session, journal, record)
                else:
                    await self._set_aside(session, journal, record, refused)
            row.position = max(row.position, records[-1].next_offset)
            row.updated_at = datetime.now(UTC)

    async def _apply_one(self, session: AsyncSession, journal: str, record: Record) -> None:
        try:
            event = EVENT.validate_json(record.payload)
        except ValidationError as error:
            await self._set_aside(session, journal, record, str(error)[:1000])
            return
        if isinstance(event, SystemEvent):
            await self._note(session, journal, record, event)
        for handler in self._handlers:
            await handler(session, event)

    async def _apply_singly(self, journal_id: str, records: Sequence[Record]) -> None:
        """Something in the batch is refused: find it, and put it aside."""
        for record in records:
            try:
                await self._apply(journal_id, [record])
            except Exception as error:
                if is_away(error):
                    raise
                await self._apply(journal_id, [record], refused=_sentence(error))

    async def _set_aside(self, session: AsyncSession, journal: str, record: Record, why: str) -> None:
        """An event that nobody can apply now: seen by the administrator, and its bytes (bounded by the journal) are kept."""
        _REFUSED.labels(self._source.name).inc()
        logger.error("event_not_applied", journal=journal, offset=record.offset, error=why)
        event = SystemEvent(
            at=datetime.now(UTC), severity="alarm", code="event_not_applied", detail=_clean(why)[:4000], data={}
        )
        await self._note(session, journal, record, event)
        await session.execute(
            insert(SetAsideEvent)
            .values(host=self._source.host, journal=journal, position=record.offset, payload=record.payload)
            .on_conflict_do_nothing()
        )

    async def _note(self, session: AsyncSession, journal: str, record: Record, event: SystemEvent) -> None:
        await session.execute(
            insert(SystemEventRow)
            .values(
                host=self._source.host,
                journal=journal,
                position=record.offset,
                at=event.at,
                severity=event.severity,
                code=event.code,
                detail=_clean(event.detail),
                data=storable(event.data),
            )
            .on_conflict_do_nothing()
        )


def is_away(error: Exception) -> bool:
    """The connection, the server or this process is at fault, not the event: waiting helps."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | OSError | MemoryError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _sentence(error: Exception) -> str:
    return (
        str(getattr(error, "orig", None) or error).strip().splitlines()[0][:500] if str(error).strip() else repr(error)
    )


def _clean(text: str) -> str:
    """PostgreSQL takes no NUL, and no lone surrogate."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable(value: Any) -> Any:
    """Text of strangers as PostgreSQL takes it, at any depth."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {_clean(str(key)): storable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [storable(entry) for entry in value]
    return value


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
