"""A flood of ten times what can be done (fault 19): bounded memory, calls in progress go on, 503 for the rest, quick recovery."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import psutil
from sip_app import App, sipp
from sipp_scenario import ack, bye, invite, pause, receive, request, write

from callward.sip.config import TimerSettings
from callward.sip.driver import DriverSettings
from callward.sip.events import AckReceived, Terminated
from callward.sip.message import Response, parse


async def test_19_a_flood_of_invites_disturbs_no_call_and_is_over_when_it_ends(tmp_path: Path) -> None:
    calls = 20
    # Short timers, so that what the flood left behind ends within the test.
    app = App(
        settings=DriverSettings(newcomer_queue=200, newcomer_wait_s=0.4),
        max_transactions=2000,
        max_dialogs=1500,
        timers=TimerSettings(t1_s=0.04, t2_s=0.2, t4_s=0.2),
    )
    address = await app.driver.listen_udp("127.0.0.1", 0)
    scenario = write(
        tmp_path,
        invite(),
        receive(100, optional=True),
        receive(200),
        ack(),
        pause(1200),
        request("OPTIONS", cseq=2),
        receive(200),
        pause(500),
        bye(3),
    )
    existing = asyncio.create_task(sipp(scenario, address, tmp_path, "-t", "u1", "-m", str(calls), "-r", "100"))
    await app.until(lambda: len(app.of(AckReceived)) == calls)
    acknowledged = app.of(AckReceived)
    ours = {event.dialog.id for event in acknowledged}
    before = psutil.Process().memory_info().rss
    flood = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("sip_flood.py")),
        address[0],
        str(address[1]),
        "2.0",
        stdout=asyncio.subprocess.PIPE,
    )
    most = 0
    while flood.returncode is None:
        most = max(most, app.endpoint.sizes["server_transactions"])
        try:
            await asyncio.wait_for(asyncio.shield(existing), 0.1)
            await flood.wait()
        except TimeoutError:
            pass
    sent = int((await flood.communicate())[0])
    await existing
    counters = app.endpoint.counters
    assert sent > 2000
    assert {e.dialog.id for e in app.of(Terminated) if e.dialog.id in ours and e.cause.value == "remote_bye"} == ours
    assert most <= 2500, "transactions are bounded, the reserve included"
    assert app.endpoint.sizes["dialogs"] <= 1500
    assert counters.get("overload_refused", 0) + counters.get("overload_shed", 0) > 100
    assert app.driver.sizes["waiting"] <= 512
    growth = psutil.Process().memory_info().rss - before
    assert growth < 120 * 1024 * 1024, f"grew by {growth / 1e6:.0f} MB"
    started = app.driver.now()
    await _until_a_new_call_is_answered(address)
    assert app.driver.now() - started < 10
    await app.until(lambda: app.endpoint.sizes["dialogs"] <= 1, 20)
    await app.driver.close()


async def _until_a_new_call_is_answered(address: tuple[str, int]) -> None:
    """503 with Retry-After until there is room again."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(address)
        host, port = sock.getsockname()
        for n in range(100):
            await loop.sock_sendall(
                sock,
                f"INVITE sip:rec@h SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bKn{n};rport\r\n"
                f"From: <sip:n@h>;tag=n{n}\r\nTo: <sip:rec@h>\r\nCall-ID: new{n}\r\nCSeq: 1 INVITE\r\n"
                f"Contact: <sip:n@{host}:{port}>\r\nContent-Length: 0\r\n\r\n".encode(),
            )
            try:
                async with asyncio.timeout(0.3):
                    answer = parse(await loop.sock_recv(sock, 65535))
                    while isinstance(answer, Response) and answer.status == 100:
                        answer = parse(await loop.sock_recv(sock, 65535))
            except TimeoutError:
                continue
            assert isinstance(answer, Response)
            if answer.status == 200:
                return
            assert answer.status == 503
            assert answer.retry_after is not None
            await asyncio.sleep(0.1)
    raise AssertionError("no call was answered after the flood")
