"""Session timers (RFC 4028) on both sides."""

from __future__ import annotations

from typing import Any

import pytest
from sip_link import SDP, Network, Party, answering, call

from callward.sip.config import EndpointConfig
from callward.sip.events import Answered, Cause, InviteReceived, ReinviteReceived, SessionRefreshDue, Terminated
from callward.sip.headers import Headers
from callward.sip.message import Request, Response
from callward.sip.session_timer import Agreement, TooSmall, agree_as_client, agree_as_server
from callward.sip.uri import SipUri

CONFIG = EndpointConfig(session_expires_s=1800, min_se_s=90)


def invite(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", SipUri("b.example"), Headers(headers))


@pytest.mark.parametrize(
    ("headers", "agreed"),
    [
        ((), None),
        ((("Supported", "timer"),), Agreement(1800, False)),
        ((("Supported", "timer"), ("Min-SE", "3600")), Agreement(3600, False)),
        ((("Supported", "timer"), ("Session-Expires", "600")), Agreement(600, False)),
        ((("Supported", "timer"), ("Session-Expires", "600;refresher=uas")), Agreement(600, True)),
        ((("Supported", "timer"), ("x", "600;refresher=uac")), Agreement(600, False)),
        ((("Supported", "timer"), ("Session-Expires", "89")), TooSmall(90)),
        ((("Session-Expires", "600"),), Agreement(600, True)),
        ((("Session-Expires", "20"),), Agreement(90, True)),
        ((("Supported", "timer"), ("Session-Expires", "4294967295")), Agreement(86400, False)),
        ((("Supported", "timer"), ("Session-Expires", "nonsense")), Agreement(1800, False)),
    ],
)
def test_9_what_the_server_agrees_to(headers: Any, agreed: Any) -> None:
    assert agree_as_server(CONFIG, invite(*headers)) == agreed


@pytest.mark.parametrize(
    ("value", "agreed"),
    [
        (None, None),
        ("600;refresher=uac", Agreement(600, True)),
        ("600;refresher=uas", Agreement(600, False)),
        ("600", Agreement(600, True)),
        ("1;refresher=uac", Agreement(90, True)),
    ],
)
def test_7_2_what_the_client_takes_from_the_2xx(value: str | None, agreed: Any) -> None:
    headers = Headers([("Session-Expires", value)] if value else [])
    assert agree_as_client(CONFIG, Response(200, "OK", headers)) == agreed


def test_10_the_other_side_gives_up_a_little_before_the_end() -> None:
    assert Agreement(1800, False).give_up_after_s == 1768
    assert Agreement(90, False).give_up_after_s == 60
    assert Agreement(90, True).give_up_after_s == 90


def connected(caller: dict[str, Any], callee: dict[str, Any]) -> tuple[Network, Party, Party]:
    net = Network()
    alice, bob = net.party("alice", **caller), net.party("bob", **callee)
    answering(alice)
    answering(bob)
    call(alice, bob)
    net.run(1)
    assert len(alice.of(Answered)) == 1
    return net, alice, bob


def test_10_the_refresher_sends_update_at_half_time_and_the_call_goes_on() -> None:
    net, alice, bob = connected({"session_expires_s": 200}, {})
    assert bob.of(InviteReceived)[0].dialog.session == Agreement(200, False)
    net.run(1000)
    assert len(bob.requests("UPDATE")) == 10
    assert bob.requests("UPDATE")[0].headers.get("Session-Expires") == "200;refresher=uac"
    assert alice.of(Terminated) == bob.of(Terminated) == []


def test_10_without_update_the_refresher_sends_a_reinvite_with_the_last_description() -> None:
    allow = ("INVITE", "ACK", "BYE", "CANCEL")
    net, alice, bob = connected({"session_expires_s": 200}, {"allow": allow})
    net.run(450)
    assert [e.request.body for e in bob.of(ReinviteReceived)] == [SDP] * 4
    assert [e.refresh for e in alice.of(Answered)] == [False] + [True] * 4
    assert alice.of(Terminated) == []


def test_10_without_a_known_description_the_application_is_asked() -> None:
    allow = ("INVITE", "ACK", "BYE", "CANCEL")
    net, alice, _bob = connected({"session_expires_s": 200}, {"allow": allow})
    alice.endpoint.dialogs[0].local_description = b""
    net.run(150)
    assert len(alice.of(SessionRefreshDue)) == 1


def test_10_when_nobody_refreshes_the_session_ends_with_bye() -> None:
    net, alice, bob = connected({"session_expires_s": 200}, {})
    alice.endpoint._context.timers.cancel(alice.endpoint.dialogs[0].refresh_timer)
    net.run(170)
    assert [e.cause for e in bob.of(Terminated)] == [Cause.SESSION_EXPIRED]
    assert [e.cause for e in alice.of(Terminated)] == [Cause.REMOTE_BYE]


def test_10_a_refresher_whose_peer_is_dead_ends_the_session() -> None:
    net, alice, bob = connected({"session_expires_s": 200}, {})
    net.drop = lambda sender, receiver, message: True
    net.run(140)
    assert [e.cause for e in alice.of(Terminated)] == [Cause.TIMEOUT]
    net.run(60)
    assert [e.cause for e in bob.of(Terminated)] == [Cause.SESSION_EXPIRED]


def test_7_3_422_is_answered_with_a_longer_interval_by_the_endpoint_itself() -> None:
    _net, alice, bob = connected({"session_expires_s": 100}, {"min_se_s": 500})
    first, second = bob.requests("INVITE")
    assert first.headers.get("Session-Expires") == "100"
    assert second.headers.get("Session-Expires") == "500"
    assert second.headers.get("Min-SE") == "500"
    assert second.cseq.number == first.cseq.number + 1
    assert alice.endpoint.dialogs[0].session == Agreement(500, True)


def test_a_reinvite_of_the_other_side_keeps_who_refreshes() -> None:
    net, alice, bob = connected({"session_expires_s": 200}, {})
    dialog = bob.endpoint.dialogs[0]
    bob.endpoint.reinvite(dialog, net.now, body=SDP)
    net.run(1)
    assert alice.requests("INVITE")[0].headers.get("Session-Expires") == "200;refresher=uas"
    assert dialog.session == Agreement(200, False)
    assert alice.endpoint.dialogs[0].session == Agreement(200, True)
    net.run(1000)
    assert alice.of(Terminated) == bob.of(Terminated) == []


def test_a_restored_dialog_goes_on_with_its_session_timer() -> None:
    net, _alice, bob = connected({"session_expires_s": 200}, {})
    state = bob.endpoint.dialogs[0].to_state()
    reborn = net.party("bob2")
    dialog = reborn.endpoint.restore(state, net.now)
    assert dialog.session == Agreement(200, False)
    net.run(170)
    assert [e.cause for e in reborn.of(Terminated)] == [Cause.SESSION_EXPIRED]
