"""The driver and the core against SIPp, over real UDP and TCP sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sip_app import SDP, App, sipp
from sipp_scenario import ack, answer, bye, invite, pause, receive, receive_request, request, sdp, write

from callward.sip.config import TimerSettings
from callward.sip.events import (
    AckReceived,
    Cancelled,
    Cause,
    InviteReceived,
    ProvisionalAcknowledged,
    ReinviteReceived,
    RequestReceived,
    Terminated,
)

TRANSPORTS = {"UDP": "u1", "TCP": "t1"}


@pytest_asyncio.fixture(params=["UDP", "TCP"])
async def side(request: Any) -> AsyncIterator[tuple[App, tuple[str, int], tuple[str, str]]]:
    """The app, where it listens, and SIPp's arguments for the transport."""
    app = App()
    if request.param == "UDP":
        address = await app.driver.listen_udp("127.0.0.1", 0)
    else:
        address = await app.driver.listen_tcp("127.0.0.1", 0)
    yield app, address, ("-t", TRANSPORTS[request.param])
    await app.driver.close()


async def test_call_with_hold_update_and_options(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    scenario = write(
        tmp_path,
        invite("Require: siprec"),
        receive(100, optional=True),
        receive(200, checks={"Contact": "sip:127.0.0.1", "Allow": "UPDATE"}),
        ack(),
        invite(cseq=2, body=sdp("inactive", 2), tag=True),
        receive(100, optional=True),
        receive(200),
        ack(2),
        request("UPDATE", cseq=3, body=sdp("sendonly", 3)),
        receive(200),
        request("UPDATE", cseq=4),
        receive(200),
        request("OPTIONS", cseq=5),
        receive(200, checks={"Accept": "application/sdp"}),
        request("INFO", cseq=6),
        receive(200),
        bye(7),
    )
    await sipp(scenario, address, tmp_path, *transport)
    await app.until(lambda: app.of(Terminated))
    assert [e.cause for e in app.of(Terminated)] == [Cause.REMOTE_BYE]
    assert len(app.of(AckReceived)) == 2
    assert b"a=inactive" in app.of(ReinviteReceived)[0].request.body
    assert [e.request.method for e in app.of(RequestReceived)] == ["UPDATE", "OPTIONS", "INFO"]


async def test_offerless_invite_and_reinvite(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    scenario = write(
        tmp_path,
        invite(body=""),
        receive(100, optional=True),
        receive(200),
        ack(body=sdp()),
        invite(cseq=2, body="", tag=True),
        receive(100, optional=True),
        receive(200),
        ack(2, sdp()),
        bye(3),
    )
    await sipp(scenario, address, tmp_path, *transport)
    await app.until(lambda: app.of(Terminated))
    assert all(b"m=audio" in e.request.body for e in app.of(AckReceived))


async def test_cancel_before_the_answer(side: Any, tmp_path: Path) -> None:
    app, address, transport = side

    def ring(event: InviteReceived) -> bool:
        app.endpoint.respond(event.exchange, 180, app.driver.now())
        return False

    app.before = ring
    # CANCEL and the ACK of a failure have the branch of the INVITE.
    cancel = request("CANCEL", cseq=1, tag=False).replace("[branch]", "[branch-2]")
    failure_ack = ack().replace("[branch]", "[branch-4]")
    scenario = write(tmp_path, invite(), receive(180), cancel, receive(200), receive(487), failure_ack, pause(100))
    await sipp(scenario, address, tmp_path, *transport)
    await app.until(lambda: app.of(Terminated))
    assert len(app.of(Cancelled)) == 1
    assert [e.cause for e in app.of(Terminated)] == [Cause.CANCELLED]


async def test_s33_100rel_required(side: Any, tmp_path: Path) -> None:
    app, address, transport = side

    def ring(event: InviteReceived) -> bool:
        now = app.driver.now()
        app.endpoint.respond(event.exchange, 183, now, body=SDP, reliable=True)
        app.endpoint.respond(event.exchange, 200, now)
        return False

    app.before = ring
    rack = '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="checked0"/>'
    reliable = receive(183, checks={"RSeq": "[0-9]+"}).replace(
        '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="checked0"/>', rack
    )
    scenario = write(
        tmp_path,
        invite("Require: 100rel", "Supported: 100rel"),
        receive(100, optional=True),
        reliable,
        request("PRACK", "RAck: [$checked0] 1 INVITE", cseq=2),
        receive(200),
        receive(200),
        ack(),
        bye(3),
    )
    await sipp(scenario, address, tmp_path, *transport)
    assert len(app.of(ProvisionalAcknowledged)) == 1


async def test_s02_unknown_option_tag_gets_420(side: Any, tmp_path: Path) -> None:
    _, address, transport = side
    scenario = write(
        tmp_path, invite("Require: siprec, strange"), receive(420, checks={"Unsupported": "strange"}), ack(), pause(50)
    )
    await sipp(scenario, address, tmp_path, *transport)


async def test_4028_session_timer_too_small_then_agreed(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    scenario = write(
        tmp_path,
        invite("Supported: timer", "Session-Expires: 30"),
        receive(422, checks={"Min-SE": "90"}),
        ack(),
        invite("Supported: timer", "Session-Expires: 90;refresher=uac", "Min-SE: 90", cseq=2),
        receive(100, optional=True),
        receive(200, checks={"Session-Expires": "90;refresher=uac", "Require": "timer"}),
        ack(2),
        bye(3),
    )
    await sipp(scenario, address, tmp_path, *transport)
    assert app.of(InviteReceived)[0].dialog.session.interval_s == 90


async def test_we_refresh_reinvite_and_hang_up(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    scenario = write(
        tmp_path,
        invite("Supported: timer", "Allow: INVITE, ACK, BYE, UPDATE"),
        receive(100, optional=True),
        receive(200),
        ack(),
        receive_request("UPDATE"),
        answer("200 OK"),
        receive_request("INVITE"),
        answer("100 Trying"),
        answer("200 OK", body=sdp()),
        receive_request("ACK"),
        receive_request("BYE"),
        answer("200 OK"),
    )
    running = asyncio.create_task(sipp(scenario, address, tmp_path, *transport))
    await app.until(lambda: app.of(AckReceived))
    dialog = app.of(InviteReceived)[0].dialog
    app.endpoint.request_in_dialog(dialog, "UPDATE", app.driver.now(), body=b"<x/>", content_type="application/xml")
    app.driver.flush()
    await app.until(lambda: dialog.can_offer)
    app.endpoint.reinvite(dialog, app.driver.now(), body=SDP)
    app.driver.flush()
    await app.until(lambda: dialog.can_offer)
    app.endpoint.bye(dialog, app.driver.now())
    app.driver.flush()
    await running
    await app.until(lambda: not app.endpoint.awaits_answers)
    assert [e.cause for e in app.of(Terminated)] == [Cause.LOCAL_BYE]


async def test_s40_503_with_retry_after_while_not_able_to_record(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    app.endpoint.accepting = False
    scenario = write(tmp_path, invite(), receive(503, checks={"Retry-After": "5"}), ack(), pause(50))
    await sipp(scenario, address, tmp_path, *transport)


async def test_broadworks_odd_cseq_method_in_ack_and_bye(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    scenario = write(
        tmp_path,
        invite(),
        receive(100, optional=True),
        receive(200),
        request("ACK", cseq=1, retrans=False, cseq_method="INVITE"),
        pause(50),
        request("BYE", cseq=2, cseq_method="INVITE", retrans=False),
        pause(100),
    )
    await sipp(scenario, address, tmp_path, *transport)
    await app.until(lambda: app.of(Terminated))
    assert len(app.of(AckReceived)) == 1


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_2xx_without_ack_is_repeated_also_over_tcp_and_then_ended(transport: str, tmp_path: Path) -> None:
    app = App(timers=TimerSettings(t1_s=0.02, t2_s=0.1))
    listen = app.driver.listen_udp if transport == "UDP" else app.driver.listen_tcp
    address = await listen("127.0.0.1", 0)
    again = '<label id="1"/><recv response="200" optional="true" next="1"/>'
    scenario = write(tmp_path, invite(), receive(200), again, receive_request("BYE"), answer("200 OK"))
    await sipp(scenario, address, tmp_path, "-t", TRANSPORTS[transport])
    assert [e.cause for e in app.of(Terminated)] == [Cause.NO_ACK]
    assert app.endpoint.counters["answers_repeated"] > 8
    await app.driver.close()


async def test_a_udp_invite_of_9_kb_comes_in_fragments(tmp_path: Path) -> None:
    app = App()
    address = await app.driver.listen_udp("127.0.0.1", 0)
    padding = "\n".join(f"a=x-padding-{n}:{'y' * 80}" for n in range(60))
    headers = [f"X-Filler-{n}: {'z' * 90}" for n in range(40)]
    scenario = write(
        tmp_path, invite(*headers, body=sdp() + padding + "\n"), receive(100, optional=True), receive(200), ack(), bye()
    )
    await sipp(scenario, address, tmp_path, "-t", "u1")
    assert len(app.of(InviteReceived)[0].request.raw) > 9000
    await app.driver.close()


async def test_many_parallel_calls(side: Any, tmp_path: Path) -> None:
    app, address, transport = side
    scenario = write(tmp_path, invite(), receive(100, optional=True), receive(200), ack(), pause(200), bye())
    await sipp(scenario, address, tmp_path, *transport, "-m", "300", "-r", "300", "-l", "300")
    await app.until(lambda: len(app.of(Terminated)) == 300)
    assert all(e.cause is Cause.REMOTE_BYE for e in app.of(Terminated))
    assert app.endpoint.sizes["dialogs"] == 0
