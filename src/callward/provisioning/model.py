"""Tables: organisations, and the peers (recording clients) that may connect."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from callward.platform.database import Base
from callward.platform.ids import Ulid


class Organisation(Base):
    """A firm whose calls are recorded. `group_ids` and `numbers` select it for calls that a carrier sends."""

    __tablename__ = "organisation"

    id: Mapped[Ulid] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text, unique=True)
    group_ids: Mapped[list[str]] = mapped_column(JSONB, default=list)
    numbers: Mapped[list[str]] = mapped_column(JSONB, default=list)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Peer(Base):
    """A recording client that may connect: an SBC, a PBX or a carrier; known by address or certificate only."""

    __tablename__ = "peer"

    id: Mapped[Ulid] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[Ulid | None] = mapped_column(ForeignKey("organisation.id"))
    name: Mapped[str] = mapped_column(Text, unique=True)
    carrier: Mapped[bool] = mapped_column(Boolean, default=False)
    addresses: Mapped[list[str]] = mapped_column(JSONB, default=list)
    certificates: Mapped[list[str]] = mapped_column(JSONB, default=list)
    dialect: Mapped[str] = mapped_column(Text, default="auto")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SnapshotNumber(Base):
    """The number of the last published snapshot; one row."""

    __tablename__ = "snapshot_number"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
