"""`log.level = "debug"`: the first line of each SIP message, and nothing that could forge a log line."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Iterator

import pytest
import structlog

from callward.sip.config import EndpointConfig
from callward.sip.driver import Driver
from callward.sip.endpoint import Endpoint
from callward.sip.flow import Admission, Verdict


@pytest.fixture
def debug_level() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(before)


async def test_each_message_s_first_line_is_told_at_debug(debug_level: None) -> None:
    endpoint = Endpoint(EndpointConfig(), secrets.token_bytes, lambda *_: Admission(Verdict.REFUSE))
    with structlog.testing.capture_logs() as lines:
        driver = Driver(endpoint, lambda _: None)
        try:
            address = await driver.listen_udp("127.0.0.1", 0)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind(("127.0.0.1", 0))
                client.setblocking(False)
                port = client.getsockname()[1]
                request = (
                    f"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKx\r\n"
                    "From: <sip:b@x>;tag=1\r\nTo: <sip:a@x>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\n\r\n"
                )
                client.sendto(request.encode(), address)
                async with asyncio.timeout(5):
                    await asyncio.get_running_loop().sock_recv(client, 4096)
        finally:
            await driver.close()
    told = [(line["event"], line["first_line"]) for line in lines if "first_line" in line]
    assert told == [("sip_received", "OPTIONS sip:a@127.0.0.1 SIP/2.0"), ("sip_sent", "SIP/2.0 403 Forbidden")]
