"""Database, object store and disk fail while calls are recorded (faults 6, 9 and 10 of the guide): calls go on, the archive catches up.

One machine on an external database and S3, with its data on a disk of its own that is small enough to be filled.
"""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from callward.platform.postgres import EmbeddedPostgres
from tests.end_to_end.machine import Browser, Machine, running, wait_until
from tests.end_to_end.recording_session import RecordedSession, assert_own_tones, recorded_session, silent_spans
from tests.end_to_end.test_recorded_calls import ready
from tests.peers.audio import read_wav
from tests.peers.s3_server import Mode, S3Server
from tests.peers.sip_client import SipClient, offer
from tests.peers.sipp_client import place
from tests.peers.tcp_proxy import TcpProxy
from tests.peers.tls_tunnel import tls_tunnel

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(os.getuid() != 0, reason="a disk of its own has to be mounted"),
]

DISK_BYTES = 192 << 20
RESERVE_BYTES = 40 << 20


@pytest.fixture(scope="module")
def database_proxy(postgres: EmbeddedPostgres) -> Iterator[TcpProxy]:
    """In front of a server that Callward does not run itself, with an empty database `outside`."""
    admin = postgres.url.replace("/callward?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS outside WITH (FORCE)")
        connection.execute("CREATE DATABASE outside")
    proxy = TcpProxy(postgres.socket_folder / ".s.PGSQL.5432")
    yield proxy
    proxy.close()
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE outside WITH (FORCE)")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=711", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def machine(disk: Path, database_proxy: TcpProxy, s3: S3Server) -> Iterator[Machine]:
    environment = {
        "CALLWARD_DATABASE__URL": f"postgresql://callward@127.0.0.1:{database_proxy.port}/outside",
        "CALLWARD_BLOBS__KIND": "s3",
        "CALLWARD_BLOBS__S3_BUCKET": s3.bucket,
        "CALLWARD_BLOBS__S3_ENDPOINT_URL": s3.url,
        "CALLWARD_BLOBS__S3_ACCESS_KEY": "a",
        "CALLWARD_BLOBS__S3_SECRET_KEY": "b",
        "CALLWARD_MEDIA__DISK_RESERVE_BYTES": str(RESERVE_BYTES),
    }
    yield from running(Machine(disk, rtp_from=44_000, environment=environment))


@pytest.fixture(scope="module")
def browser(machine: Machine) -> Browser:
    return Browser(machine)


def once(browser: Browser, caller: str, seconds: float, *, pauses_s: float = 0.0) -> dict[str, Any]:
    """The one conversation of a caller, with all its audio; `pauses_s`: so long at most the client said nothing between."""
    call = ready(browser, caller)
    assert len([c for c in browser.conversations(limit="500") if c["caller_number"] == caller]) == 1
    assert len(call["recordings"]) == 1
    wav = browser.download(call)
    if not pauses_s:
        assert_own_tones(wav, seconds, tolerance_s=0.1)
    rate, samples = read_wav(wav)
    for channel in (0, 1):
        silence = sum(length for _, length in silent_spans(wav, channel, shortest_s=0.1))
        assert silence <= pauses_s
        assert len(samples) / rate - silence == pytest.approx(seconds, abs=0.15), "nothing that was said is missing"
    return call


async def test_fault_10_the_database_is_away_at_the_start_in_the_middle_and_at_the_end_of_calls(
    machine: Machine, browser: Browser, database_proxy: TcpProxy
) -> None:
    async with AsyncExitStack() as open_calls:

        async def begin() -> RecordedSession:
            return await open_calls.enter_async_context(recorded_session(machine))

        middle, at_the_end = await begin(), await begin()
        await asyncio.gather(middle.speak(0.6), at_the_end.speak(0.6))
        database_proxy.down = True
        at_the_start, all_the_time = await begin(), await begin()
        portal = asyncio.create_task(asyncio.to_thread(httpx.get, f"{machine.portal}/readyz", timeout=10))
        await asyncio.gather(*(call.speak(0.6) for call in (middle, at_the_end, at_the_start, all_the_time)))
        assert (await at_the_end.hang_up()).status == 200
        assert (await all_the_time.hang_up()).status == 200
        assert (await portal).status_code == 503, "the database is away indeed"
        database_proxy.down = False
        database_proxy.stalled = True
        stalled = await begin()
        await asyncio.gather(*(call.speak(0.6) for call in (middle, at_the_start, stalled)))
        database_proxy.stalled = False
        for call in (middle, at_the_start, stalled):
            assert (await call.hang_up()).status == 200
    lengths = ((middle, 1.8), (at_the_end, 1.2), (at_the_start, 1.2), (all_the_time, 0.6), (stalled, 0.6))
    for call, seconds in lengths:
        await asyncio.to_thread(once, browser, call.extra["caller"], seconds, pauses_s=1.0)


def _asked_since(s3: S3Server, refused: int) -> bool:
    return s3.refused > refused


