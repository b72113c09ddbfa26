"""A recorded call as the tests place it: plain-text SIP, tones as RTP, one tone per party."""

from __future__ import annotations

import itertools
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.end_to_end.machine import Machine
from tests.peers.audio import loud_spans, read_wav, tone, tone_level
from tests.peers.rtp import RtpSender, play
from tests.peers.sip_client import Answer, Party, SipClient, metadata, offer

TONES_HZ = (440.0, 1000.0)


@dataclass(slots=True)
class RecordedSession:
    """One open recording session with two streams."""

    client: SipClient
    senders: list[RtpSender]
    parties: list[Party]
    session_id: str
    answer: Answer
    group_id: str = ""
    version: int = 1
    tones_hz: tuple[float, ...] = TONES_HZ
    extra: dict[str, Any] = field(default_factory=dict)

    async def speak(self, seconds: float, **options: Any) -> None:
        """All parties send their tone for a while."""
        await play(self.senders, [tone(f, seconds) for f in self.tones_hz], **options)

    async def reoffer(
        self, direction: str, *, method: str = "INVITE", rs_metadata: str = "", removed: Collection[int] = ()
    ) -> Answer:
        """A new offer with the same streams; those that are `removed` have port 0."""
        self.version += 1
        ports = [0 if place in removed else s.port for place, s in enumerate(self.senders)]
        sdp = offer(ports, direction=direction, version=self.version)
        return await self.client.ask(method, sdp=sdp, rs_metadata=rs_metadata)

    async def hang_up(self) -> Answer:
        return await self.client.ask("BYE")


@asynccontextmanager
async def recorded_session(
    machine: Machine,
    *,
    transport: str = "TCP",
    port: int | None = None,
    tls: ssl.SSLContext | None = None,
    caller: str = "",
    called: str = "+3222022221",
    group_id: str = "",
    session_id: str = "",
    change_metadata: Callable[[str], str] = lambda text: text,
    change_sdp: Callable[[str], str] = lambda text: text,
    tones_hz: tuple[float, ...] = TONES_HZ,
    source: str = "127.0.0.1",
    extra: list[str] | None = None,
) -> AsyncIterator[RecordedSession]:
    """Open a recording session with one tone per party; the caller's number is unique unless given.

    `source`: the address that the client signals from; `extra`: header lines for the INVITE.
    """
    caller = caller or f"+32475{secrets.randbelow(10**6):06d}"
    senders = [RtpSender(("127.0.0.1", 9)) for _ in tones_hz]
    parties = [
        Party(f"sip:{caller}@pbx.example", "Jonas Peeters", "1"),
        Party(f"sip:{called}@pbx.example", "Emma Lambert", "2"),
        *(Party(f"sip:guest{n}@pbx.example", f"Guest {n}", str(n)) for n in range(3, len(tones_hz) + 1)),
    ]
    session = session_id or secrets.token_urlsafe(16)
    client = SipClient("127.0.0.1", port or machine.sip_port, transport, tls, source=source)
    await client.connect()
    try:
        answer = await client.ask(
            "INVITE",
            sdp=change_sdp(offer([s.port for s in senders])),
            rs_metadata=change_metadata(metadata(session, parties, group_id=group_id)),
            extra=extra,
        )
        assert answer.status == 200, answer.text
        for sender, target in zip(senders, answer.media_ports, strict=True):
            sender.target = ("127.0.0.1", target)
        yield RecordedSession(
            client, senders, parties, session, answer, group_id, tones_hz=tones_hz, extra={"caller": caller}
        )
    finally:
        await client.close()
        for sender in senders:
            sender.close()


def assert_own_tones(wav: bytes, seconds: float, *, tolerance_s: float = 0.02) -> None:
    """Each channel holds its own tone only, and the length is right within 20 ms."""
    rate, samples = read_wav(wav)
    assert samples.shape[1] == 2
    assert abs(len(samples) / rate - seconds) <= tolerance_s, f"{len(samples) / rate:.3f} s instead of {seconds:.3f} s"
    edge = int(rate * min(0.3, seconds / 4))
    middle = samples[edge:-edge]
    for channel, own in enumerate(TONES_HZ):
        other = TONES_HZ[1 - channel]
        own_level = tone_level(middle[:, channel], rate, own)
        assert own_level > 0.1, f"channel {channel}: {own} Hz at {own_level:.3f}"
        assert tone_level(middle[:, channel], rate, other) < own_level / 50, f"channel {channel} holds the other tone"


def silent_spans(wav: bytes, channel: int, *, shortest_s: float = 0.03) -> list[tuple[float, float]]:
    """Silences between loud parts of one channel: (start, length) in seconds."""
    rate, samples = read_wav(wav)
    spans = loud_spans(samples[:, channel], rate)
    gaps = [(a[1], b[0] - a[1]) for a, b in itertools.pairwise(spans)]
    return [(float(np.round(start, 3)), length) for start, length in gaps if length >= shortest_s]
