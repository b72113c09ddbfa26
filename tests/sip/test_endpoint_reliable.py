"""Reliable provisional answers (RFC 3262) and UPDATE in early dialogs (RFC 3311)."""

from __future__ import annotations

from typing import Any

import pytest
from sip_link import SDP, Network, Party, call

from callward.sip.endpoint import SipUseError
from callward.sip.events import (
    Answered,
    Cause,
    Failed,
    InviteReceived,
    ProvisionalAcknowledged,
    ProvisionalReceived,
    RequestReceived,
    ResponseReceived,
    Terminated,
)
from callward.sip.message import Request, Response


def ringing(body: bytes = SDP, offer: bytes = SDP, **network: Any) -> tuple[Network, Party, Party, Any]:
    net = Network(**network)
    alice, bob = net.party("alice"), net.party("bob")
    call(alice, bob, body=offer)
    while not bob.of(InviteReceived):
        net.run(0.1)
    exchange = bob.of(InviteReceived)[0].exchange
    bob.endpoint.respond(exchange, 183, net.now, body=body, reliable=True)
    return net, alice, bob, exchange


def test_3_a_reliable_answer_is_acknowledged_by_prack() -> None:
    net, alice, bob, exchange = ringing()
    net.run(1)
    assert bob.requests("PRACK")[0].rack is not None
    assert alice.answers("PRACK") == [200]
    assert len(bob.of(ProvisionalAcknowledged)) == 1
    shown = alice.of(ProvisionalReceived)
    assert len(shown) == 1
    assert not shown[0].prack_needed
    bob.endpoint.respond(exchange, 200, net.now)
    net.run(1)
    assert len(alice.of(Answered)) == 1


def test_3_it_is_repeated_with_doubling_and_dropped_by_the_client_when_seen_before() -> None:
    net, alice, bob, _exchange = ringing()
    net.drop = lambda sender, receiver, message: isinstance(message, Request) and message.method == "PRACK"
    net.run(4)
    assert [m.status for m in bob.sent if isinstance(m, Response)] == [183] * 4, "at 0, 0.5, 1.5, 3.5 s"
    assert len(alice.of(ProvisionalReceived)) == 1


def test_3_without_prack_the_invite_gets_504_after_64_t1() -> None:
    net, alice, bob, _exchange = ringing()
    net.drop = lambda sender, receiver, message: isinstance(message, Request) and message.method == "PRACK"
    net.run(40)
    assert alice.answers("INVITE")[-1] == 504
    assert [e.cause for e in bob.of(Terminated)] == [Cause.NO_PRACK]
    assert [e.cause for e in alice.of(Failed)] == [Cause.REJECTED]


def test_3_a_2xx_waits_for_the_prack_and_the_next_provisional_too() -> None:
    net, alice, bob, exchange = ringing(delay=(0.3, 0.3))
    bob.endpoint.respond(exchange, 180, net.now, reliable=True)
    assert bob.endpoint.respond(exchange, 200, net.now)
    assert not bob.endpoint.respond(exchange, 486, net.now), "answered already"
    bob.flush()
    assert [m.status for m in bob.sent if isinstance(m, Response)] == [183]
    net.run(3)
    order = [m.status for m in bob.sent if isinstance(m, Response) and m.cseq.method == "INVITE"]
    assert list(dict.fromkeys(order)) == [183, 180, 200]
    assert [e.response.status for e in alice.of(ProvisionalReceived)][:1] == [183]
    assert len(alice.of(Answered)) == 1
    first_200 = next(
        i for i, m in enumerate(bob.sent) if isinstance(m, Response) and m.status == 200 and m.cseq.method == "INVITE"
    )
    assert any(isinstance(m, Response) and m.cseq.method == "PRACK" for m in bob.sent[:first_200])


def test_3_cancel_ends_the_wait() -> None:
    net, alice, bob, exchange = ringing()
    net.drop = lambda sender, receiver, message: isinstance(message, Request) and message.method == "PRACK"
    net.run(1)
    bob.endpoint.respond(exchange, 200, net.now)
    alice.endpoint.cancel(alice.of(ProvisionalReceived)[0].exchange, net.now)
    net.run(5)
    assert alice.answers("INVITE")[-1] == 487
    assert alice.of(Answered) == []


def test_4_an_unknown_rack_gets_481() -> None:
    net, alice, _bob, _exchange = ringing()
    net.run(1)
    dialog = alice.of(ProvisionalReceived)[0].dialog
    alice.endpoint._client.send_in_dialog(dialog, "PRACK", net.now, headers=(("RAck", "1 1 INVITE"),))
    net.run(1)
    assert alice.answers("PRACK") == [200, 481]
    assert alice.of(Terminated) == []


def test_5_the_answer_to_an_offer_in_a_provisional_comes_in_the_prack() -> None:
    net, alice, bob, _exchange = ringing(offer=b"")
    net.run(0.2)
    shown = alice.of(ProvisionalReceived)[0]
    assert shown.prack_needed
    with pytest.raises(SipUseError):
        alice.endpoint.ack(shown.exchange, shown.dialog, net.now)
    alice.endpoint.prack(shown.exchange, shown.dialog, net.now, body=SDP)
    net.run(1)
    acknowledged = bob.of(ProvisionalAcknowledged)[0]
    assert acknowledged.request.body == SDP
    assert acknowledged.exchange is None
    assert [e.response.status for e in alice.of(ResponseReceived)] == [200]


def test_a_peer_that_requires_100rel_gets_every_provisional_reliably() -> None:
    net = Network()
    alice, bob = net.party("alice"), net.party("bob")
    call(alice, bob, headers=(("Require", "100rel"),))
    net.run(0.1)
    bob.endpoint.respond(bob.of(InviteReceived)[0].exchange, 180, net.now)
    net.run(1)
    assert len(bob.requests("PRACK")) == 1


@pytest.mark.parametrize("seed", range(6))
def test_prack_on_a_lossy_network(seed: int) -> None:
    net, alice, bob, exchange = ringing(seed=seed, loss=0.3, repeat=0.2, delay=(0.01, 0.3)) if seed else ringing()
    net.run(6)
    bob.endpoint.respond(exchange, 200, net.now)
    net.run(30)
    assert len(alice.of(ProvisionalReceived)) == 1
    assert len(bob.of(ProvisionalAcknowledged)) == 1
    assert len(alice.of(Answered)) == 1


def test_rfc3311_update_in_an_early_dialog_only_after_the_first_answer() -> None:
    net = Network()
    alice, bob = net.party("alice"), net.party("bob")
    call(alice, bob)
    net.run(0.1)
    exchange = bob.of(InviteReceived)[0].exchange
    bob.endpoint.respond(exchange, 180, net.now)
    net.run(0.1)
    early = alice.of(ProvisionalReceived)[0].dialog
    with pytest.raises(SipUseError):
        alice.endpoint.request_in_dialog(early, "UPDATE", net.now, body=SDP)
    bob.endpoint.respond(exchange, 183, net.now, body=SDP, reliable=True)
    net.run(0.5)
    alice.endpoint.request_in_dialog(early, "UPDATE", net.now, body=SDP)
    net.run(0.1)
    update = bob.of(RequestReceived)[0]
    assert update.request.method == "UPDATE"
    bob.endpoint.respond(update.exchange, 200, net.now, body=SDP)
    net.run(0.1)
    assert [e.response.status for e in alice.of(ResponseReceived)] == [200]
    bob.endpoint.respond(exchange, 200, net.now)
    net.run(0.5)
    assert len(alice.of(Answered)) == 1