async def test_fault_9_the_object_store_is_away_slow_or_lies(machine: Machine, browser: Browser, s3: S3Server) -> None:
    async def one(seconds: float) -> str:
        async with recorded_session(machine) as session:
            await session.speak(seconds)
            assert (await session.hang_up()).status == 200
            return str(session.extra["caller"])

    modes: tuple[Mode, ...] = ("unavailable", "forgets", "cuts", "slow")
    callers = []
    for mode in modes:
        s3.mode, before = mode, s3.refused
        callers.append(await one(0.6))
        if mode != "slow":
            asked = functools.partial(_asked_since, s3, before)
            await asyncio.to_thread(wait_until, asked, f"the store was asked: {mode}")
            states = {c["caller_number"]: c["state"] for c in browser.conversations()}
            assert states.get(callers[-1]) != "ready", f"believed a store that {mode}"
    s3.mode = "well"
    for caller in callers:
        call = await asyncio.to_thread(once, browser, caller, 0.6)
        recording = call["recordings"][0]
        stored = {key: size for key, size in s3.sizes().items() if recording["id"] in key}
        wrapped_keys = [key for key in stored if key.endswith("/key")]
        assert len(wrapped_keys) == 1, "the wrapped key stands beside the objects"
        del stored[wrapped_keys[0]]
        assert len(stored) == len(recording["blobs"]), "each object once"
        plain = sorted(blob["size_bytes"] for blob in recording["blobs"])
        assert all(size > least for size, least in zip(sorted(stored.values()), plain, strict=True)), "whole, encrypted"
    assert machine.readiness()["ready"] is True


def ballast(disk: Path, leave_bytes: int) -> None:
    """Fill the disk with zeros until only so much is free."""
    found = os.statvfs(disk)
    path = disk / "ballast"
    size = path.stat().st_size if path.exists() else 0
    size += found.f_bavail * found.f_frsize - leave_bytes
    with path.open("ab") as file:
        if size < path.stat().st_size:
            file.truncate(size)
        else:
            os.posix_fallocate(file.fileno(), 0, size)


class _Packets:
    """Counts what was sent."""

    def __init__(self) -> None:
        self._number = 0
        self._more = asyncio.Event()

    def count(self, number: int) -> None:
        self._number = number
        self._more.set()

    async def further(self, packets: int) -> None:
        """Wait until so many more were sent."""
        wanted = self._number + packets
        while self._number < wanted:
            self._more.clear()
            await self._more.wait()


async def _answers(machine: Machine) -> tuple[int, int, str]:
    """What OPTIONS and a new INVITE get, and for how long a client shall wait."""
    client = SipClient("127.0.0.1", machine.sip_port, "UDP")
    await client.connect()
    options = await client.options()
    client2 = SipClient("127.0.0.1", machine.sip_port, "TCP")
    await client2.connect()
    invite = await client2.ask("INVITE", sdp=offer([4000, 4002]))
    await client.close()
    await client2.close()
    return options.status, invite.status, invite.header("Retry-After") or ""


async def test_fault_6_a_full_disk_refuses_new_calls_after_an_alarm_and_resumes_by_itself(
    machine: Machine, browser: Browser, disk: Path, s3: S3Server
) -> None:
    sealed = s3.sizes()
    try:
        async with recorded_session(machine) as session:
            sent = _Packets()
            talk = asyncio.create_task(session.speak(6.0, on_packet=sent.count))
            ballast(disk, RESERVE_BYTES * 3 // 2)
            await asyncio.to_thread(
                wait_until, lambda: bool(browser.system_events("disk_low")), "the alarm before the disk is full"
            )
            assert machine.metric("callward_recorder_able") == 1, "not refused yet"
            assert not browser.system_events("not_able")
            ballast(disk, RESERVE_BYTES // 2)
            await asyncio.to_thread(machine.wait_able, False)
            options, invite, retry_after = await _answers(machine)
            assert (options, invite) == (503, 503)
            assert int(retry_after.split(";")[0]) > 0
            ballast(disk, 0)
            await sent.further(50)
            ballast(disk, RESERVE_BYTES // 2)
            assert not talk.done(), "the running call goes on meanwhile, even while not a byte is free"
            await talk
            assert (await session.hang_up()).status == 200
        call = await asyncio.to_thread(once, browser, session.extra["caller"], 6.0)
        assert call["state"] == "ready", "what ran is sealed although the disk is full"
        assert {key: size for key, size in s3.sizes().items() if key in sealed} == sealed
        assert browser.system_events("not_able")
    finally:
        (disk / "ballast").unlink(missing_ok=True)
    pid = machine.child("recorder").pid
    await asyncio.to_thread(machine.wait_able)
    async with recorded_session(machine) as session:
        await session.speak(0.6)
        assert (await session.hang_up()).status == 200
    await asyncio.to_thread(once, browser, session.extra["caller"], 0.6)
    assert machine.child("recorder").pid == pid, "it resumes without a restart"
    assert browser.system_events("disk_low_cleared")


async def test_tls_by_sipp_behind_a_tunnel(machine: Machine, browser: Browser, tmp_path: Path) -> None:
    async with tls_tunnel(machine.tls_port) as local:
        calls = await place(tmp_path, "basic", local, transport="t1")
    found = await asyncio.to_thread(
        browser.wait_for,
        lambda c: c["state"] == "ready" and any(calls.caller in party["aor"] for party in c["parties"]),
        "the call by TLS",
    )
    assert found["recordings"][0]["playable"]
