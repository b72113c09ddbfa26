"""Tables of the archive. Rows of an organisation are protected by row-level security (NULL: only the provider sees them)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Integer, Text, desc
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from callward.platform.database import Base

Instant = DateTime(timezone=True)


class Conversation(Base):
    """One call as the portal lists it."""

    __tablename__ = "conversation"
    __table_args__ = (
        Index("conversation_time", desc("started_at"), desc("id")),
        Index("conversation_organisation_time", "organisation_id", desc("started_at"), desc("id")),
        Index("conversation_duration", desc("duration_ms"), desc("id")),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Instant, nullable=False)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    duration_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)
    """Length of the call; 0 while it goes on."""
    direction: Mapped[str] = mapped_column(Text, nullable=False)
    """`in`, `out`, `internal` or `unknown`."""
    caller_number: Mapped[str] = mapped_column(Text, nullable=False)
    caller_name: Mapped[str] = mapped_column(Text, nullable=False)
    called_number: Mapped[str] = mapped_column(Text, nullable=False)
    called_name: Mapped[str] = mapped_column(Text, nullable=False)
    parties: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    state: Mapped[str] = mapped_column(Text, nullable=False)
    """`recording`, `paused`, `sealing`, `ready` or `failed`: the furthest of its recordings that is not done, else the best."""
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    """`[{"code", "detail"}]`, of all its recordings; codes: docs/reference/conversation-problems.md."""
    marks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    peer: Mapped[str] = mapped_column(Text, nullable=False)
    address: Mapped[str] = mapped_column(Text, nullable=False)
    vendor: Mapped[str] = mapped_column(Text, nullable=False)
    session_ids: Mapped[dict[str, Any]] = mapped_column(JSONB, nullable=False)
    extensions: Mapped[dict[str, Any]] = mapped_column(JSONB, nullable=False)
    search_text: Mapped[str] = mapped_column(Text, nullable=False)
    """Digits of all its numbers, each after a space, then names and addresses in lower case."""
    facts_rank: Mapped[int] = mapped_column(Integer, nullable=False)
    """How final the facts are (1 started, 2 updated, 3 ended): a later event never loses to an earlier one."""
    facts_at: Mapped[datetime] = mapped_column(Instant, nullable=False)


class Recording(Base):
    """What the archive holds of a call: one master file and what belongs to it."""

    __tablename__ = "recording"
    __table_args__ = (Index("recording_started_at", "started_at"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(Text, nullable=False)
    state: Mapped[str] = mapped_column(Text, nullable=False)
    started_at: Mapped[datetime] = mapped_column(Instant, nullable=False)
    """Instant of the master's first sample once it is ready; before that the start of the recording session."""
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    duration_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)
    why_ended: Mapped[str] = mapped_column(Text, nullable=False)
    codec: Mapped[str | None] = mapped_column(Text)
    """`opus` or `flac`; None: there is no master (yet)."""
    channels: Mapped[int] = mapped_column(Integer, nullable=False)
    sample_rate_hz: Mapped[int] = mapped_column(Integer, nullable=False)
    wrapped_key: Mapped[str | None] = mapped_column(Text)
    tracks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    """As `records.events.StoredTrack` once it is ready, else as `TrackRef`."""
    marks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    """Found by the recorder."""
    seal_problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, nullable=False)
    """Found by sealing."""
    peer: Mapped[str] = mapped_column(Text, nullable=False)
    address: Mapped[str] = mapped_column(Text, nullable=False)
    vendor: Mapped[str] = mapped_column(Text, nullable=False)
    extensions: Mapped[dict[str, Any]] = mapped_column(JSONB, nullable=False)
    facts_rank: Mapped[int] = mapped_column(Integer, nullable=False)
    facts_at: Mapped[datetime] = mapped_column(Instant, nullable=False)
    stored_at: Mapped[datetime | None] = mapped_column(Instant)


class ConversationRecording(Base):
    """Where a conversation lies in a recording."""

    __tablename__ = "conversation_recording"
    __table_args__ = (Index("conversation_recording_recording", "recording_id"),)

    conversation_id: Mapped[str] = mapped_column(Text, ForeignKey("conversation.id"), primary_key=True)
    recording_id: Mapped[str] = mapped_column(Text, ForeignKey("recording.id"), primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    offset_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)
    """Start of the call after the first sample of the master; never negative."""
    length_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)


class StoredBlob(Base):
    """One encrypted object of a recording in the blob store."""

    __tablename__ = "blob"
    __table_args__ = (Index("blob_recording", "recording_id"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    recording_id: Mapped[str] = mapped_column(Text, ForeignKey("recording.id"), nullable=False)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text, nullable=False)
    media_type: Mapped[str] = mapped_column(Text, nullable=False)
    size_bytes: Mapped[int] = mapped_column(BigInteger, nullable=False)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, nullable=False)
    sha256: Mapped[str] = mapped_column(Text, nullable=False)
    stored_sha256: Mapped[str] = mapped_column(Text, nullable=False)


class ConversationKey(Base):
    """An identifier that legs of one call share (S18, S36): conversations with an equal (kind, value) are related."""

    __tablename__ = "conversation_key"
    __table_args__ = (Index("conversation_key_value", "value", "kind"),)

    conversation_id: Mapped[str] = mapped_column(Text, ForeignKey("conversation.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)


class ConversationNumber(Base):
    """A number that takes part in a conversation, digits only."""

    __tablename__ = "conversation_number"
    __table_args__ = (Index("conversation_number_digits", "digits", desc("started_at"), desc("conversation_id")),)

    conversation_id: Mapped[str] = mapped_column(Text, ForeignKey("conversation.id"), primary_key=True)
    digits: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Instant, nullable=False)


class NumberPart(Base):
    """Finds numbers by any part of their digits without a trigram extension (see `archive.numbers`)."""

    __tablename__ = "number_part"
    __table_args__ = (
        Index("number_part_part", "part"),
        Index(
            "number_part_unique", "organisation_id", "digits", "part", unique=True, postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    digits: Mapped[str] = mapped_column(Text, nullable=False)
    part: Mapped[int] = mapped_column(Integer, nullable=False)
