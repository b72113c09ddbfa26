"""Tables of the records room: how far each journal has been applied, and what administrators must see."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from callward.platform.database import Base


class JournalCursor(Base):
    """Everything before `position` of a journal stands in the database; changed in the transaction that applies it."""

    __tablename__ = "journal_cursor"

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    journal: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, nullable=False)
    """Offset of the first event that is not applied yet."""
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), nullable=False)


class SystemEventRow(Base):
    """Refused peer, alarm, restart, disk watermark, an event that could not be applied. The provider sees them."""

    __tablename__ = "system_event"
    __table_args__ = (Index("system_event_at", "at"),)

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    journal: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), nullable=False)
    severity: Mapped[str] = mapped_column(Text, nullable=False)
    """`info`, `warning` or `alarm`."""
    code: Mapped[str] = mapped_column(Text, nullable=False)
    detail: Mapped[str] = mapped_column(Text, nullable=False)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB, nullable=False)


class SetAsideEvent(Base):
    """Content of an event that could not be applied; its system event (`event_not_applied`) has the same key."""

    __tablename__ = "set_aside_event"

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    journal: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    payload: Mapped[bytes] = mapped_column(LargeBinary, nullable=False)
    """The journal record as it was, byte for byte."""
