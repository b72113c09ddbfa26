"""Fault 5: SIGKILL in the middle of a schema migration."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from callward.platform.migrate import migrate
from callward.platform.postgres import EmbeddedPostgres

MIGRATE = "import sys; from callward.platform.migrate import migrate; print('go', flush=True); migrate(sys.argv[1])"


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    admin = postgres.url.replace("/callward?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE half_migrated TEMPLATE template0")
    yield postgres.url.replace("/callward?", "/half_migrated?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE half_migrated WITH (FORCE)")


def revision(url: str) -> str | None:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return row[0] if row else None


def test_fault_5_a_killed_migration_is_completed_by_the_next_start(empty_database: str) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", MIGRATE, empty_database], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.25))
        process.kill()
        process.wait()
        process.stdout.close()
        assert revision(empty_database) in {None, *_chain()}
    migrate(empty_database)
    assert revision(empty_database) == _chain()[-1]
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM conversation").fetchone() == (0,)
    assert migrate(empty_database) == []


def _chain() -> list[str]:
    return [
        "0001_platform",
        "0002_provisioning",
        "0003_access",
        "0004_records",
        "0005_archive",
        "0006_late_organisations",
        "0007_set_aside_events",
        "0008_identifiers",
    ]
