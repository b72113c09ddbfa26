"""What belongs to a conversation is its organisation's, also when that was named late.

Revision ID: 0006_late_organisations
"""

from __future__ import annotations

from alembic import op

revision = "0006_late_organisations"
down_revision = "0005_archive"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Row-level security holds for the owner of the tables as well.
    op.execute("SELECT set_config('callward.provider', 'on', true)")
    for table in ("conversation_recording", "conversation_key", "conversation_number"):
        op.execute(
            f"UPDATE {table} part SET organisation_id = whole.organisation_id FROM conversation whole"  # noqa: S608
            " WHERE whole.id = part.conversation_id AND whole.organisation_id IS NOT NULL"
            " AND part.organisation_id IS NULL"
        )
    op.execute(
        "UPDATE blob part SET organisation_id = whole.organisation_id FROM recording whole"
        " WHERE whole.id = part.recording_id AND whole.organisation_id IS NOT NULL AND part.organisation_id IS NULL"
    )


def downgrade() -> None:
    """Nothing to undo: the rows are right now."""
