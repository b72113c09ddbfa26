"""Conversations are found by the values of their session ids and extensions.

Revision ID: 0008_identifiers
"""

from __future__ import annotations

from alembic import op

revision = "0008_identifiers"
down_revision = "0007_set_aside_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Row-level security holds for the owner of the tables as well.
    op.execute("SELECT set_config('callward.provider', 'on', true)")
    op.execute(
        """
        INSERT INTO conversation_key (conversation_id, kind, value, organisation_id)
        SELECT c.id, 'found_by', found.value, c.organisation_id
        FROM conversation c CROSS JOIN LATERAL (
            SELECT DISTINCT left(lower(btrim(entry #>> '{}')), 255) AS value
            FROM (
                SELECT jsonb_path_query(c.session_ids, 'strict $.**') AS entry
                UNION ALL
                SELECT jsonb_path_query(c.extensions, 'strict $.**')
            ) entries
            WHERE jsonb_typeof(entry) IN ('string', 'number') AND btrim(entry #>> '{}') <> ''
            LIMIT 64
        ) found
        ON CONFLICT DO NOTHING
        """
    )
    op.execute(
        """
        UPDATE conversation c
        SET search_text = left(c.search_text || ' ' || keys.found, 4000)
        FROM (
            SELECT conversation_id, string_agg(value, ' ') AS found
            FROM conversation_key WHERE kind = 'found_by' GROUP BY conversation_id
        ) keys
        WHERE keys.conversation_id = c.id
        """
    )


def downgrade() -> None:
    op.execute("SELECT set_config('callward.provider', 'on', true)")
    op.execute("DELETE FROM conversation_key WHERE kind = 'found_by'")
