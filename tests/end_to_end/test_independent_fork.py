"""An independent recording client's media: rtpengine forks a call by SIPREC, in the clear and as SRTP."""

from __future__ import annotations

import asyncio
import re
import secrets

import pytest

from callward.bench.ng import Rtpengine
from tests.end_to_end.machine import Browser, Machine, rtp_port
from tests.end_to_end.recording_session import TONES_HZ
from tests.end_to_end.test_recorded_calls import codes, ready
from tests.peers.audio import read_wav, tone, tone_level
from tests.peers.rtp import RtpSender, play
from tests.peers.sip_client import Party, SipClient, metadata

pytestmark = pytest.mark.end_to_end


PROFILES = (
    ("RTP/AVP", ""),
    ("RTP/SAVP", "AES_CM_128_HMAC_SHA1_80"),
    ("RTP/SAVP", "AES_CM_128_HMAC_SHA1_32"),
    ("RTP/SAVP", "AEAD_AES_256_GCM"),
)


@pytest.fixture(scope="module")
def forked(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A call with each profile, side by side; the callers' numbers by suite."""

    async def all_of_them(engine: Rtpengine) -> list[str]:
        calls = (_fork(machine, engine, number, *profile) for number, profile in enumerate(PROFILES, 1))
        return await asyncio.gather(*calls)

    first = rtp_port(46_000)
    with Rtpengine(tmp_path_factory.mktemp("engine"), port_min=first, port_max=first + 400, recording=False) as engine:
        callers = asyncio.run(all_of_them(engine))
    return {suite: caller for (_, suite), caller in zip(PROFILES, callers, strict=True)}


async def _fork(machine: Machine, engine: Rtpengine, number: int, profile: str, suite: str) -> str:
    senders = [RtpSender(("127.0.0.1", 9)) for _ in TONES_HZ]
    caller = f"+32477{secrets.randbelow(10**6):06d}"
    ports = engine.call(number, senders[0].port, senders[1].port, record=False)
    for sender, port in zip(senders, ports, strict=True):
        sender.target = ("127.0.0.1", port)
    call_id = f"bench-{number}"
    fork = engine.command("subscribe request", call_id=call_id, flags=["all", "siprec"], transport_protocol=profile)
    labels = {found["tag"]: label for label, found in fork["media-labels"].items()}
    parties = [
        Party(f"sip:{caller}@pbx.example", "Caller", labels["a"]),
        Party("sip:+3222022221@pbx.example", "Called", labels["b"]),
    ]
    client = SipClient("127.0.0.1", machine.sip_port, "TCP")
    await client.connect()
    answer = await client.ask(
        "INVITE", sdp=_only_suite(fork["sdp"], suite), rs_metadata=metadata(secrets.token_hex(8), parties)
    )
    assert answer.status == 200, answer.text
    assert (f" {suite} " in answer.body) == bool(suite)
    engine.command("subscribe answer", call_id=call_id, to_tag=fork["to-tag"], sdp=answer.body)
    await play(senders, [tone(f, 3.0) for f in TONES_HZ])
    assert (await client.ask("BYE")).status == 200
    await client.close()
    for sender in senders:
        sender.close()
    return caller


@pytest.mark.parametrize("suite", [suite for _, suite in PROFILES], ids=lambda suite: suite or "in the clear")
def test_s29_a_call_forked_by_rtpengine_is_recorded(forked: dict[str, str], browser: Browser, suite: str) -> None:
    found = ready(browser, forked[suite])
    assert not codes(found) & {"one_way", "silent", "no_media", "gaps"}, found["problems"]
    rate, samples = read_wav(browser.download(found))
    assert len(samples) / rate == pytest.approx(3.0, abs=0.1)
    middle = samples[rate // 2 : -rate // 2]
    by_party = {t["parties"][0]: t["channel"] for t in found["recordings"][0]["tracks"]}
    assert len(by_party) == 2
    levels = sorted(
        max(TONES_HZ, key=lambda f: tone_level(middle[:, channel], rate, f)) for channel in by_party.values()
    )
    assert levels == sorted(TONES_HZ)


def _only_suite(sdp: str, suite: str) -> str:
    """Keep one crypto line for each stream, and no DTLS (the recorder takes SDES keys)."""
    lines = []
    for line in sdp.splitlines():
        if line.startswith("a=crypto:") and f" {suite} " not in line:
            continue
        if not re.match(r"a=(setup|fingerprint):", line):
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"
