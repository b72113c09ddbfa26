"""Organisations, the recording clients that may connect, and the numbered snapshots of both."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from callward.migrations.row_level_security import grant, protect

revision = "0002_provisioning"
down_revision = "0001_platform"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "organisation",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False, unique=True),
        sa.Column("group_ids", JSONB, nullable=False, server_default="[]"),
        sa.Column("numbers", JSONB, nullable=False, server_default="[]"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("code ~ '^[a-z0-9][a-z0-9-]{0,30}$'", name="code"),
    )
    protect(op, "organisation", organisation_column="id")
    op.create_table(
        "peer",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("organisation_id", sa.Text(collation="C"), sa.ForeignKey("organisation.id"), nullable=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("carrier", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("addresses", JSONB, nullable=False, server_default="[]"),
        sa.Column("certificates", JSONB, nullable=False, server_default="[]"),
        sa.Column("dialect", sa.Text, nullable=False, server_default="auto"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("NOT (carrier AND organisation_id IS NOT NULL)", name="carrier_has_no_organisation"),
    )
    op.create_index("ix_peer_organisation_id", "peer", ["organisation_id"])
    protect(op, "peer")
    op.create_table("snapshot_number", sa.Column("number", sa.BigInteger, nullable=False))
    op.execute("INSERT INTO snapshot_number VALUES (0)")
    grant(op, "snapshot_number", rights="SELECT, UPDATE")
