"""Events that could not be applied keep their content, to be applied again.

Revision ID: 0007_set_aside_events
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from callward.migrations.row_level_security import grant

revision = "0007_set_aside_events"
down_revision = "0006_late_organisations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "set_aside_event",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("journal", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    grant(op, "set_aside_event")
    # It belongs to no organisation: only the provider sees it.
    op.execute("ALTER TABLE set_aside_event ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE set_aside_event FORCE ROW LEVEL SECURITY")
    rule = "current_setting('callward.provider', true) = 'on'"
    op.execute(f"CREATE POLICY provider ON set_aside_event USING ({rule}) WITH CHECK ({rule})")


def downgrade() -> None:
    op.drop_table("set_aside_event")
