"""Every vendor's way of SIPREC (docs/reference/siprec-support.md), sent to the product with real audio.

The peer is on the default dialect `auto`; only what is no SIPREC at all (Cisco's network-based forking, CUCM's built-in bridge)
has a peer with a profile.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.machine import Browser, Machine, wait_until
from tests.end_to_end.recording_session import TONES_HZ
from tests.end_to_end.test_recorded_calls import codes
from tests.peers.audio import linear_to_alaw, linear_to_ulaw, opus_packets, read_wav, tone, tone_level
from tests.peers.captured import CapturedClient
from tests.peers.rtp import RtpSender, pieces, play_payloads

pytestmark = pytest.mark.end_to_end

SECONDS = 1.6
NETWORK = "127.0.1.200"
"""The peer with a profile."""
CODECS = {8: linear_to_alaw, 0: linear_to_ulaw}


@dataclass(frozen=True, slots=True)
class Dialect:
    """A sample, and what must be seen of it."""

    sample: str
    vendor: str
    streams: int
    numbers: frozenset[str]
    then: tuple[str, ...] = ()
    """Samples sent after the audio, in the same session."""
    paused: bool = False
    network: bool = False


def _dialect(sample: str, streams: int, *numbers: str, **more: Any) -> Dialect:
    return Dialect(f"{sample}.sip", sample.partition("-")[0], streams, frozenset(numbers), **more)


DIALECTS = [
    _dialect("audiocodes-invite", 2),
    _dialect("avaya-invite", 2, "+3225550140", then=("avaya-update.sip",)),
    _dialect("broadworks-invite", 1, "+3225550110", "+3225550111", then=("broadworks-hold.sip",), paused=True),
    _dialect("broadworks-two-streams-invite", 2, "+3225550110", "+3225550111"),
    _dialect("cisco-cube-invite", 2, "+3225550101", "4711", then=("cisco-cube-hold.sip",), paused=True),
    _dialect("cisco-cube-network-based", 2, "+3225550101", "4711", network=True),
    _dialect("cisco-cucm-bib-near", 1, "4711", network=True),
    _dialect("cisco-cucm-bib-far", 1, "+3225550101", network=True),
    _dialect("frafos-invite", 2),
    _dialect("genesys-invite", 2, "5001", "+3225550195"),
    _dialect("jambonz-invite", 2, then=("jambonz-pause.sip",), paused=True),
    _dialect("metaswitch-invite", 1, "+3225550130", "+3225550131", then=("metaswitch-hold.sip",), paused=True),
    _dialect("opensips-invite", 2, "+3225550161"),
    _dialect("oracle-invite", 2),
    _dialect("oracle-one-stream-invite", 1, "+3225550102"),
    _dialect("phrsite-invite", 2),
    _dialect("ribbon-invite", 2),
    _dialect("ribbon-invite-unprefixed", 2),
    _dialect("webex-invite", 2, "+3225550120", "+3225550121", then=("webex-conference-update.sip",)),
]


@dataclass(frozen=True, slots=True)
class Sent:
    address: str
    status: int
    text: str


@pytest.fixture(scope="module")
def sent(machine: Machine) -> dict[str, Sent]:
    """All dialects side by side, each from an address of its own."""
    machine.provision(f"peer add cisco-network --organisation main --address {NETWORK}/32 --dialect cisco-network")
    sources = itertools.count(1)

    async def all_of_them() -> list[Sent]:
        calls = (
            _place(machine, dialect, NETWORK if dialect.network else f"127.0.1.{next(sources)}") for dialect in DIALECTS
        )
        return await asyncio.gather(*calls)

    try:
        found = asyncio.run(all_of_them())
    finally:
        machine.provision("peer remove cisco-network")
    return {dialect.sample: one for dialect, one in zip(DIALECTS, found, strict=True)}


async def _place(machine: Machine, dialect: Dialect, source: str) -> Sent:
    senders = [_sender(source) for _ in range(dialect.streams)]
    client = CapturedClient("127.0.0.1", machine.sip_port, source)
    await client.connect()
    try:
        answer = await client.say(dialect.sample, [s.port for s in senders])
        if answer.status == 200:
            payloads = []
            for sender, port, frequency in zip(senders, answer.media_ports, TONES_HZ, strict=False):
                sender.target = ("127.0.0.1", port)
                signal = tone(frequency, SECONDS)
                if " 111 " in answer.body:
                    sender.payload_type, sender.timestamp_step = 111, 960
                    payloads.append(opus_packets(signal)[: int(SECONDS * 50)])
                else:
                    sender.payload_type = 8 if "RTP/AVP 8" in answer.body else 0
                    payloads.append(pieces(CODECS[sender.payload_type](signal)))
            await play_payloads(senders, payloads)
            for name in dialect.then:
                said = await client.say(name, [s.port for s in senders])
                assert said.status == 200, f"{name}: {said.text}"
            if dialect.paused:
                await play_payloads(senders, [payload[:20] for payload in payloads])
            assert (await client.hang_up()).status == 200
        return Sent(client.address, answer.status, answer.text)
    finally:
        await client.close()
        for sender in senders:
            sender.close()


def _sender(source: str) -> RtpSender:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((source, 0))
    return RtpSender(("127.0.0.1", 9), socket=bound)


def _recorded(browser: Browser, address: str) -> list[dict[str, Any]]:
    """The conversations of one source address, when all of them are sealed."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        details = [browser.detail(one["id"]) for one in browser.conversations(limit="100")]
        found[:] = [one for one in details if one["address"] == address]
        return bool(found) and all(one["state"] == "ready" for one in found)

    wait_until(look, f"the call from {address} is ready")
    return found


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.sample)
def test_f9_a_dialect_is_recorded_with_its_quirks(sent: dict[str, Sent], browser: Browser, dialect: Dialect) -> None:
    placed = sent[dialect.sample]
    assert placed.status == 200, placed.text
    call = _recorded(browser, placed.address)[-1]
    assert call["vendor"] == dialect.vendor
    numbers = {party["number"] for party in call["parties"]} | {call["caller_number"], call["called_number"]}
    assert dialect.numbers <= numbers
    assert not codes(call) & {"no_media", "silent", "one_way", "unattributed", "gaps"}, call["problems"]
    rate, samples = read_wav(browser.download(call))
    assert samples.shape[1] == max(1, dialect.streams)
    middle = samples[int(0.3 * rate) : int((SECONDS - 0.3) * rate)]
    heard = [max(TONES_HZ, key=lambda f: tone_level(middle[:, channel], rate, f)) for channel in range(dialect.streams)]
    assert sorted(heard) == sorted(TONES_HZ[: dialect.streams])
    assert all(max(tone_level(middle[:, c], rate, f) for f in TONES_HZ) > 0.05 for c in range(dialect.streams))
    if dialect.paused:
        assert "pause" in [mark["kind"] for mark in call["recordings"][0]["marks"]]
        after = samples[int((SECONDS + 0.05) * rate) :]
        assert not len(after) or max(tone_level(after[:, 0], rate, f) for f in TONES_HZ) < 0.01
