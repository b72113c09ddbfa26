"""Journal cursors and system events.

Revision ID: 0004_records
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from callward.migrations.row_level_security import grant

revision = "0004_records"
down_revision = "0003_access"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "journal_cursor",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("journal", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
    )
    grant(op, "journal_cursor", rights="SELECT, INSERT, UPDATE")
    op.create_table(
        "system_event",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("journal", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("at", moment, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("data", JSONB, nullable=False),
        sa.CheckConstraint("severity IN ('info', 'warning', 'alarm')", name="severity"),
    )
    op.create_index("system_event_at", "system_event", ["at"])
    grant(op, "system_event")
    # They belong to no organisation: only the provider sees them.
    op.execute("ALTER TABLE system_event ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE system_event FORCE ROW LEVEL SECURITY")
    rule = "current_setting('callward.provider', true) = 'on'"
    op.execute(f"CREATE POLICY provider ON system_event USING ({rule}) WITH CHECK ({rule})")


def downgrade() -> None:
    op.drop_table("system_event")
    op.drop_table("journal_cursor")
