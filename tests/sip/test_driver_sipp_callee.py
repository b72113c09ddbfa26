"""Our client side against SIPp as the callee, over real UDP and TCP sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio
from sip_app import SDP, App, sipp
from sipp_scenario import answer, pause, receive, receive_request, sdp, write

from callward.sip.events import Answered, Cause, Failed, ProvisionalReceived, ReinviteReceived, Terminated
from callward.sip.exchange import OutgoingRequest
from callward.sip.flow import Destination

Call = Callable[..., OutgoingRequest]
REMEMBER = "".join(
    f'<ereg regexp=".*" search_in="hdr" header="{name}:" assign_to="checked{n}"/>'
    for n, name in enumerate(("Via", "From", "To"))
)
"""SIPp's "last" lines are those of the last message; a later answer to the INVITE needs the INVITE's."""
TAG = "[last_To:];tag=callee"


def first(status: str, *headers: str, body: str = "") -> str:
    """An answer to the INVITE that makes the dialog: with SIPp's To tag."""
    return answer(status, *headers, body=body).replace("[last_To:]", TAG)


@pytest_asyncio.fixture(params=["UDP", "TCP"])
async def caller(
    request: Any, unused_tcp_port_factory: Any, tmp_path: Path
) -> AsyncIterator[tuple[App, Call, Callable[..., Any]]]:
    """The app, a function that calls SIPp, and one that starts SIPp with a scenario."""
    app = App()
    await app.driver.listen_udp("127.0.0.1", 0)
    await app.driver.listen_tcp("127.0.0.1", 0)
    port = unused_tcp_port_factory()
    mode = {"UDP": "u1", "TCP": "t1"}[request.param]

    def call(**more: Any) -> OutgoingRequest:
        more.setdefault("body", SDP)
        exchange = app.endpoint.invite(
            f"sip:callee@127.0.0.1:{port}",
            Destination(request.param, "127.0.0.1", port),
            app.driver.now(),
            from_="<sip:us@127.0.0.1>",
            **more,
        )
        app.driver.flush()
        return exchange

    async def start(*steps: str) -> asyncio.Task[None]:
        scenario = write(tmp_path, *steps)
        task = asyncio.create_task(sipp(scenario, ("127.0.0.1", 9), tmp_path, "-t", mode, "-p", str(port)))
        async with asyncio.timeout(5):
            while not await _listens(port, request.param):
                await asyncio.sleep(0.02)
        return task

    yield app, call, start
    await app.driver.close()


async def _listens(port: int, transport: str) -> bool:
    """Looked up in the kernel's table, because a probe would be a call to SIPp."""
    table = Path("/proc/net/" + transport.lower()).read_text()
    return f":{port:04X} " in table


