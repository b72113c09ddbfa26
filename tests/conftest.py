"""What all tests share: a real PostgreSQL for the session, a migrated database for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from callward.platform.database import Database
from callward.platform.migrate import migrate
from callward.platform.postgres import EmbeddedPostgres, locate


def pytest_configure(config: pytest.Config) -> None:
    """Keep the sockets of all processes that tests start in one short folder, which goes at the end."""
    folder = tempfile.mkdtemp(prefix="callward-run-")
    os.environ["XDG_RUNTIME_DIR"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """An embedded server of the session's own, with a migrated database `template_callward`."""
    with tempfile.TemporaryDirectory(prefix="callward-test-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o711)
        server = locate(root)
        server.prepare()
        process = subprocess.Popen(
            [*server.command, "-c", "fsync=off", "-c", "synchronous_commit=off"],
            cwd="/",
            stderr=subprocess.DEVNULL,
            **server.as_user(),
        )
        try:
            server.wait_until_ready()
            migrate(server.url)
            with psycopg.connect(server.url.replace("/callward?", "/postgres?"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE template_callward TEMPLATE callward")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            server.remove_socket_folder()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a fresh, migrated database of this test's own."""
    name = f"t{abs(hash(request.node.nodeid)):x}"
    admin = postgres.url.replace("/callward?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_callward")
    yield postgres.url.replace("/callward?", f"/{name}?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, as all processes use it."""
    found = Database(database_url)
    yield found
    await found.close()
