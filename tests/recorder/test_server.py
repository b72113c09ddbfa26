"""The recorder and the real media process, with SIPp as recording client and senders of plain RTP. Our SIP stack is on one side only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from callward.journal import Cursor, JournalReader
from callward.provisioning.snapshot import Peer, Snapshot, host_key, write_snapshot
from callward.records.events import RecordingEnded, RecordingStarted, RecordingUpdated, SystemEvent
from tests.peers.sip_client import Party, SipClient, metadata, offer
from tests.recorder.recorder_process import Pair, free_port

ALICE = Party("sip:alice@example.com", "Alice", "1")
BOB = Party("sip:bob@example.com", "Bob", "2")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """One pair of processes for the tests that leave it as it was."""
    running = Pair(tmp_path_factory.mktemp("pair"), 30_000)
    try:
        yield await running.started()
    finally:
        running.stop()


@contextlib.asynccontextmanager
async def own_pair(folder: Path, rtp_from: int, **environment: str) -> AsyncIterator[Pair]:
    running = Pair(folder, rtp_from, environment)
    try:
        yield await running.started()
    finally:
        running.stop()


class Talker:
    """A recording client with two streams that sends a numbered packet to each every 20 ms."""

    def __init__(self, pair: Pair, transport: str = "UDP", *, call: str = "talk") -> None:
        self.sip = SipClient("127.0.0.1", pair.sip_port, transport)
        self.call = call
        self.sent = [0, 0]
        self._ports: list[int] = []
        self._sockets: list[asyncio.DatagramTransport] = []
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        await self.sip.connect()
        loop = asyncio.get_running_loop()
        for _ in range(2):
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
            self._sockets.append(transport)
        await self.negotiate("INVITE", rs_metadata=metadata(self.call, [ALICE, BOB]))
        self._task = asyncio.create_task(self._talk())

    async def negotiate(self, method: str, *, direction: str = "sendonly", rs_metadata: str = "") -> None:
        ports = [sending.get_extra_info("sockname")[1] for sending in self._sockets]
        answer = await self.sip.ask(method, sdp=offer(ports, direction=direction), rs_metadata=rs_metadata)
        assert answer.status == 200, answer.text
        self._ports = answer.media_ports

    async def _talk(self) -> None:
        number = 0
        while True:
            for stream, sending in enumerate(self._sockets):
                header = bytes([0x80, 8]) + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big")
                sending.sendto(
                    header + bytes([0, 0, 0, stream + 1]) + bytes([stream + 1]) * 160,
                    ("127.0.0.1", self._ports[stream]),
                )
                self.sent[stream] += 1
            number += 1
            await asyncio.sleep(0.02)

    def silence(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def talk(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def end(self) -> None:
        self.silence()
        answer = await self.sip.ask("BYE")
        assert answer.status == 200

    async def close(self) -> None:
        self.silence()
        for sending in self._sockets:
            sending.close()
        await self.sip.close()


@contextlib.asynccontextmanager
async def talking(pair: Pair, transport: str = "UDP", *, call: str) -> AsyncIterator[Talker]:
    talker = Talker(pair, transport, call=call)
    try:
        await talker.begin()
        yield talker
    finally:
        await talker.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_sipp_scenarios_are_recorded_as_they_tell(pair: Pair) -> None:
    """Basic over UDP and TCP, hold, pause, transfer, conference, persistent, 9 kB in fragments; side by side."""
    names = ("hold", "pause", "transfer", "conference", "fragments")
    await asyncio.gather(
        pair.sipp("basic", call="udp"),
        pair.sipp("basic", call="tcp", transport="t1"),
        pair.sipp("persistent"),
        *[pair.sipp(name) for name in names],
    )
    results: dict[str, RecordingEnded] = {}
    for name in ("udp", "tcp", *names):
        [results[name]] = await pair.ended(of=f"{name}-")

    for name in ("udp", "tcp"):
        recording = results[name]
        assert recording.why == "bye"
        assert [track.label for track in recording.tracks] == ["1", "2"]
        assert {party.name for party in recording.calls[0].parties} == {"alice", "bob"}
        track = pair.extract(recording.tracks[0].track)
        assert track.header["complete"]
        assert len(track.packets) > 50
        assert {packet.payload_type for packet in track.packets} == {8}

    assert [mark.kind for mark in results["hold"].marks if mark.kind in ("pause", "resume")] == ["pause", "resume"]
    assert {"hold", "unhold"} <= {mark.kind for mark in results["hold"].marks}
    assert [mark.kind for mark in results["pause"].marks] == ["pause", "resume"]
    paused = pair.extract(results["pause"].tracks[0].track)
    pause, resume = results["pause"].marks
    during = [
        packet
        for packet in paused.packets
        if pause.at.timestamp() + 0.1 < packet.arrival_ns / 1e9 < resume.at.timestamp() - 0.1
    ]
    assert during == []
    assert paused.header["stats"]["while_paused"] > 0
    assert [mark.kind for mark in results["transfer"].marks] == ["transfer"]
    assert {party.name for party in results["transfer"].calls[0].parties} == {"alice", "bob", "carol"}
    assert [track.label for track in results["conference"].tracks] == ["1", "2", "3"]
    assert len(results["fragments"].metadata[0].body_base64) > 10_000

    calls = [
        event
        for event in pair.events()
        if isinstance(event, RecordingEnded) and {party.name for c in event.calls for party in c.parties} & {"dave"}
    ]
    assert [event.why for event in calls] == ["bye"]
    whole = [event for event in pair.events() if isinstance(event, RecordingEnded) and event.why == "call_ended"]
    assert len(whole) == 1
    assert pair.extract(whole[0].tracks[0].track).packets


async def test_each_packet_is_stored_once_and_whole(pair: Pair) -> None:
    async with talking(pair, "TCP", call="whole") as talker:
        await talker.talk(1.0)
        talker.silence()
        await talker.talk(0.1)
        sent = list(talker.sent)
        await talker.end()
    [ended] = await pair.ended(of="whole")
    for stream, reference in enumerate(ended.tracks):
        track = pair.extract(reference.track)
        assert [packet.sequence for packet in track.packets] == list(range(sent[stream]))
        assert {packet.payload for packet in track.packets} == {bytes([stream + 1]) * 160}


async def test_s40_strangers_and_calls_that_are_no_recording_are_refused(pair: Pair) -> None:
    client = SipClient("127.0.0.1", pair.sip_port, "UDP")
    await client.connect()
    try:
        answer = await client.ask("INVITE", sdp=offer([40000]), extra=["Require: no-such-thing"])
        assert answer.status == 420
        assert answer.header("Unsupported") == "no-such-thing"
        offerless = SipClient("127.0.0.1", pair.sip_port, "UDP")
        await offerless.connect()
        assert (await offerless.ask("INVITE")).status == 488
        await offerless.close()
    finally:
        await client.close()


async def test_s33_a_cancel_before_the_answer_leaves_no_call(pair: Pair) -> None:
    client = SipClient("127.0.0.1", pair.sip_port, "UDP")
    await client.connect()
    try:
        before = len(pair.events())
        os.kill(pair.processes["media"].pid, signal.SIGSTOP)  # no ports, hence no answer yet
        client._send(client.request("INVITE", sdp=offer([40000, 40002]), branch="cancelled"))
        async with asyncio.timeout(5):
            assert "100" in (await client._inbox.get()).split("\r\n")[0]  # RFC 3261 9.1: no CANCEL before a 1xx
            client._send(client.request("CANCEL", cseq=1, branch="cancelled"))
            statuses = []
            while not statuses or statuses[-1] != "487":
                statuses.append((await client._inbox.get()).split(" ", 2)[1])
        assert "200" in statuses  # of the CANCEL
        os.kill(pair.processes["media"].pid, signal.SIGCONT)
        client._send(client.request("ACK", cseq=1, branch="cancelled"))
        await asyncio.sleep(0.3)
        assert [e for e in pair.events()[before:] if isinstance(e, RecordingStarted | RecordingEnded)] == []
    finally:
        os.kill(pair.processes["media"].pid, signal.SIGCONT)
        await client.close()


async def test_s33_an_offerless_re_invite_is_answered_with_our_streams(pair: Pair) -> None:
    async with talking(pair, call="offerless") as talker:
        answer = await talker.sip.ask("INVITE")
        assert answer.status == 200
        assert len(answer.media_ports) == 2
        assert answer.directions == ["recvonly", "recvonly"]
        await talker.end()
    await pair.ended(of="offerless")


async def test_odd_metadata_costs_no_audio(pair: Pair) -> None:
    client = SipClient("127.0.0.1", pair.sip_port, "TCP")
    await client.connect()
    try:
        broken = "<!DOCTYPE x [<!ENTITY a 'b'>]><recording>&a;"
        answer = await client.ask("INVITE", sdp=offer([free_port(), free_port()]), rs_metadata=broken)
        assert answer.status == 200
        assert "+sip.srs" in (answer.header("Contact") or "")
        assert (await client.ask("BYE")).status == 200
    finally:
        await client.close()
    for _ in range(100):
        found = [
            e
            for e in pair.events()
            if isinstance(e, RecordingEnded) and not e.calls[0].session_ids.get("communication_session")
        ]
        if found:
            break
        await asyncio.sleep(0.05)
    assert "odd_metadata" in {problem.code for problem in found[-1].problems}
    assert found[-1].metadata[0].body_base64


async def test_s41_metadata_that_policy_drops_is_nowhere_in_the_journal(tmp_path: Path) -> None:
    names = {"CALLWARD_RECORDER__METADATA_DROP": "nameID/name", "CALLWARD_RECORDER__METADATA_MASK": "nameID/@aor"}
    secret = Party("sip:hidden-address@example.com", "Hidden Name", "1")
    async with own_pair(tmp_path, 28_400, **names) as pair:
        client = SipClient("127.0.0.1", pair.sip_port, "TCP")
        await client.connect()
        document = metadata("dropped", [secret, BOB])
        try:
            answer = await client.ask("INVITE", sdp=offer([free_port(), free_port()]), rs_metadata=document)
            assert answer.status == 200
            assert (await client.ask("UPDATE", rs_metadata=document)).status == 200
            assert (await client.ask("BYE", rs_metadata=document)).status == 200
        finally:
            await client.close()
        [ended] = await pair.ended(of="dropped")
        assert {(party.name, party.aor) for party in ended.calls[0].parties} == {("", "***")}
        journaled = b"".join(record.payload for record in JournalReader(pair.journal, kinds=(0, 1)).read(1_000_000))
        plain = journaled + b"".join(
            base64.b64decode(found) for found in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", journaled)
        )
        assert b"dropped" in plain
        for text in (b"hidden-address", b"Hidden Name"):
            assert text not in plain


def _bound(taken: socket.socket, port: int) -> bool:
    with contextlib.suppress(OSError):
        taken.bind(("127.0.0.1", port))
        return True
    return False


async def test_a_lost_port_is_told_to_the_client_as_another_one(tmp_path: Path) -> None:
    """While the media process was dead somebody else took the port: a re-INVITE of ours names a new one."""
    async with own_pair(tmp_path, 32_000) as pair, talking(pair, call="moved") as talker:
        await talker.talk(0.3)
        pair.kill("media")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            async with asyncio.timeout(5):
                # io_uring gives a dead process's sockets back a little later
                while not _bound(taken, talker._ports[0]):
                    await asyncio.sleep(0.01)
            pair.start("media")
            async with asyncio.timeout(10):
                while not any(text.startswith("INVITE") for text in talker.sip.requests):
                    await asyncio.sleep(0.05)
        [offered] = [text for text in talker.sip.requests if text.startswith("INVITE")]
        ports = [int(port) for port in re.findall(r"(?m)^m=audio (\d+) ", offered)]
        assert ports[0] not in (0, talker._ports[0])
        assert ports[1] == talker._ports[1]
        talker._ports = ports
        await pair.until_able()
        await talker.talk(0.5)
        await talker.end()
        [ended] = await pair.ended(of="moved")
        assert "track_lost" in {problem.code for problem in ended.problems}
        assert len(ended.tracks) == 3
        assert pair.extract(ended.tracks[2].track).packets


async def test_s33_a_late_offer_is_answered_in_the_ack_or_the_session_ends(tmp_path: Path) -> None:
    """CUCM's built-in bridge: INVITE without offer, ours in the 200, the client's answer in its ACK."""
    peer = Peer(id="cucm", name="cucm", addresses=("127.0.0.0/8",), dialect="cisco-network")
    async with own_pair(tmp_path, 28_800) as pair:
        keys, folder = pair.folder / "var" / "keys", pair.folder / "var" / "snapshot"
        write_snapshot(folder, Snapshot(number=1, peers=(peer,)), host_key(keys))
        await asyncio.sleep(1.5)  # the recorder looks once a second
        client = SipClient("127.0.0.1", pair.sip_port, "TCP")
        silent = SipClient("127.0.0.1", pair.sip_port, "TCP")
        loop = asyncio.get_running_loop()
        sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        stranger, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.2", 0))
        await client.connect()
        await silent.connect()
        try:
            port = sender.get_extra_info("sockname")[1]
            answer = await client.ask("INVITE", answer_sdp=offer([port]))
            assert answer.status == 200
            assert answer.directions == ["recvonly"]
            assert {"PCMU/8000", "PCMA/8000", "G722/8000", "opus/48000/2", "telephone-event/8000"} <= set(
                re.findall(r"(?m)^a=rtpmap:\d+ (\S+)", answer.body)
            )
            await asyncio.sleep(0.2)  # the ACK is taken in
            for number in range(30):
                packet = bytes([0x80, 8]) + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big") + bytes(164)
                sender.sendto(packet, ("127.0.0.1", answer.media_ports[0]))
                stranger.sendto(packet[:2] + bytes(6) + bytes([9] * 164), ("127.0.0.1", answer.media_ports[0]))
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            assert (await client.ask("BYE")).status == 200
            assert (await silent.ask("INVITE")).status == 200
            async with asyncio.timeout(5):
                while not any(text.startswith("BYE") for text in silent.requests):
                    await asyncio.sleep(0.05)
        finally:
            sender.close()
            stranger.close()
            await client.close()
            await silent.close()
        [ended] = [event for event in await pair.ended() if event.why == "bye"]
        track = pair.extract(ended.tracks[0].track)
        assert len(track.packets) == 30
        assert track.header["stats"]["stranger"] == 30


async def test_tls_is_spoken_with_a_certificate_made_for_loopback(pair: Pair) -> None:
    context = ssl.create_default_context(cafile=str(pair.folder / "var" / "keys" / "recorder-tls.pem"))
    client = SipClient("127.0.0.1", pair.tls_port, "TLS", context)
    await client.connect()
    try:
        assert (await client.options()).status == 200
    finally:
        await client.close()


async def test_updates_of_a_recording_are_throttled(pair: Pair) -> None:
    async with talking(pair, call="busy") as talker:
        for number in range(12):
            party = Party(f"sip:p{number}@example.com", f"P{number}", "2")
            answer = await talker.sip.ask("UPDATE", rs_metadata=metadata("busy", [ALICE, party]))
            assert answer.status == 200
        await talker.end()
    [ended] = await pair.ended(of="busy")
    updates = [e for e in pair.events() if isinstance(e, RecordingUpdated) and e.recording == ended.recording]
    assert len(updates) <= 4
    assert len(ended.metadata) == 13


async def test_fault_3_after_kill_9_the_recorder_takes_up_its_sessions(tmp_path: Path) -> None:
    async with (
        own_pair(tmp_path, 30_400) as pair,
        talking(pair, call="kept") as talker,
        talking(pair, call="lost") as gone,
    ):
        await talker.talk(0.4)
        pair.kill("recorder")
        await talker.talk(0.3)
        gone.silence()
        pair.start("recorder")
        await pair.until_able()
        await talker.negotiate("INVITE", direction="inactive")
        await talker.negotiate("INVITE")
        await talker.talk(0.3)
        await talker.end()
        [ended] = await pair.ended(of="kept")
        assert ended.why == "bye"
        assert [mark.kind for mark in ended.marks] == ["pause", "resume"]
        assert {party.name for party in ended.calls[0].parties} == {"Alice", "Bob"}
        started = [e for e in pair.events() if isinstance(e, RecordingStarted) and e.recording == ended.recording]
        assert len(started) == 1
        track = pair.extract(ended.tracks[0].track)
        # The media process never stopped: nothing is missing but what came while paused.
        assert len(track.packets) + track.header["stats"]["while_paused"] == talker.sent[0]
        assert any(isinstance(e, SystemEvent) and e.code == "recorder_restarted" for e in pair.events())
        await gone.end()
        await pair.ended(2)


async def test_fault_1_after_kill_9_of_the_media_process_recordings_go_on_with_a_gap(tmp_path: Path) -> None:
    async with own_pair(tmp_path, 30_800) as pair, talking(pair, call="gap") as talker:
        await talker.talk(0.5)
        pair.kill("media")
        assert await pair.options() == 503 or await pair.options() == 503
        refused = SipClient("127.0.0.1", pair.sip_port, "UDP")
        await refused.connect()
        answer = await refused.ask("INVITE", sdp=offer([40000, 40002]))
        assert answer.status == 503
        assert int(answer.header("Retry-After") or "0") > 0
        await refused.close()
        pair.start("media")
        await pair.until_able()
        await talker.talk(0.5)
        await talker.end()
        [ended] = await pair.ended(of="gap")
        assert "restart" in {mark.kind for mark in ended.marks}
        packets = [packet for reference in ended.tracks for packet in pair.extract(reference.track).packets]
        assert packets
        assert any(isinstance(e, SystemEvent) and e.code == "media_restarted" for e in pair.events())


async def test_s23_a_pause_while_the_media_process_is_dead_is_answered_when_it_is_done(tmp_path: Path) -> None:
    async with own_pair(tmp_path, 30_800) as pair, talking(pair, call="pause") as talker:
        await talker.talk(0.2)
        pair.kill("media")
        pausing = asyncio.create_task(talker.negotiate("INVITE", direction="inactive"))
        await talker.talk(0.2)
        assert not pausing.done()
        pair.start("media")
        await asyncio.wait_for(pausing, 10)
        before = list(talker.sent)
        await talker.talk(0.3)
        await pair.until_able()
        await talker.end()
        [ended] = await pair.ended(of="pause")
        assert "pause" in {mark.kind for mark in ended.marks}
        stored = [len(pair.extract(reference.track).packets) for reference in ended.tracks]
        assert all(count <= sent for count, sent in zip(stored, before, strict=True))


async def test_a_bye_while_the_media_process_is_dead_is_told_of_when_it_is_back(tmp_path: Path) -> None:
    async with own_pair(tmp_path, 31_200) as pair, talking(pair, call="waits") as talker:
        await talker.talk(0.3)
        pair.kill("media")
        await talker.end()
        assert not any(isinstance(event, RecordingEnded) for event in pair.events())
        await talker.talk(0.2)  # the end of the session stands in the journal; its tracks cannot be closed
        pair.kill("recorder")
        pair.start("recorder")
        pair.start("media")
        await pair.until_able()
        [ended] = await pair.ended(of="waits")
        assert ended.why == "bye"
        assert pair.extract(ended.tracks[0].track).packets


async def test_a_start_reads_from_the_checkpoint_of_a_clean_stop(tmp_path: Path) -> None:
    async with own_pair(tmp_path, 31_600) as pair, talking(pair, call="stop") as talker:
        await pair.sipp("setup", "-r", "50", call="many", count=20)
        await pair.ended(20, of="many")
        pair.processes["recorder"].terminate()
        pair.processes["recorder"].wait(10)
        cursor = Cursor(pair.journal, "recorder").load()
        assert cursor is not None
        reader = JournalReader(pair.journal, cursor.offset, kinds=(0, 1))
        assert len(reader.read()) <= 4
        pair.start("recorder")
        await pair.until_able()
        await talker.end()
        [ended] = await pair.ended(of="stop")
        assert ended.why == "bye"
