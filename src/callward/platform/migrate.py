"""Bring the database's schema up to this version: one transaction per migration, one process at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from callward.platform.database import driver_url

_LOCK = 0x63616C6C77617264
"""Advisory lock ("callward" in ASCII): two hosts that start together migrate one after the other."""


class SchemaTooNewError(Exception):
    """The database was migrated by a newer Callward: install that version or restore a backup."""


def migrate(url: str) -> list[str]:
    """Run the migrations that are missing; return their names. A killed migration is rolled back and runs again.

    Raises:
        SchemaTooNewError: the database is ahead of this program.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    script = ScriptDirectory.from_config(config)
    engine = create_engine(driver_url(url), connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            before = MigrationContext.configure(connection).get_current_revision()
            if before is not None and before not in {r.revision for r in script.walk_revisions()}:
                raise SchemaTooNewError(f"{SchemaTooNewError.__doc__} (it is at {before})")
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            todo = [r.revision for r in script.iterate_revisions("head", before or "base")]
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
            return list(reversed(todo))
    finally:
        engine.dispose()
