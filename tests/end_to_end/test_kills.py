"""Whatever is killed: what was acknowledged is kept, the call goes on, the gap is marked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.end_to_end.machine import Browser, Machine, running
from tests.end_to_end.recording_session import recorded_session, silent_spans
from tests.end_to_end.test_recorded_calls import ready
from tests.peers.audio import read_wav

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("killed")
    folder.chmod(0o711)
    yield from running(Machine(folder, rtp_from=42_000))


@pytest.fixture(scope="module")
def browser(machine: Machine) -> Browser:
    return Browser(machine)


@pytest.mark.parametrize("victim", ["media", "recorder", "seal", "worker", "portal", "postgres"])
async def test_a_call_survives_the_kill_of_any_process(machine: Machine, browser: Browser, victim: str) -> None:
    async with recorded_session(machine, transport="UDP") as session:
        old: list[int] = []

        def kill(number: int) -> None:
            if number == 100:
                old.append(machine.kill(victim))

        await session.speak(4.0, on_packet=kill)
        await asyncio.to_thread(machine.wait_restarted, victim, old[0])
        assert (await session.hang_up()).status == 200
    if victim == "portal":
        await asyncio.to_thread(machine.wait_portal)
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    wav = browser.download(found)
    rate, samples = read_wav(wav)
    assert abs(len(samples) / rate - 4.0) <= 0.1
    for channel in (0, 1):
        lost = sum(length for _, length in silent_spans(wav, channel))
        assert lost <= 0.2, f"{victim}: channel {channel} lost {lost:.3f} s"
    assert len([c for c in browser.conversations() if c["caller_number"] == session.extra["caller"]]) == 1


async def test_a_recording_cut_by_the_death_of_the_whole_machine_is_archived(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("dead")
    folder.chmod(0o711)
    machine = Machine(folder, rtp_from=43_000, environment={"CALLWARD_RECORDER__SILENCE_TIMEOUT_S": "60"}).start()
    try:
        browser = Browser(machine)
        async with recorded_session(machine, transport="UDP") as session:
            await session.speak(2.0)
            await asyncio.to_thread(machine.kill_all)
            machine.ready_line = ""
            await asyncio.to_thread(machine.start)
            assert (await session.hang_up()).status == 200, "the BYE of an old dialog is answered"
        browser = Browser(machine)
        found = await asyncio.to_thread(ready, browser, session.extra["caller"])
        rate, samples = read_wav(browser.download(found))
        assert len(samples) / rate >= 1.85, "at most a sync interval of audio may be missing"
    finally:
        machine.stop()
        machine.remove_database()
