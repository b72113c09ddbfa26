"""A small recording client: one SIPREC call with two voices to a recorder, real SIP and real RTP."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from callward.demo import speech
from callward.sip import sdp
from callward.sip.config import EndpointConfig
from callward.sip.driver import Driver
from callward.sip.endpoint import Endpoint
from callward.sip.events import Answered, Event, Failed, Terminated
from callward.sip.flow import Admission, Destination, Flow, Verdict
from callward.sip.message import Request
from callward.siprec import client
from callward.siprec.identifiers import base64_uuid

ANSWER_TIMEOUT_S = 15.0
BYE_GRACE_S = 2.0
"""The connection stays open for so long, until the BYE is answered."""
RTP_PAYLOAD_TYPE_PCMA = 8


class DemoCallError(Exception):
    """The demo call could not be placed; the sentence says what the recorder answered."""


@dataclass(frozen=True, slots=True)
class DemoParty:
    """One of the two who speak."""

    clip: str
    number: str
    name: str


CALLER = DemoParty("client", "+32475123456", "Jonas Peeters")
CALLED = DemoParty("adviser", "+3222022221", "Emma Lambert (Ardenne Bank)")


@dataclass(frozen=True, slots=True)
class DemoCall:
    """What was done: the SIP Call-ID of the recording session, and how much audio was sent."""

    call_id: str
    session_id: str
    packets: int
    seconds: float


class RecordingClient:
    """Places recorded calls to one recorder over TCP or UDP."""

    def __init__(self, host: str, port: int, transport: str = "TCP") -> None:
        self._destination = Destination(transport, host, port)
        self._host = host
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def place(self, seconds: float | None, on_progress: Callable[[float], None] = lambda _: None) -> DemoCall:
        """Place one call and speak; `seconds` cuts the conversation short, None plays it to its end.

        `on_progress` gets the share that was spoken, 0 to 1.

        Raises:
            DemoCallError: refused, no answer, or cut by the recorder.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        endpoint = Endpoint(
            EndpointConfig(contact_user="demo", contact_parameters=("+sip.src",), server_name="Callward demo"),
            secrets.token_bytes,
            _admit_recorder,
        )
        driver = Driver(endpoint, self._events.put_nowait)
        media = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
        try:
            local = _local_address(self._host, family)
            for one in media:
                one.bind((local, 0))
                one.setblocking(False)
            if self._destination.transport == "UDP":
                await driver.listen_udp(local, 0)
            call = _describe_call([one.getsockname()[1] for one in media])
            return await self._converse(endpoint, driver, media, local, call, seconds, on_progress)
        finally:
            await driver.close(grace_s=BYE_GRACE_S)
            for one in media:
                one.close()

    async def _converse(
        self,
        endpoint: Endpoint,
        driver: Driver,
        media: list[socket.socket],
        local: str,
        call: client.RecordedCall,
        seconds: float | None,
        on_progress: Callable[[float], None],
    ) -> DemoCall:
        offer = client.offer_sdp([call], address=local, session_id=secrets.randbits(32), version=1)
        body = client.offer_body(offer, client.complete_metadata([call]), boundary=f"callward-{secrets.token_hex(12)}")
        exchange = endpoint.invite(
            f"sip:recorder@{_bracketed(self._host)}:{self._destination.port}",
            self._destination,
            driver.now(),
            from_=f"<sip:demo@{_bracketed(local)}>",
            headers=client.CLIENT_HEADERS,
            body=body.data,
            content_type=body.content_type,
        )
        driver.flush()
        answered = await self._wait_for_answer()
        targets = _media_targets(answered.response.body)
        sent = 0
        ended = asyncio.create_task(self._wait_for_end())
        clips = [speech.packets(CALLER.clip), speech.packets(CALLED.clip)]
        total = len(clips[0]) if seconds is None else min(len(clips[0]), int(seconds * 1000 / speech.PACKET_MS))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        sequences = [secrets.randbelow(1 << 15) for _ in media]
        sources = [secrets.randbits(32) for _ in media]
        first_timestamps = [secrets.randbits(31) for _ in media]
        for number in range(total):
            for stream, one in enumerate(media):
                header = _rtp_header(
                    sequences[stream] + number,
                    first_timestamps[stream] + number * speech.PACKET_BYTES,
                    sources[stream],
                    marker=number == 0,
                )
                one.sendto(header + clips[stream][number], targets[stream])
                sent += 1
            on_progress((number + 1) / total)
            due = begun + (number + 1) * speech.PACKET_MS / 1000
            if ended.done():
                raise DemoCallError("the recorder ended the session during the call")
            await asyncio.sleep(max(0.0, due - loop.time()))
        endpoint.bye(answered.dialog, driver.now())
        driver.flush()
        await ended
        return DemoCall(exchange.call_id, call.session_id, sent, total * speech.PACKET_MS / 1000)

    async def _wait_for_answer(self) -> Answered:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while True:
                    event = await self._events.get()
                    if isinstance(event, Answered):
                        return event
                    if isinstance(event, Failed):
                        found = (
                            f"{event.response.status} {event.response.reason}" if event.response else event.cause.value
                        )
                        raise DemoCallError(f"the recorder did not take the call: {found}")
        except TimeoutError:
            raise DemoCallError(f"no answer from {self._host} port {self._destination.port}: is it running?") from None

    async def _wait_for_end(self) -> None:
        while not isinstance(await self._events.get(), Terminated):
            pass


