"""The demo recording client against SIPp as an independent recorder, and its packets at plain sockets."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.machine import free_port

from callward.demo import speech
from callward.demo.recording_client import DemoCallError, RecordingClient

SCENARIO = Path(__file__).parents[1] / "peers" / "sipp" / "answering_recorder.xml"


@pytest.fixture
def media() -> Iterator[list[socket.socket]]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
    yield sockets
    for one in sockets:
        one.close()


@pytest.mark.parametrize(("transport", "option"), [("TCP", "t1"), ("UDP", "u1")])
async def test_c01_c02_c03_sipp_takes_the_call_and_both_voices_arrive(
    tmp_path: Path, media: list[socket.socket], transport: str, option: str
) -> None:
    port = free_port()
    ports = [str(one.getsockname()[1]) for one in media]
    recorder = subprocess.Popen(
        [
            *("sipp", "-sf", str(SCENARIO), "-i", "127.0.0.1", "-p", str(port), "-t", option, "-m", "1", "-nostdin"),
            *("-key", "port1", ports[0], "-key", "port2", ports[1], "-timeout", "30", "-trace_err"),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        call = await place_when_it_listens(port, transport)
        assert await asyncio.to_thread(recorder.wait, 20) == 0, "SIPp's checks of the INVITE, or the BYE"
    finally:
        if recorder.poll() is None:
            recorder.kill()
            recorder.wait()
    assert call.packets == 100
    for one, name in zip(media, ("client", "adviser"), strict=True):
        payloads = []
        while True:
            try:
                payloads.append(one.recv(2048)[12:])
            except BlockingIOError:
                break
        assert payloads == speech.packets(name)[:50]


async def place_when_it_listens(port: int, transport: str) -> object:
    """SIPp says nothing when it is ready: over TCP a refused connection is tried again."""
    for _ in range(50):
        try:
            return await RecordingClient("127.0.0.1", port, transport).place(1.0)
        except DemoCallError as error:
            if "transport" not in str(error):
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("SIPp never listened")


async def test_nobody_there_is_said_in_one_sentence() -> None:
    with pytest.raises(DemoCallError, match=r"did not take the call|no answer"):
        await RecordingClient("127.0.0.1", free_port()).place(1.0)


def test_both_clips_have_the_same_length() -> None:
    assert len(speech.packets("client")) == len(speech.packets("adviser")) > 1000
