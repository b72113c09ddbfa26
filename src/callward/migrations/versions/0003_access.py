"""People, sign-ins, audit.

Revision ID: 0003_access
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from callward.migrations.row_level_security import grant, protect

revision = "0003_access"
down_revision = "0002_provisioning"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("profiles", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("must_change_password", sa.Boolean, nullable=False),
        sa.Column("language", sa.Text, nullable=False, server_default="en"),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("disabled_at", moment),
        sa.CheckConstraint("user_name = lower(user_name)", name="user_name_lower"),
    )
    op.execute("CREATE UNIQUE INDEX uq_people_user_name ON people (user_name, coalesce(organisation_id, ''))")
    protect(op, "people")

    op.create_table(
        "sign_ins",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("ended_at", moment),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("browser", sa.Text, nullable=False),
    )
    op.create_index("ix_sign_ins_person_id", "sign_ins", ["person_id", "created_at"])
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"])
    protect(op, "sign_ins")

    op.create_table(
        "sign_in_throttle",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", moment, nullable=False),
    )
    op.create_index("ix_sign_in_throttle_last_at", "sign_in_throttle", ["last_at"])
    grant(op, "sign_in_throttle")

    op.create_table(
        "audit",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation_id", sa.Text),
        sa.Column("at", moment, nullable=False),
        sa.Column("person_id", sa.Text),
        sa.Column("sign_in_id", sa.Text),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("object_kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("detail", JSONB, nullable=False, server_default="{}"),
        sa.CheckConstraint("outcome IN ('done', 'refused')", name="outcome"),
    )
    op.create_index("ix_audit_object_id", "audit", ["object_id", "at"])
    op.create_index("ix_audit_organisation_id", "audit", ["organisation_id", "at"])
    # Append-only: the application has no right to change or remove an entry.
    protect(op, "audit", rights="SELECT, INSERT")


def downgrade() -> None:
    for table in ("audit", "sign_in_throttle", "sign_ins", "people"):
        op.drop_table(table)