def _admit_recorder(_: Flow, __: Request | None) -> Admission:
    return Admission(Verdict.ACCEPT)


def _describe_call(ports: list[int]) -> client.RecordedCall:
    now = datetime.now(UTC)
    streams = [
        client.RecordedStream(base64_uuid(secrets.token_bytes(16)), str(label), port)
        for label, port in zip((1, 2), ports, strict=True)
    ]
    parties = [
        client.RecordedParty(
            base64_uuid(secrets.token_bytes(16)),
            f"sip:{party.number}@demo.callward.example",
            party.name,
            joined_at=now,
            sends=(streams[place].stream_id,),
            receives=(streams[1 - place].stream_id,),
        )
        for place, party in enumerate((CALLER, CALLED))
    ]
    return client.RecordedCall(
        session_id=base64_uuid(secrets.token_bytes(16)), started_at=now, parties=tuple(parties), streams=tuple(streams)
    )


def _media_targets(answer: bytes) -> list[tuple[str, int]]:
    """Where the recorder wants the two streams.

    Raises:
        DemoCallError: its answer is no SDP, or takes fewer than two streams.
    """
    found = sdp.parse(answer)
    if isinstance(found, sdp.SdpFailure):
        raise DemoCallError("the recorder's answer is no SDP")
    targets = []
    for media in found.media:
        connection = found.connection_of(media)
        if media.port and connection is not None:
            targets.append((connection.address, media.port))
    if len(targets) < 2:
        raise DemoCallError("the recorder took fewer than two streams")
    return targets[:2]


def _rtp_header(sequence: int, timestamp: int, ssrc: int, *, marker: bool) -> bytes:
    """RFC 3550 section 5.1, version 2, no padding, extension or CSRC."""
    return b"".join(
        (
            bytes((0x80, (0x80 if marker else 0) | RTP_PAYLOAD_TYPE_PCMA)),
            (sequence & 0xFFFF).to_bytes(2, "big"),
            (timestamp & 0xFFFFFFFF).to_bytes(4, "big"),
            ssrc.to_bytes(4, "big"),
        )
    )


def _local_address(host: str, family: socket.AddressFamily) -> str:
    """The address of this machine that faces the recorder (nothing is sent: connect only chooses the route)."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError as error:
            raise DemoCallError(f"{host}: {error.strerror}") from None
        return str(probe.getsockname()[0])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
