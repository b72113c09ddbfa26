"""What a network and what strangers do to RTP (faults 12-15 of the guide): the true audio is kept, all else is counted."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from typing import Any

import pytest

from tests.end_to_end.machine import Browser, Machine
from tests.end_to_end.recording_session import (
    TONES_HZ,
    RecordedSession,
    assert_own_tones,
    recorded_session,
    silent_spans,
)
from tests.end_to_end.test_recorded_calls import codes, ready
from tests.peers.audio import linear_to_alaw, read_wav, tone, tone_level
from tests.peers.fault_relay import FaultRelay, Faults
from tests.peers.rtp import RtpSender, pieces, play_payloads
from tests.peers.srtp import SUITE, SrtpSender

pytestmark = pytest.mark.end_to_end

SEED = 20261122


def media_stats(call: dict[str, Any], channel: int) -> dict[str, Any]:
    [track] = [t for t in call["recordings"][0]["tracks"] if t["channel"] == channel]
    stats: dict[str, Any] = track["stats"]
    return stats


async def finish(session: RecordedSession, browser: Browser) -> dict[str, Any]:
    assert (await session.hang_up()).status == 200
    return await asyncio.to_thread(ready, browser, session.extra["caller"])


async def test_fault_12_loss_reorder_duplicates_and_jitter_cost_the_lost_packets_only(
    machine: Machine, browser: Browser
) -> None:
    faults = Faults(loss=0.1, duplicate=0.1, jitter_s=0.15)
    async with recorded_session(machine) as session:
        relays = [FaultRelay(s.socket, faults, SEED + n) for n, s in enumerate(session.senders)]
        payloads = [pieces(linear_to_alaw(tone(f, 3.0))) for f in TONES_HZ]
        now = asyncio.get_running_loop().time
        begun = now()
        for number in range(150):
            for sender, relay, payload in zip(session.senders, relays, payloads, strict=True):
                relay.send(sender.packet(payload[number]), sender.target)
            await asyncio.sleep(max(0.0, begun + (number + 1) * 0.02 - now()))
        for relay in relays:
            await relay.drained()
        call = await finish(session, browser)
    rate, samples = read_wav(browser.download(call))
    assert len(samples) / rate == pytest.approx(3.0, abs=0.2)
    for channel, relay in enumerate(relays):
        media = media_stats(call, channel)["media"]
        missing_at_the_ends = sum(1 for n in relay.lost if n < 3 or n > 146)
        assert media["packets"] == 150 - len(relay.lost)
        assert len(relay.lost) - missing_at_the_ends <= media["lost"] <= len(relay.lost)
        assert media["duplicate"] == relay.duplicated, f"seed {SEED}"
        assert media["reordered"] > 10
        gaps = media_stats(call, channel)["gaps"]
        assert sum(gap["packets"] for gap in gaps) == media["lost"]
        assert sum(gap["length_ms"] for gap in gaps) == 20 * media["lost"], "gaps keep their true length"
        heard = tone_level(samples[:, channel], rate, TONES_HZ[channel])
        assert heard == pytest.approx(0.3 * (1 - len(relay.lost) / 150), rel=0.15), "each packet at its place: in phase"
        other = TONES_HZ[1 - channel]
        assert tone_level(samples[:, channel], rate, other) < 0.01
    assert "gaps" in codes(call)


async def test_fault_13_a_new_ssrc_and_a_restarted_sequence_go_on_in_the_same_track(
    machine: Machine, browser: Browser
) -> None:
    async with recorded_session(machine) as session:
        await session.speak(1.0)
        for sender in session.senders:
            sender.ssrc = secrets.randbits(32)
        await session.speak(1.0)
        for sender in session.senders:
            sender.sequence, sender.timestamp = 0, secrets.randbits(31)
        await session.speak(1.0)
        call = await finish(session, browser)
    assert len(call["recordings"]) == 1
    assert len(call["recordings"][0]["tracks"]) == 2
    rate, samples = read_wav(browser.download(call))
    assert len(samples) / rate == pytest.approx(3.0, abs=0.08)
    for channel in (0, 1):
        for second in range(3):  # each with its own phase
            part = samples[int((second + 0.25) * rate) : int((second + 0.75) * rate), channel]
            assert tone_level(part, rate, TONES_HZ[channel]) > 0.2
            assert tone_level(part, rate, TONES_HZ[1 - channel]) < 0.01
        assert media_stats(call, channel)["media"]["packets"] == 150
        assert len(media_stats(call, channel)["media"]["ssrcs"]) == 2
        assert silent_spans(browser.download(call), channel, shortest_s=0.06) == []


async def test_fault_14_rtp_from_a_wrong_source_is_dropped_and_counted(machine: Machine, browser: Browser) -> None:
    async with recorded_session(machine) as session:
        strangers = []
        for source, sender in zip(("127.0.0.1", "127.0.0.9"), session.senders, strict=True):
            bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bound.bind((source, 0))
            strangers.append(
                RtpSender(
                    sender.target, ssrc=sender.ssrc, sequence=sender.sequence, timestamp=sender.timestamp, socket=bound
                )
            )
        sprayed = pieces(linear_to_alaw(tone(2500.0, 2.0)))
        spray = asyncio.create_task(play_payloads(strangers, [sprayed, sprayed]))
        await session.speak(2.0)
        await spray
        call = await finish(session, browser)
        for stranger in strangers:
            stranger.close()
    assert_own_tones(browser.download(call), 2.0)
    rate, samples = read_wav(browser.download(call))
    for channel in (0, 1):
        assert tone_level(samples[:, channel], rate, 2500.0) < 0.005
        media = media_stats(call, channel)["media"]
        assert (media["packets"], media["stranger"]) == (100, 100)


async def test_fault_15_garbage_and_truncated_packets_cost_nothing(machine: Machine, browser: Browser) -> None:
    garbage = [
        b"",
        b"\x80",
        b"\x80\x08\x00",
        secrets.token_bytes(11),
        b"\x00" * 40,
        b"\xff" * 1400,
        b"\x8f\x08" + secrets.token_bytes(10),
        b"\x90\x08" + secrets.token_bytes(10) + b"\xbe\xde\xff\xff",
        b"\xa0\x08" + secrets.token_bytes(10) + b"\x00" * 20 + b"\xff",
        b"\x16\xfe\xff" + b"\x00" * 40,
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + secrets.token_bytes(12),
        b"\x80\xc8\x00\x06" + b"\x00" * 4,
        secrets.token_bytes(9000),
    ]
    async with recorded_session(machine) as session:

        def throw(number: int) -> None:
            for sender in session.senders:
                data = garbage[number % len(garbage)]
                sender.socket.sendto(data, sender.target)
                sender.socket.sendto(data, (sender.target[0], sender.target[1] + 1))

        await session.speak(2.0, on_packet=throw)
        call = await finish(session, browser)
    assert_own_tones(browser.download(call), 2.0, tolerance_s=0.05)
    for channel in (0, 1):
        assert media_stats(call, channel)["media"]["malformed"] >= 50


async def test_fault_15_invalid_srtp_cannot_end_or_change_a_call(machine: Machine, browser: Browser) -> None:
    keys = [SrtpSender(), SrtpSender()]

    def secured(sdp: str) -> str:
        head, *media = sdp.replace("RTP/AVP", "RTP/SAVP").split("m=audio")
        return head + "".join(f"m=audio{part}{key.crypto}\r\n" for part, key in zip(media, keys, strict=True))

    async with recorded_session(machine, change_sdp=secured) as session:
        assert session.answer.body.count(f" {SUITE} inline:") == 2
        payloads = [pieces(linear_to_alaw(tone(f, 2.0))) for f in TONES_HZ]
        now = asyncio.get_running_loop().time
        begun = now()
        for number in range(100):
            for sender, key, payload in zip(session.senders, keys, payloads, strict=True):
                plain = sender.packet(payload[number])
                true = key.protect(plain)
                sender.send(plain)
                sender.send(plain + secrets.token_bytes(10))
                sender.send(true[:-1] + bytes([true[-1] ^ 1]))
                sender.send(true[:20])
                sender.send(true)
            await asyncio.sleep(max(0.0, begun + (number + 1) * 0.02 - now()))
        call = await finish(session, browser)
    assert_own_tones(browser.download(call), 2.0, tolerance_s=0.05)
    for channel in (0, 1):
        media = media_stats(call, channel)["media"]
        assert (media["packets"], media["lost"]) == (100, 0)
        assert media["bad_srtp"] >= 300, "each bad packet is counted and none ends the call"


async def test_a_codec_that_nobody_knows_is_kept_raw_and_flagged(machine: Machine, browser: Browser) -> None:
    def strange(sdp: str) -> str:
        first, second = sdp.split("m=audio", 2)[1:]
        head = sdp.split("m=audio", 1)[0]
        odd = first.replace("RTP/AVP 8 101", "RTP/AVP 97 101").replace("8 PCMA/8000", "97 X-SECRET-VOICE/8000")
        return head + "m=audio" + odd + "m=audio" + second

    async with recorded_session(machine, change_sdp=strange) as session:
        session.senders[0].payload_type = 97
        await session.speak(2.0)
        call = await finish(session, browser)
    assert "unknown_codec" in codes(call)
    assert {blob["kind"] for blob in call["recordings"][0]["blobs"]} >= {"master", "raw"}
    raw = [blob for blob in call["recordings"][0]["blobs"] if blob["kind"] == "raw"]
    assert sum(blob["size_bytes"] for blob in raw) > 100 * 160, "all the payload is kept"
    rate, samples = read_wav(browser.download(call))
    levels = [tone_level(samples[:, channel], rate, TONES_HZ[1]) for channel in range(samples.shape[1])]
    assert max(levels) > 0.1, "what can be decoded is heard"


async def test_s39_telephone_events_are_kept_apart_from_the_audio(machine: Machine, browser: Browser) -> None:
    async with recorded_session(machine) as session:
        sender = session.senders[0]

        def press(number: int) -> None:
            if number not in (25, 50):
                return
            digit, begun = {25: 5, 50: 11}[number], sender.timestamp
            for turn in range(5):
                event = struct.pack(">BBH", digit, 0x0A | (0x80 if turn > 2 else 0), 160 * min(turn + 1, 4))
                header = struct.pack(">BBHII", 0x80, 101 | (0x80 if turn == 0 else 0), sender.sequence & 0xFFFF,
                                     begun & 0xFFFFFFFF, sender.ssrc)  # fmt: skip
                sender.sequence += 1
                sender.send(header + event)

        await session.speak(2.0, on_packet=press)
        call = await finish(session, browser)
    events = media_stats(call, 0)["telephone_events"]
    assert [event["digit"] for event in events] == ["5", "#"]
    assert events[0]["at_ms"] == pytest.approx(500, abs=60)
    assert events[1]["length_ms"] == 80
    assert_own_tones(browser.download(call), 2.0, tolerance_s=0.05)
    assert media_stats(call, 1)["telephone_events"] == []


async def test_s22_a_stream_is_added_removed_and_used_again_in_one_recording(
    machine: Machine, browser: Browser
) -> None:
    now = asyncio.get_running_loop().time
    async with recorded_session(machine) as session:
        begun = now()
        await session.speak(1.0)
        without = await session.reoffer("sendonly", removed=[1])
        assert without.media_ports[1] == 0
        assert without.media_ports[0] == session.answer.media_ports[0], "the other stream stays where it is"
        await session.speak(1.0, drop=lambda stream, _: stream == 1)
        again = await session.reoffer("sendonly")
        assert again.media_ports[1] > 0
        session.senders[1].target = ("127.0.0.1", again.media_ports[1])
        third_s = now() - begun
        await session.speak(1.0)
        call = await finish(session, browser)
    assert len(call["recordings"]) == 1
    rate, samples = read_wav(browser.download(call))
    assert len(samples) / rate == pytest.approx(third_s + 1.0, abs=0.1)
    offsets = sorted(track["offset_ms"] for track in call["recordings"][0]["tracks"])
    assert offsets == [pytest.approx(0, abs=30), pytest.approx(0, abs=30), pytest.approx(third_s * 1000, abs=60)]

    def heard(begin_s: float) -> float:
        part = samples[int((begin_s + 0.2) * rate) : int((begin_s + 0.8) * rate)]
        return max(tone_level(part[:, channel], rate, TONES_HZ[1]) for channel in range(samples.shape[1]))

    assert heard(0) > 0.1
    assert heard(third_s - 1.0) < 0.01
    assert heard(third_s) > 0.1


async def test_s06_three_streams_are_three_channels(machine: Machine, browser: Browser) -> None:
    tones = (*TONES_HZ, 1700.0)
    async with recorded_session(machine, tones_hz=tones) as session:
        await session.speak(1.5)
        call = await finish(session, browser)
    rate, samples = read_wav(browser.download(call))
    assert samples.shape[1] == 3
    heard = [max(tones, key=lambda f: tone_level(samples[:, channel], rate, f)) for channel in range(3)]
    assert sorted(heard) == sorted(tones)
