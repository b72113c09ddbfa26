"""Calls as a user of the whole product sees them: from a SIP peer to the file that the portal gives."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from tests.end_to_end.machine import Browser, Machine
from tests.end_to_end.recording_session import assert_own_tones, recorded_session, silent_spans
from tests.peers.sip_client import Party, SipClient, metadata

pytestmark = pytest.mark.end_to_end


def ready(browser: Browser, caller: str) -> dict[str, Any]:
    digits = caller.lstrip("+")
    return browser.wait_for(
        lambda c: digits in c["caller_number"].lstrip("+") and c["state"] == "ready", f"call of {caller} is ready"
    )


def codes(conversation: dict[str, Any]) -> set[str]:
    return {p["code"] for p in conversation["problems"]}


@pytest.mark.parametrize("transport", ["TCP", "UDP"])
async def test_a_call_is_listed_and_each_party_is_on_a_channel_of_its_own(
    machine: Machine, browser: Browser, transport: str
) -> None:
    async with recorded_session(machine, transport=transport) as session:
        assert session.answer.directions == ["recvonly", "recvonly"]
        assert "+sip.srs" in (session.answer.header("Contact") or "")
        await session.speak(3.0)
        assert (await session.hang_up()).status == 200
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    assert found["called_number"] == "+3222022221"
    assert {p["name"] for p in found["parties"]} == {"Jonas Peeters", "Emma Lambert"}
    assert not codes(found), found["problems"]
    assert_own_tones(browser.download(found, "wav"), 3.0)
    mp3 = browser.download(found, "mp3")
    assert mp3[:3] == b"ID3" or (mp3[0] == 0xFF and mp3[1] & 0xE0 == 0xE0), (
        "an MPEG audio frame begins with eleven ones"
    )
    assert browser.download(found, "opus")[:4] == b"OggS"


async def test_calls_side_by_side_do_not_mix(machine: Machine, browser: Browser) -> None:
    async def one() -> str:
        async with recorded_session(machine) as session:
            await session.speak(2.0)
            await session.hang_up()
            return str(session.extra["caller"])

    callers = await asyncio.gather(*(one() for _ in range(6)))
    for caller in callers:
        found = await asyncio.to_thread(ready, browser, caller)
        assert_own_tones(browser.download(found), 2.0)


async def test_s23_nothing_is_stored_while_paused_even_if_packets_come(machine: Machine, browser: Browser) -> None:
    async with recorded_session(machine) as session:
        await session.speak(1.5)
        paused = await session.reoffer("inactive")
        assert paused.directions == ["inactive", "inactive"]
        await session.speak(1.0)
        resumed = await session.reoffer("sendonly")
        assert resumed.directions == ["recvonly", "recvonly"]
        await session.speak(1.5)
        await session.hang_up()
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    wav = browser.download(found)
    for channel in (0, 1):
        gaps = silent_spans(wav, channel)
        assert len(gaps) == 1, gaps
        assert gaps[0][0] == pytest.approx(1.5, abs=0.1)
        assert gaps[0][1] == pytest.approx(1.0, abs=0.1)
    kinds = [m["kind"] for r in found["recordings"] for m in r["marks"]] + [m["kind"] for m in found["marks"]]
    assert "pause" in kinds
    assert "resume" in kinds


async def test_lost_packets_leave_a_gap_of_true_length(machine: Machine, browser: Browser) -> None:
    async with recorded_session(machine) as session:
        await session.speak(3.0, drop=lambda stream, number: stream == 0 and 50 <= number < 75)
        await session.hang_up()
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    wav = browser.download(found)
    gaps = silent_spans(wav, 0)
    assert len(gaps) == 1
    assert gaps[0][0] == pytest.approx(1.0, abs=0.03)
    assert gaps[0][1] == pytest.approx(0.5, abs=0.03)
    assert silent_spans(wav, 1) == []
    assert "gaps" in codes(found)
    stats = found["recordings"][0]["tracks"][0]["stats"]["media"]
    assert (stats["lost"], stats["packets"]) == (25, 125)


async def test_a_silent_party_is_flagged_as_one_way(machine: Machine, browser: Browser) -> None:
    async with recorded_session(machine) as session:
        await session.speak(3.5, drop=lambda stream, number: stream == 1)
        await session.hang_up()
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    assert "one_way" in codes(found)


async def test_s16_broken_metadata_costs_no_audio_and_is_shown(machine: Machine, browser: Browser) -> None:
    before = {c["id"] for c in browser.conversations()}
    async with recorded_session(machine, change_metadata=lambda text: text[: len(text) // 2]) as session:
        await session.speak(2.0)
        await session.hang_up()
    found = await asyncio.to_thread(
        browser.wait_for, lambda c: c["id"] not in before and c["state"] == "ready", "the call with broken metadata"
    )
    assert "odd_metadata" in codes(found)
    assert_own_tones(browser.download(found), 2.0)


async def test_s36_transfer_keeps_the_history_of_the_parties(machine: Machine, browser: Browser) -> None:
    async with recorded_session(machine) as session:
        await session.speak(1.0)
        newcomer = Party("sip:+3222022299@pbx.example", "Ilse Claes", "2")
        after = metadata(session.session_id, [session.parties[0], newcomer])
        assert (await session.client.ask("UPDATE", rs_metadata=after)).status == 200
        await session.speak(1.0)
        await session.hang_up()
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    parties = {p["name"]: p for p in found["parties"]}
    assert set(parties) == {"Jonas Peeters", "Emma Lambert", "Ilse Claes"}
    assert parties["Emma Lambert"]["left_at"] is not None
    assert parties["Ilse Claes"]["joined_at"] is not None


async def test_s34_a_persistent_session_makes_one_conversation_for_each_call(
    machine: Machine, browser: Browser
) -> None:
    first_caller, second_caller = (f"+32476{secrets.randbelow(10**6):06d}" for _ in range(2))
    async with recorded_session(machine, caller=first_caller) as session:
        await session.speak(1.5)
        ended = (
            '<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode>'
            f'<session session_id="{session.session_id}"><stop-time>2026-11-22T10:00:00Z</stop-time></session></recording>'
        )
        assert (await session.client.ask("UPDATE", rs_metadata=ended)).status == 200
        parties = [
            Party(f"sip:{second_caller}@pbx.example", "Second Caller", "1"),
            Party("sip:+3222022221@pbx.example", "Emma Lambert", "2"),
        ]
        assert (await session.client.ask("UPDATE", rs_metadata=metadata("second-session", parties))).status == 200
        await session.speak(2.5)
        await session.hang_up()
    one = await asyncio.to_thread(ready, browser, first_caller)
    two = await asyncio.to_thread(ready, browser, second_caller)
    assert_own_tones(browser.download(one), 1.5, tolerance_s=0.1)
    assert_own_tones(browser.download(two), 2.5, tolerance_s=0.1)


async def test_s40_options_is_answered_while_able_to_record(machine: Machine) -> None:
    client = SipClient("127.0.0.1", machine.sip_port, "UDP")
    await client.connect()
    answer = await client.options()
    assert answer.status == 200
    assert "INVITE" in (answer.header("Allow") or "")
    await client.close()


async def test_s01_an_ordinary_call_is_refused(machine: Machine) -> None:
    client = SipClient("127.0.0.1", machine.sip_port, "TCP")
    await client.connect()
    request = client.request("INVITE", sdp="v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
    client._send(request.replace(";+sip.src", "").replace("Require: siprec\r\n", ""))
    async with asyncio.timeout(10):
        while (text := await client._inbox.get()).startswith("SIP/2.0 1"):
            pass
    assert 400 <= int(text.split()[1]) < 500
    await client.close()
