"""What enemies send to the SIP ports while a call is recorded (faults 17-20 of the guide): the call does not notice."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.machine import Browser, Machine
from tests.end_to_end.recording_session import assert_own_tones, recorded_session, silent_spans
from tests.end_to_end.test_recorded_calls import ready
from tests.peers.sip_client import SipClient
from tests.sip.torture_messages import INVALID, LIBERAL, VALID

pytestmark = pytest.mark.end_to_end

GROWTH_BYTES = 80 << 20
FLOOD = Path(__file__).parent.parent / "sip" / "sip_flood.py"
HEAD = (
    "INVITE sip:recorder@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{id}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag={id}\r\nTo: <sip:r@127.0.0.1>\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n"
    "Contact: <sip:x@127.0.0.1:9>;+sip.src\r\nRequire: siprec\r\n"
)


@asynccontextmanager
async def an_undisturbed_call(machine: Machine, browser: Browser, seconds: float) -> AsyncIterator[None]:
    """Records a call while the body runs; afterwards all of its audio must be there and the recorder the same process."""
    recorder = machine.child("recorder")
    before = recorder.memory_info().rss
    async with recorded_session(machine, transport="UDP") as session:
        talk = asyncio.create_task(session.speak(seconds))
        try:
            yield
        finally:
            await talk
        assert (await session.hang_up()).status == 200
    found = await asyncio.to_thread(ready, browser, session.extra["caller"])
    wav = browser.download(found)
    assert_own_tones(wav, seconds, tolerance_s=0.05)
    assert silent_spans(wav, 0) == silent_spans(wav, 1) == []
    assert recorder.is_running()
    assert machine.child("recorder").pid == recorder.pid
    assert psutil.Process(recorder.pid).memory_info().rss - before < GROWTH_BYTES


async def _throw(machine: Machine, messages: list[bytes]) -> None:
    """Each message over UDP and over a TCP connection of its own, which is left when the recorder has had its say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for message in messages:
            if len(message) < 65_000:
                datagrams.sendto(message, ("127.0.0.1", machine.sip_port))
    gate = asyncio.Semaphore(16)

    async def connect(message: bytes) -> None:
        async with gate:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", machine.sip_port)
                writer.write(message)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            except ConnectionError:
                pass

    await asyncio.gather(*(connect(message) for message in messages))


def _oversized() -> list[bytes]:
    def head(transport: str = "TCP") -> str:
        return HEAD.format(transport=transport, id=secrets.token_hex(8))

    parts = "".join(f"--b\r\nContent-Type: text/plain\r\n\r\n{n}\r\n" for n in range(5000)) + "--b--\r\n"
    return [
        (head() + "".join(f"X-{n}: {n}\r\n" for n in range(10_000)) + "Content-Length: 0\r\n\r\n").encode(),
        (head() + f"X-Long: {'x' * (1 << 20)}\r\nContent-Length: 0\r\n\r\n").encode(),
        (head() + "Via: SIP/2.0/TCP a;branch=z9hG4bKx\r\n" * 5000 + "Content-Length: 0\r\n\r\n").encode(),
        (head("UDP") + f"X-Long: {'x' * 60_000}\r\nContent-Length: 0\r\n\r\n").encode(),
        (head() + "Content-Type: application/sdp\r\nContent-Length: 99999999999\r\n\r\nv=0\r\n").encode(),
        (head() + "Content-Type: application/sdp\r\nContent-Length: -1\r\n\r\nv=0\r\n").encode(),
        (head() + "Content-Type: application/sdp\r\nContent-Length: 2\r\n\r\nv=0\r\n" + head()).encode(),
        (head() + f"Content-Type: multipart/mixed;boundary=b\r\nContent-Length: {len(parts)}\r\n\r\n{parts}").encode(),
        (
            head()
            + "Content-Type: application/sdp\r\nContent-Length: 400000\r\n\r\n"
            + "m=audio 1 RTP/AVP 8\r\n" * 20_000
        ).encode(),
        b"\x00" * 50_000,
        secrets.token_bytes(50_000),
        b"\r\n" * 30_000,
    ]


async def test_faults_17_and_18_torture_messages_and_oversized_ones_disturb_no_call(
    machine: Machine, browser: Browser
) -> None:
    torture = [*VALID.values(), *LIBERAL.values(), *(message for message, _ in INVALID.values())]
    cut = [message[: len(message) * part // 4] for message in torture for part in (1, 2, 3)]
    before = len(machine.log.read_text())
    async with an_undisturbed_call(machine, browser, 3.0):
        await _throw(machine, [*torture, *cut, *_oversized()])
    told = machine.log.read_text()[before:]
    assert "Traceback" not in told
    assert '"exception"' not in told


async def test_fault_18_the_caps_are_told_before_the_message_is_read(machine: Machine) -> None:
    for kind in ("headers", "length"):
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.sip_port)
        text = HEAD.format(transport="TCP", id=secrets.token_hex(8))
        text += (
            "".join(f"X-{n}: {n}\r\n" for n in range(10_000)) if kind == "headers" else f"X-L: {'x' * (1 << 20)}\r\n"
        )
        try:
            writer.write(text.encode() + b"Content-Length: 0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            pass
        async with asyncio.timeout(10):
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
        statuses = {line.split(b" ")[1] for line in answer.split(b"\r\n") if line.startswith(b"SIP/2.0 ")}
        assert statuses <= {b"400", b"413", b"513"}, f"{kind}: {answer[:200]!r}"
        writer.close()


async def test_fault_19_a_flood_disturbs_no_call_and_is_over_when_it_ends(machine: Machine, browser: Browser) -> None:
    async with an_undisturbed_call(machine, browser, 3.0):
        flood = await asyncio.create_subprocess_exec(
            sys.executable, str(FLOOD), "127.0.0.1", str(machine.sip_port), "2", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await flood.communicate()
        assert int(output) > 2000, "that was no flood"
        async with asyncio.timeout(5):
            while await _options_status(machine) != 200:
                pass


async def _options_status(machine: Machine) -> int:
    """What OPTIONS gets within a second; 0 without an answer."""
    client = SipClient("127.0.0.1", machine.sip_port, "TCP")
    await client.connect()
    try:
        async with asyncio.timeout(1):
            return (await client.options()).status
    except TimeoutError:
        return 0
    finally:
        await client.close()


async def test_fault_20_slow_and_half_open_connections_disturb_no_call(machine: Machine, browser: Browser) -> None:
    async with an_undisturbed_call(machine, browser, 3.0):
        held = []
        for number in range(80):
            try:
                async with asyncio.timeout(2):
                    _, writer = await asyncio.open_connection("127.0.0.1", machine.sip_port)
            except (OSError, TimeoutError):
                break
            writer.write(b"INVITE sip:r@h SIP/2.0\r\nVia: "[: 1 + number % 30])
            held.append(writer)
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", machine.sip_port, local_addr=("127.0.0.2", 0))
            text = HEAD.format(transport="TCP", id=secrets.token_hex(8))
            body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
            text += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            writer.write(text.encode())
            await writer.drain()
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        client = SipClient("127.0.0.1", machine.sip_port, "TCP", source="127.0.0.3")
        await client.connect()
        assert (await client.options()).status == 200, "others still get in by TCP"
        await client.close()
    for writer in held:
        writer.close()