async def test_call_reinvite_of_both_sides_and_hang_up(caller: Any) -> None:
    app, call, start = caller
    task = await start(
        receive_request("INVITE"),
        first("100 Trying"),
        first("180 Ringing"),
        first("200 OK", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE", body=sdp("recvonly")),
        receive_request("ACK"),
        receive_request("INVITE"),
        answer("200 OK", body=sdp("inactive", 2)),
        receive_request("ACK"),
        receive_request("UPDATE"),
        answer("200 OK"),
        receive_request("BYE"),
        answer("200 OK"),
    )
    call()
    answered = (await app.until(lambda: app.of(Answered)))[0]
    assert [e.response.status for e in app.of(ProvisionalReceived)] == [180]
    dialog = answered.dialog
    app.endpoint.reinvite(dialog, app.driver.now(), body=SDP)
    app.driver.flush()
    await app.until(lambda: len(app.of(Answered)) == 2)
    app.endpoint.request_in_dialog(dialog, "UPDATE", app.driver.now())
    app.driver.flush()
    await app.until(lambda: dialog.can_offer)
    app.endpoint.bye(dialog, app.driver.now())
    app.driver.flush()
    await task
    assert [e.cause for e in app.of(Terminated)] == [Cause.LOCAL_BYE]


async def test_100rel_of_the_callee_is_acknowledged_by_prack(caller: Any) -> None:
    app, call, start = caller
    task = await start(
        f'<recv request="INVITE"><action>{REMEMBER}</action></recv>',
        first("183 Session Progress", "Require: 100rel", "RSeq: 7", body=sdp("recvonly")),
        receive_request("PRACK"),
        answer("200 OK"),
        pause(50),
        "<send><![CDATA[\nSIP/2.0 200 OK\nVia:[$checked0]\nFrom:[$checked1]\nTo:[$checked2];tag=callee\n"
        "[last_Call-ID:]\nCSeq: 1 INVITE\nContact: <sip:c@[local_ip]:[local_port];transport=[transport]>\n"
        "Content-Length: 0\n\n]]></send>",
        receive_request("ACK"),
        receive_request("BYE"),
        answer("200 OK"),
    )
    call()
    answered = (await app.until(lambda: app.of(Answered)))[0]
    app.endpoint.bye(answered.dialog, app.driver.now())
    app.driver.flush()
    await task


async def test_cancel(caller: Any) -> None:
    app, call, start = caller
    task = await start(
        f'<recv request="INVITE"><action>{REMEMBER}</action></recv>',
        first("180 Ringing"),
        receive_request("CANCEL"),
        answer("200 OK"),
        "<send><![CDATA[\nSIP/2.0 487 Request Terminated\nVia:[$checked0]\nFrom:[$checked1]\nTo:[$checked2];tag=callee\n"
        "[last_Call-ID:]\nCSeq: 1 INVITE\nContent-Length: 0\n\n]]></send>",
        receive_request("ACK"),
    )
    exchange = call()
    await app.until(lambda: app.of(ProvisionalReceived))
    app.endpoint.cancel(exchange, app.driver.now(), headers=(("Reason", 'SIP;cause=200;text="elsewhere"'),))
    app.driver.flush()
    await task
    await app.until(lambda: app.of(Terminated))
    assert [e.cause for e in app.of(Failed)] == [Cause.CANCELLED]


async def test_a_challenge_is_followed_by_the_same_request_with_credentials(caller: Any) -> None:
    app, call, start = caller
    task = await start(
        receive_request("INVITE"),
        first("401 Unauthorized", 'WWW-Authenticate: Digest realm="r", nonce="n"'),
        receive_request("ACK"),
        '<recv request="INVITE"><action><ereg regexp="Digest" search_in="hdr" header="Authorization:" check_it="true"'
        ' assign_to="checked0"/></action></recv>',
        first("200 OK", body=sdp("recvonly")),
        receive_request("ACK"),
        receive_request("BYE"),
        answer("200 OK"),
    )
    exchange = call()
    await app.until(lambda: app.of(Failed))
    app.endpoint.reissue(exchange, app.driver.now(), headers=(("Authorization", 'Digest username="u"'),))
    app.driver.flush()
    answered = (await app.until(lambda: app.of(Answered)))[0]
    app.endpoint.bye(answered.dialog, app.driver.now())
    app.driver.flush()
    await task


async def test_offerless_call_and_a_reinvite_of_the_callee(caller: Any) -> None:
    app, call, start = caller
    task = await start(
        receive_request("INVITE"),
        first("200 OK", body=sdp("sendonly")),
        '<recv request="ACK"><action><ereg regexp="m=audio" search_in="body" check_it="true" assign_to="checked0"/>'
        '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="checked1"/>'
        '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="checked2"/>'
        '<ereg regexp="sip:[^;&gt;]*" search_in="hdr" header="Contact:" assign_to="checked3"/></action></recv>',
        '<send retrans="500"><![CDATA[\nINVITE [$checked3] SIP/2.0\nVia: SIP/2.0/[transport] '
        "[local_ip]:[local_port];branch=[branch]\nFrom:[$checked2]\nTo:[$checked1]\n[last_Call-ID:]\nCSeq: 5 INVITE\n"
        "Contact: <sip:c@[local_ip]:[local_port];transport=[transport]>\nMax-Forwards: 70\nContent-Type: application/sdp\n"
        f"Content-Length: [len]\n\n{sdp('inactive', 2)}]]></send>",
        receive(100, optional=True),
        receive(200),
        "<send><![CDATA[\nACK [$checked3] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        "From:[$checked2]\nTo:[$checked1]\n[last_Call-ID:]\nCSeq: 5 ACK\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>",
        receive_request("BYE"),
        answer("200 OK"),
    )
    exchange = call(body=b"")
    answered = (await app.until(lambda: app.of(Answered)))[0]
    assert answered.ack_needed
    app.endpoint.ack(exchange, answered.dialog, app.driver.now(), body=SDP)
    app.driver.flush()
    await app.until(lambda: app.of(ReinviteReceived) and answered.dialog.can_offer)
    app.endpoint.bye(answered.dialog, app.driver.now())
    app.driver.flush()
    await task
