"""The database: the role that all work as, scopes, migrations that survive a kill."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from callward.platform.database import Database, DatabaseUrlError, Scope, driver_url
from callward.platform.ids import new_ulid
from callward.platform.migrate import SchemaTooNewError, migrate
from callward.provisioning import service

ORGANISATION_TABLES = """
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organisation_id')
"""


async def test_every_process_works_as_a_role_that_cannot_bypass_row_level_security(database: Database) -> None:
    async with database.begin(Scope.provider()) as session:
        found = await session.execute(
            text("SELECT current_user, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        )
        assert found.one() == ("callward_app", False, False)


async def test_every_table_with_an_organisation_has_row_level_security(database: Database) -> None:
    async with database.begin(Scope.provider()) as session:
        rows = {row[0]: row[1] for row in await session.execute(text(ORGANISATION_TABLES))}
    assert {"peer", "conversation"} <= rows.keys()
    assert all(rows.values()), f"without row-level security: {[n for n, on in rows.items() if not on]}"


async def test_an_organisation_sees_and_writes_only_its_own_rows(database: Database) -> None:
    ours = await service.create_organisation(database, "Ours", "ours", [], [])
    theirs = await service.create_organisation(database, "Theirs", "theirs", [], [])
    await service.add_peer(database, "their-sbc", theirs.id, ["192.0.2.1"], [], "auto")
    async with database.begin(Scope.organisation(ours.id)) as session:
        assert (await session.execute(text("SELECT count(*) FROM peer"))).scalar() == 0
        assert (await session.execute(text("SELECT array_agg(code) FROM organisation"))).scalar() == ["ours"]
        changed = await session.execute(text("UPDATE peer SET name = 'stolen' RETURNING id"))
        assert changed.first() is None
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.begin(Scope.organisation(ours.id)) as session:
            await session.execute(
                text("INSERT INTO peer (id, organisation_id, name, created_at) VALUES (:id, :theirs, 'x', now())"),
                {"id": new_ulid(), "theirs": theirs.id},
            )


async def test_without_a_scope_no_row_is_shown(database: Database) -> None:
    await service.create_organisation(database, "Ours", "ours", [], [])
    async with database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM organisation"))).scalar() == 0


def test_migrating_twice_does_nothing(database_url: str) -> None:
    assert migrate(database_url) == []


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_future'")
    with pytest.raises(SchemaTooNewError, match="9999_future"):
        migrate(database_url)


@pytest.mark.parametrize("url", ["mysql://x/y", "not an address", "sqlite:///x"])
def test_only_postgresql_addresses_are_taken(url: str) -> None:
    with pytest.raises(DatabaseUrlError):
        driver_url(url)
