"""Queries behind the list of conversations: filters, keyset pages, related legs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from callward.archive import numbers
from callward.archive.identifiers import FOUND_BY, normalised
from callward.archive.model import Conversation, ConversationKey, ConversationNumber, NumberPart
from callward.archive.schemas import ConversationFilter, ConversationOrder, PageRequest

RELATED_MAX = 50
RELATED_WITHIN = timedelta(days=2)
"""An id that comes back after this is another call's: some vendors count from 1 after a restart."""
INDEX_DIGITS_MIN = 3
"""Fewer digits match most numbers: then walking along the time index is faster."""

_COLUMNS: dict[ConversationOrder, tuple[InstrumentedAttribute[Any], bool]] = {
    ConversationOrder.STARTED_AT_DESC: (Conversation.started_at, True),
    ConversationOrder.STARTED_AT_ASC: (Conversation.started_at, False),
    ConversationOrder.DURATION_DESC: (Conversation.duration_ms, True),
    ConversationOrder.DURATION_ASC: (Conversation.duration_ms, False),
}


class CursorFormatError(ValueError):
    """The cursor is none of ours, or of a list in another order."""


async def find_page(
    session: AsyncSession, filters: ConversationFilter, page: PageRequest
) -> tuple[Sequence[Conversation], str | None]:
    """One page and the cursor of the next one. Raises CursorFormatError."""
    column, descending = _COLUMNS[page.order]
    query = select(Conversation).where(*conditions(filters))
    if page.cursor is not None:
        value, identifier = _decode(page.cursor, page.order)
        key, after = tuple_(column, Conversation.id), tuple_(value, identifier)
        query = query.where(key < after if descending else key > after)
    ends = (column.desc(), Conversation.id.desc()) if descending else (column.asc(), Conversation.id.asc())
    rows = (await session.scalars(query.order_by(*ends).limit(page.limit + 1))).all()
    if len(rows) <= page.limit:
        return rows, None
    last = rows[page.limit - 1]
    return rows[: page.limit], _encode(page.order, getattr(last, column.key), last.id)


def conditions(filters: ConversationFilter) -> list[ColumnElement[bool]]:
    """The filter as SQL; values are always bound."""
    found: list[ColumnElement[bool]] = []
    if filters.started_from is not None:
        found.append(Conversation.started_at >= filters.started_from)
    if filters.started_before is not None:
        found.append(Conversation.started_at < filters.started_before)
    if filters.state is not None:
        found.append(Conversation.state == filters.state)
    if filters.direction is not None:
        found.append(Conversation.direction == filters.direction)
    if filters.problem == "any":
        found.append(func.jsonb_array_length(Conversation.problems) > 0)
    elif filters.problem is not None:
        found.append(Conversation.problems.contains(cast([{"code": filters.problem}], JSONB)))
    if filters.number and filters.number.strip():
        found.append(_number(filters.number.strip()))
    return found


def _number(text: str) -> ColumnElement[bool]:
    digits = numbers.digits_of(text)
    if not digits or not numbers.is_number(text):
        return Conversation.search_text.contains(text.lower().replace("\0", ""), autoescape=True)
    if len(digits) < INDEX_DIGITS_MIN:
        return Conversation.search_text.contains(digits, autoescape=True)
    low, high = numbers.part_range(digits)
    matching = select(NumberPart.digits).where(
        NumberPart.part.between(low, high), NumberPart.digits.contains(digits, autoescape=True)
    )
    # A vendor's id may be digits only (Avaya's UCID): then it is asked for as a whole, and found by its index.
    return Conversation.id.in_(
        select(ConversationNumber.conversation_id)
        .where(ConversationNumber.digits.in_(matching))
        .union(
            select(ConversationKey.conversation_id).where(
                ConversationKey.value == normalised(text), ConversationKey.kind == FOUND_BY
            )
        )
    )


async def related(session: AsyncSession, conversation: Conversation) -> Sequence[Conversation]:
    """Other legs of the same call: they share an identifier and lie near in time."""
    keys = (
        await session.execute(
            select(ConversationKey.kind, ConversationKey.value).where(
                ConversationKey.conversation_id == conversation.id, ConversationKey.kind != FOUND_BY
            )
        )
    ).all()
    if not keys:
        return []
    same = or_(*(and_(ConversationKey.value == value, ConversationKey.kind == kind) for kind, value in keys))
    query = (
        select(Conversation)
        .where(
            Conversation.id.in_(select(ConversationKey.conversation_id).where(same)),
            Conversation.id != conversation.id,
            Conversation.started_at.between(
                conversation.started_at - RELATED_WITHIN, conversation.started_at + RELATED_WITHIN
            ),
        )
        .order_by(Conversation.started_at, Conversation.id)
        .limit(RELATED_MAX)
    )
    return (await session.scalars(query)).all()


def _encode(order: ConversationOrder, value: datetime | int, identifier: str) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    data = json.dumps([order.value, text, identifier], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(cursor: str, order: ConversationOrder) -> tuple[datetime | int, str]:
    try:
        found, value, identifier = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if found != order.value or not isinstance(identifier, str) or "\0" in identifier:
            raise CursorFormatError("the cursor belongs to another list")
        if _COLUMNS[order][0].key == "started_at":
            at = datetime.fromisoformat(value)
            if at.tzinfo is None:
                raise CursorFormatError("the cursor has no time zone")
            return at, identifier
        number = int(value)
    except (ValueError, TypeError, binascii.Error) as error:
        raise CursorFormatError("the cursor cannot be read") from error
    if not -(1 << 62) < number < 1 << 62:
        raise CursorFormatError("the cursor cannot be read")
    return number, identifier
