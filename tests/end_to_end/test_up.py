"""`callward up` as an operator knows it: start, stop, start again, twice at once; as an ordinary user, below a long path."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from callward.platform.paths import DataPaths
from tests.end_to_end.machine import Browser, Machine
from tests.end_to_end.recording_session import assert_own_tones, recorded_session
from tests.end_to_end.test_recorded_calls import ready

pytestmark = pytest.mark.end_to_end

PATH_BYTES = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose path has 150 bytes, with a space and a letter beyond ASCII in it."""
    root = tmp_path_factory.mktemp("up")
    rest = PATH_BYTES - len(os.fsencode(root)) - len("/var") - 1
    long = root / ("a long päth " + "x" * (rest - len(os.fsencode("a long päth "))))
    long.mkdir()
    for part in (root, long):
        part.chmod(0o755)
    return long


def test_a_second_up_on_the_same_data_is_refused_and_disturbs_nothing(machine: Machine) -> None:
    second = subprocess.run(
        [str(Path(sys.executable).with_name("callward")), "up"],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert "Traceback" not in second.stderr
    assert machine.readiness()["ready"] is True


async def test_a_restart_keeps_everything_and_a_stop_leaves_nothing_behind(folder: Path) -> None:
    machine = Machine(folder, rtp_from=45_000)
    assert len(os.fsencode(machine.data)) == PATH_BYTES
    machine.start()
    try:
        _, address, user, password = machine.ready_line.split()
        written = machine.data / "first-sign-in"
        assert written.stat().st_mode & 0o077 == 0
        assert written.read_text().splitlines() == [f"address: {address}", f"user: {user}", f"password: {password}"]
        browser = Browser(machine)
        assert not written.exists(), "it has been changed"
        async with recorded_session(machine) as session:
            await session.speak(0.6)
            assert (await session.hang_up()).status == 200
        before = await asyncio.to_thread(ready, browser, session.extra["caller"])
        async with recorded_session(machine, transport="UDP") as open_one:
            await open_one.speak(0.6)
            assert machine.process is not None
            children = psutil.Process(machine.process.pid).children(recursive=True)
            assert len(children) >= 6
            assert len(_sockets(machine)) >= 6
            assert await asyncio.to_thread(machine.stop) == 0
            assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
            assert _sockets(machine) == []
            assert not _listening(machine)
            machine.ready_line = ""
            await asyncio.to_thread(machine.start)
            assert (await open_one.hang_up()).status == 200, "a call that ran over the restart ends as it should"
        assert machine.ready_line.split() == ["READY", address]
        assert password not in machine.log.read_text()
        browser = Browser(machine)
        after = browser.detail(before["id"])
        assert {key: after[key] for key in after if key != "related"} == {
            k: before[k] for k in before if k != "related"
        }
        assert_own_tones(browser.download(after), 0.6)
        await asyncio.to_thread(ready, browser, open_one.extra["caller"])
    finally:
        machine.stop()
        machine.remove_database()


def _sockets(machine: Machine) -> list[Path]:
    """Socket files of this machine and of its PostgreSQL."""
    runtime = DataPaths(machine.data).runtime
    folders = (runtime, runtime.with_name(runtime.name.replace("callward-", "callward-pg-")))
    return [path for folder in folders if folder.exists() for path in folder.iterdir() if path.is_socket()]


def _listening(machine: Machine) -> set[int]:
    ports = {machine.sip_port, machine.tls_port, machine.portal_port, machine.metrics_port}
    return {c.laddr.port for c in psutil.net_connections("inet") if c.laddr and c.laddr.port in ports and not c.raddr}


@pytest.mark.skipif(os.getuid() != 0, reason="without root, every other test runs as an ordinary user")
def test_an_ordinary_user_runs_it() -> None:
    """The database then runs as that user, and all files are theirs.

    The user may read the test's Python wherever it lies, and nothing else is left of root.
    """
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="callward-user-") as name:
        root = Path(name)
        os.chown(root, user.pw_uid, user.pw_gid)
        ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        rights = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        prefix = ("setpriv", *ids, *rights)
        machine = Machine(root, rtp_from=45_400, environment={"HOME": name, "XDG_RUNTIME_DIR": ""}, prefix=prefix)
        machine.start()
        try:
            assert machine.process is not None
            everything = [machine.process.pid, *(c.pid for c in psutil.Process(machine.process.pid).children(True))]
            assert {psutil.Process(pid).uids().real for pid in everything} == {user.pw_uid}
            assert machine.child("postgres").uids().effective == user.pw_uid
            assert Browser(machine).conversations() == []
            assert {path.lstat().st_uid for path in machine.data.rglob("*")} == {user.pw_uid}
            private = [path for path in machine.data.iterdir() if path.is_dir()]
            assert all(path.stat().st_mode & 0o077 == 0 for path in private), "nobody else reads it"
        finally:
            assert machine.stop() == 0


def test_the_metrics_port_shows_all_processes(machine: Machine) -> None:
    text = machine.metrics()
    for process in ("recorder", "seal", "worker", "portal"):
        assert f'callward_scrape_well{{process="{process}"}} 1.0' in text
    assert "callward_media_" in text
    assert machine.readiness()["ready"] is True
