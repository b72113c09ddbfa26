"""Row-level security: the second lock behind the code, for every table that belongs to an organisation."""

from __future__ import annotations

import re
from typing import Any

from callward.platform.database import APPLICATION_ROLE

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_RIGHTS = {"SELECT", "INSERT", "UPDATE", "DELETE"}


def protect(
    op: Any, table: str, *, organisation_column: str = "organisation_id", rights: str = "SELECT, INSERT, UPDATE, DELETE"
) -> None:
    """Show a table's rows only to their organisation or to the provider, and grant `rights` to the application.

    Leave out UPDATE and DELETE for an append-only table.
    """
    grant(op, table, rights=rights)
    if not _NAME.match(organisation_column):
        raise ValueError(f"{organisation_column!r} is no column name")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    rule = (
        "current_setting('callward.provider', true) = 'on'"
        f" OR {organisation_column} = nullif(current_setting('callward.organisation', true), '')"
    )
    op.execute(f"CREATE POLICY organisation ON {table} USING ({rule}) WITH CHECK ({rule})")


def grant(op: Any, table: str, *, rights: str = "SELECT, INSERT, UPDATE, DELETE") -> None:
    """Let the application use a table that belongs to no organisation (cursors, settings of the installation)."""
    if not _NAME.match(table) or not {right.strip() for right in rights.split(",")} <= _RIGHTS:
        raise ValueError(f"cannot grant {rights!r} on {table!r}")
    op.execute(f"GRANT {rights} ON {table} TO {APPLICATION_ROLE}")
