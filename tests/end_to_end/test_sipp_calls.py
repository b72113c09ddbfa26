"""SIPp, a SIP stack that is not ours, as the recording client of the whole product."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.end_to_end.machine import Browser, Machine, wait_until
from tests.end_to_end.recording_session import silent_spans
from tests.end_to_end.test_recorded_calls import codes
from tests.peers.audio import read_wav, tone_level
from tests.peers.sipp_client import TONE_HZ, SippCalls, place
from tests.peers.tls_tunnel import tls_tunnel
from tests.sip.certificates import Authority

pytestmark = pytest.mark.end_to_end

PARALLEL = 12


@pytest.fixture(scope="module")
def placed(machine: Machine, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SippCalls]:
    """Calls of all kinds side by side; each test looks at one of them."""
    folder = tmp_path_factory.mktemp("sipp")
    port = machine.sip_port

    async def by_mutual_tls() -> SippCalls:
        certificate, _ = authority.issue("sipp.pem", names=("sipp.example",))
        async with tls_tunnel(machine.tls_port, certificate=certificate) as local:
            return await place(folder, "basic", local, transport="t1")

    async def all_of_them() -> dict[str, SippCalls]:
        names = ("hold", "pause", "transfer", "conference", "fragments")
        found = await asyncio.gather(
            place(folder, "basic", port),
            place(folder, "basic", port, transport="t1"),
            place(folder, "setup", port, count=PARALLEL, rate=50),
            place(folder, "persistent", port),
            by_mutual_tls(),
            *(place(folder, name, port) for name in names),
        )
        return dict(zip(("udp", "tcp", "parallel", "persistent", "tls", *names), found, strict=True))

    machine.provision("peer add sipp-by-tls --organisation main --certificate sipp.example")
    try:
        return asyncio.run(all_of_them())
    finally:
        machine.provision("peer remove sipp-by-tls")


def finished(browser: Browser, calls: SippCalls, count: int = 1) -> list[dict[str, Any]]:
    """Wait until the calls are sealed; their details, oldest first."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        mine = [c for c in browser.conversations(limit="200") if any(calls.caller in p["aor"] for p in c["parties"])]
        found[:] = sorted(mine, key=lambda c: c["started_at"])
        return len(found) >= count and all(c["state"] in ("ready", "failed") for c in found)

    wait_until(look, f"{count} calls of {calls.caller} are ready")
    assert len(found) == count
    return [browser.detail(one["id"]) for one in found]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_call_is_recorded_over_each_transport(placed: dict[str, SippCalls], browser: Browser, transport: str) -> None:
    [call] = finished(browser, placed[transport])
    assert {p["name"] for p in call["parties"]} == {"alice", "bob"}
    assert call["peer"] == ("sipp-by-tls" if transport == "tls" else "loopback")
    rate, samples = read_wav(browser.download(call))
    assert len(samples) / rate == pytest.approx(1.5, abs=0.1)
    middle = samples[rate // 4 : -rate // 4]
    assert tone_level(middle[:, 0], rate, TONE_HZ) > 0.1
    assert silent_spans(browser.download(call), 0) == []


def test_calls_in_parallel_are_all_there_and_none_twice(placed: dict[str, SippCalls], browser: Browser) -> None:
    calls = finished(browser, placed["parallel"], PARALLEL)
    assert len({c["recordings"][0]["id"] for c in calls}) == PARALLEL
    assert all("no_media" in codes(c) for c in calls), "SIPp sends no audio here"


def test_s24_a_hold_is_marked_and_is_one_recording(placed: dict[str, SippCalls], browser: Browser) -> None:
    [call] = finished(browser, placed["hold"])
    kinds = [mark["kind"] for mark in call["recordings"][0]["marks"]]
    assert {"hold", "unhold", "pause", "resume"} <= set(kinds)
    assert len(call["recordings"]) == 1
    rate, samples = read_wav(browser.download(call))
    assert 1.15 < len(samples) / rate < call["duration_ms"] / 1000 + 0.1, "the hold counts in the length"


def test_s23_what_comes_while_paused_is_not_stored(placed: dict[str, SippCalls], browser: Browser) -> None:
    [call] = finished(browser, placed["pause"])
    assert [mark["kind"] for mark in call["recordings"][0]["marks"]] == ["pause", "resume"]
    [gap] = silent_spans(browser.download(call), 0, shortest_s=0.1)
    assert gap[1] == pytest.approx(0.6, abs=0.1)


def test_s36_a_transfer_keeps_who_left_and_who_came(placed: dict[str, SippCalls], browser: Browser) -> None:
    [call] = finished(browser, placed["transfer"])
    parties = {party["name"]: party for party in call["parties"]}
    assert set(parties) == {"alice", "bob", "carol"}
    assert parties["bob"]["left_at"] is not None
    assert parties["carol"]["joined_at"] is not None


def test_s37_a_conference_has_a_stream_for_each_party(placed: dict[str, SippCalls], browser: Browser) -> None:
    [call] = finished(browser, placed["conference"])
    assert {party["name"] for party in call["parties"]} == {"alice", "bob", "carol"}
    assert len(call["recordings"]) == 1


def test_s34_a_persistent_session_makes_two_calls(placed: dict[str, SippCalls], browser: Browser) -> None:
    [first] = finished(browser, placed["persistent"])
    second = browser.wait_for(
        lambda c: {p["name"] for p in c["parties"]} == {"carol", "dave"} and c["state"] == "ready", "the second call"
    )
    assert first["ended_at"] is not None
    assert first["ended_at"] <= second["ended_at"]
    assert {p["name"] for p in first["parties"]} == {"alice", "bob"}


def test_an_invite_of_9_kb_comes_in_fragments(placed: dict[str, SippCalls], browser: Browser) -> None:
    [call] = finished(browser, placed["fragments"])
    assert {p["name"] for p in call["parties"]} == {"alice", "bob"}
