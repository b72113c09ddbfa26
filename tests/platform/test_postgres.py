"""Embedded PostgreSQL: as root and as a user, after kill -9, with a long data path."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from callward.platform.migrate import migrate
from callward.platform.paths import SOCKET_PATH_MAX_BYTES, DataPaths
from callward.platform.postgres import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    candidate_binaries,
    locate,
    server_version,
)


@pytest.fixture
def long_folder() -> Iterator[Path]:
    """A data folder whose path has 150 characters, open to be passed through."""
    base = Path("/tmp") / f"callward-{os.getpid()}-{time.monotonic_ns()}"
    folder = base / ("a" * 60) / ("b" * (150 - len(str(base)) - 62))
    folder.mkdir(parents=True)
    assert len(str(folder)) == 150
    yield folder
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def start(server: EmbeddedPostgres, started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    server.prepare()
    process = subprocess.Popen(server.command, cwd="/", stderr=subprocess.DEVNULL, **server.as_user())
    started.append(process)
    server.wait_until_ready()
    return process


def test_it_survives_kill_9_and_a_data_path_of_150_characters(
    long_folder: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    server = locate(long_folder)
    process = start(server, started)
    migrate(server.url)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (x int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    process.kill()
    process.wait()
    assert (server.data / "postmaster.pid").exists()
    start(locate(long_folder), started)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (7,)
    server.remove_socket_folder()


def test_a_server_that_outlived_its_supervisor_is_stopped_first(
    long_folder: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    server = locate(long_folder)
    left_over = start(server, started)
    assert server.running_pid() == left_over.pid
    again = locate(long_folder)
    reaper = threading.Thread(target=left_over.wait)  # its parent must collect it, as init would
    reaper.start()
    again.prepare()
    reaper.join(20)
    assert left_over.returncode is not None
    assert again.running_pid() is None


def test_a_socket_path_is_short_whatever_the_data_path(long_folder: Path) -> None:
    assert len(str(locate(long_folder).socket_folder / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX_BYTES
    assert len(str(DataPaths(long_folder).media_socket)) <= SOCKET_PATH_MAX_BYTES


def test_a_half_made_cluster_is_made_again(long_folder: Path, started: list[subprocess.Popen[bytes]]) -> None:
    server = locate(long_folder)
    half = server.data.with_name("postgres.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    start(server, started)
    assert not half.exists()


def test_another_version_s_cluster_is_refused_with_the_remedy(long_folder: Path) -> None:
    server = locate(long_folder)
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 9"):
        server.prepare()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to become somebody else")
def test_as_root_the_server_runs_as_an_unprivileged_user(
    long_folder: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    process = start(locate(long_folder), started)
    owner = Path(f"/proc/{process.pid}").stat().st_uid
    assert owner != 0
    assert pwd.getpwuid(owner)


def test_the_wheel_ships_a_server_for_machines_without_one() -> None:
    assert server_version(candidate_binaries()[-1]) >= 15
