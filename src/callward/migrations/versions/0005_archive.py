"""Conversations, recordings and their stored objects.

Revision ID: 0005_archive
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from callward.migrations.row_level_security import protect

revision = "0005_archive"
down_revision = "0004_records"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, JSONB, nullable=False)


def upgrade() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        *(_text(n) for n in ("direction", "caller_number", "caller_name", "called_number", "called_name")),
        _json("parties"),
        _text("state"),
        _json("problems"),
        _json("marks"),
        *(_text(n) for n in ("peer", "address", "vendor")),
        _json("session_ids"),
        _json("extensions"),
        _text("search_text"),
        sa.Column("facts_rank", sa.Integer, nullable=False),
        sa.Column("facts_at", MOMENT, nullable=False),
    )
    op.execute("CREATE INDEX conversation_time ON conversation (started_at DESC, id DESC)")
    op.execute(
        "CREATE INDEX conversation_organisation_time ON conversation (organisation_id, started_at DESC, id DESC)"
    )
    op.execute("CREATE INDEX conversation_duration ON conversation (duration_ms DESC, id DESC)")
    op.create_table(
        "recording",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
        _text("session_id"),
        _text("state"),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        _text("why_ended"),
        sa.Column("codec", sa.Text),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("sample_rate_hz", sa.Integer, nullable=False),
        sa.Column("wrapped_key", sa.Text),
        *(_json(n) for n in ("tracks", "marks", "problems", "seal_problems")),
        *(_text(n) for n in ("peer", "address", "vendor")),
        _json("extensions"),
        sa.Column("facts_rank", sa.Integer, nullable=False),
        sa.Column("facts_at", MOMENT, nullable=False),
        sa.Column("stored_at", MOMENT),
    )
    op.create_index("recording_started_at", "recording", ["started_at"])
    op.create_table(
        "conversation_recording",
        sa.Column("conversation_id", sa.Text, sa.ForeignKey("conversation.id"), primary_key=True),
        sa.Column("recording_id", sa.Text, sa.ForeignKey("recording.id"), primary_key=True),
        sa.Column("organisation_id", sa.Text),
        sa.Column("offset_ms", sa.BigInteger, nullable=False),
        sa.Column("length_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("conversation_recording_recording", "conversation_recording", ["recording_id"])
    op.create_table(
        "blob",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("recording_id", sa.Text, sa.ForeignKey("recording.id"), nullable=False),
        sa.Column("organisation_id", sa.Text),
        _text("kind"),
        _text("media_type"),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False),
        _text("sha256"),
        _text("stored_sha256"),
    )
    op.create_index("blob_recording", "blob", ["recording_id"])
    op.create_table(
        "conversation_key",
        sa.Column("conversation_id", sa.Text, sa.ForeignKey("conversation.id"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
    )
    op.create_index("conversation_key_value", "conversation_key", ["value", "kind"])
    op.create_table(
        "conversation_number",
        sa.Column("conversation_id", sa.Text, sa.ForeignKey("conversation.id"), primary_key=True),
        sa.Column("digits", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
        sa.Column("started_at", MOMENT, nullable=False),
    )
    op.execute(
        "CREATE INDEX conversation_number_digits ON conversation_number (digits, started_at DESC, conversation_id DESC)"
    )
    op.create_table(
        "number_part",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("organisation_id", sa.Text),
        _text("digits"),
        sa.Column("part", sa.Integer, nullable=False),
    )
    op.create_index("number_part_part", "number_part", ["part"])
    op.execute(
        "CREATE UNIQUE INDEX number_part_unique ON number_part (organisation_id, digits, part) NULLS NOT DISTINCT"
    )
    for table in (
        "conversation",
        "recording",
        "conversation_recording",
        "blob",
        "conversation_key",
        "conversation_number",
        "number_part",
    ):
        protect(op, table)


def downgrade() -> None:
    for table in (
        "number_part",
        "conversation_number",
        "conversation_key",
        "blob",
        "conversation_recording",
        "recording",
        "conversation",
    ):
        op.drop_table(table)
