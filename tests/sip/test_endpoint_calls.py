"""Two endpoints on a fake network in fake time: calls from INVITE to BYE, whatever is lost, repeated or crosses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sip_link import SDP, Network, Party, answering, call

from callward.sip.dialog import DialogState
from callward.sip.endpoint import SipUseError
from callward.sip.events import (
    AckReceived,
    Answered,
    Cancelled,
    Cause,
    Failed,
    InviteReceived,
    ProvisionalReceived,
    ReinviteReceived,
    RequestReceived,
    ResponseReceived,
    RetryDue,
    Terminated,
)
from callward.sip.message import Request, Response, parse

HOLD = SDP.replace(b"m=audio", b"a=inactive\r\nm=audio")


def pair(**network: Any) -> tuple[Network, Party, Party]:
    net = Network(**network)
    return net, net.party("alice"), net.party("bob")


def connected(transport: str = "UDP", **network: Any) -> tuple[Network, Party, Party, Any, Any]:
    net, alice, bob = pair(**network)
    answering(bob)
    call(alice, bob, transport)
    net.run(2)
    return net, alice, bob, alice.of(Answered)[0].dialog, bob.of(InviteReceived)[0].dialog


def nothing_left(net: Network, *parties: Party) -> None:
    net.run(250)
    for party in parties:
        sizes = party.endpoint.sizes
        assert sizes == {"server_transactions": 0, "client_transactions": 0, "dialogs": 0, "timers": 0}, party.name


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_13_a_call_is_set_up_and_ended(transport: str) -> None:
    net, alice, bob, ours, theirs = connected(transport)
    assert ours.state is DialogState.CONFIRMED
    assert theirs.state is DialogState.CONFIRMED
    assert len(bob.of(AckReceived)) == 1
    alice.endpoint.bye(ours, net.now)
    net.run(1)
    assert [e.cause for e in alice.of(Terminated)] == [Cause.LOCAL_BYE]
    assert [e.cause for e in bob.of(Terminated)] == [Cause.REMOTE_BYE]
    assert len(bob.received) == 3, "INVITE, ACK, BYE and nothing twice"
    nothing_left(net, alice, bob)


@pytest.mark.parametrize("seed", range(12))
def test_17_calls_survive_a_lossy_repeating_reordering_network(seed: int) -> None:
    net, alice, bob = pair(seed=seed, loss=0.3, repeat=0.2, delay=(0.005, 0.4))
    answering(bob)
    for _ in range(10):
        call(alice, bob)
    net.run(35)
    answered = alice.of(Answered)
    assert len({e.dialog.id for e in answered}) == len(answered) == len(bob.of(InviteReceived)) == 10
    assert len(bob.of(AckReceived)) == 10
    for event in answered[:5]:
        alice.endpoint.bye(event.dialog, net.now)
    for event in bob.of(InviteReceived):
        bob.endpoint.bye(event.dialog, net.now)
    net.run(40)
    assert len(alice.of(Terminated)) == len(bob.of(Terminated)) == 10
    nothing_left(net, alice, bob)


def test_13_3_1_4_the_2xx_is_repeated_by_the_user_agent_also_over_tcp_until_the_ack() -> None:
    net, alice, bob = pair()
    answering(bob)
    net.drop = lambda sender, receiver, message: (
        isinstance(message, Request) and message.method == "ACK" and net.now < 1004
    )
    call(alice, bob, "TCP")
    net.run(10)
    assert alice.answers("INVITE") == [200, 200, 200, 200, 200]
    assert len(alice.of(Answered)) == 1
    assert len(bob.of(AckReceived)) == 1


def test_13_3_1_4_without_ack_the_call_ends_with_bye_after_64_t1() -> None:
    net, alice, bob = pair()
    answering(bob)
    net.drop = lambda sender, receiver, message: isinstance(message, Request) and message.method == "ACK"
    call(alice, bob)
    net.run(40)
    assert [e.cause for e in bob.of(Terminated)] == [Cause.NO_ACK]
    assert [e.cause for e in alice.of(Terminated)] == [Cause.REMOTE_BYE]
    nothing_left(net, alice, bob)


def test_15_a_callee_that_hangs_up_before_the_ack_waits_for_it() -> None:
    net, alice, bob = pair(delay=(0.2, 0.2))

    def hang_up(event: Any) -> None:
        if isinstance(event, InviteReceived):
            bob.endpoint.respond(event.exchange, 200, net.now, body=SDP)
            bob.endpoint.bye(event.dialog, net.now)

    bob.on_event = hang_up
    call(alice, bob)
    net.run(5)
    assert [m.method for m in bob.sent if isinstance(m, Request)] == ["BYE"]
    assert [e.cause for e in alice.of(Terminated)] == [Cause.REMOTE_BYE]
    assert [e.cause for e in bob.of(Terminated)] == [Cause.LOCAL_BYE]
    nothing_left(net, alice, bob)


def test_15_byes_that_cross_are_both_answered_200() -> None:
    net, alice, bob, ours, theirs = connected()
    alice.endpoint.bye(ours, net.now)
    bob.endpoint.bye(theirs, net.now)
    net.run(1)
    assert alice.answers("BYE") == [200]
    assert bob.answers("BYE") == [200]
    assert len(alice.of(Terminated)) == len(bob.of(Terminated)) == 1
    nothing_left(net, alice, bob)


def test_9_cancel_waits_for_the_first_provisional_answer() -> None:
    net, alice, bob = pair()
    exchange = call(alice, bob)
    alice.endpoint.cancel(exchange, net.now)
    net.run(0.15)
    assert bob.requests("CANCEL") == []
    net.run(3)
    assert alice.answers("CANCEL") == [200]
    assert alice.answers("INVITE")[-1] == 487
    assert len(bob.of(Cancelled)) == 1
    assert [e.cause for e in bob.of(Terminated)] == [Cause.CANCELLED]
    assert [(e.cause, e.response.status) for e in alice.of(Failed)] == [(Cause.CANCELLED, 487)]
    assert not bob.endpoint.respond(bob.of(InviteReceived)[0].exchange, 200, net.now, body=SDP)
    nothing_left(net, alice, bob)


def test_9_a_2xx_that_crosses_the_cancel_is_acknowledged_and_ended() -> None:
    net, alice, bob = pair(delay=(0.2, 0.2))
    exchange = call(alice, bob)
    net.run(0.3)
    bob.endpoint.respond(bob.of(InviteReceived)[0].exchange, 180, net.now)
    bob.endpoint.respond(bob.of(InviteReceived)[0].exchange, 200, net.now, body=SDP)
    net.run(0.1)
    alice.endpoint.cancel(exchange, net.now)
    net.run(5)
    assert [e.cause for e in alice.of(Failed)] == [Cause.CANCELLED]
    assert [e.cause for e in alice.of(Terminated)] == []
    assert len(bob.of(AckReceived)) == 1
    assert [e.cause for e in bob.of(Terminated)] == [Cause.REMOTE_BYE]
    nothing_left(net, alice, bob)


def test_9_an_invite_that_is_never_answered_after_cancel_is_given_up() -> None:
    net, alice, bob = pair()
    exchange = call(alice, bob)
    net.run(0.3)
    net.drop = lambda sender, receiver, message: True
    alice.endpoint.cancel(exchange, net.now)
    net.run(40)
    assert [e.cause for e in alice.of(Failed)] == [Cause.CANCELLED]
    net.drop = lambda sender, receiver, message: False
    nothing_left(net, alice)


def test_9_2_a_cancel_from_another_host_is_refused() -> None:
    net, alice, bob = pair()
    mallory = net.party("mallory")
    call(alice, bob)
    net.run(0.1)
    invite = bob.requests("INVITE")[0]
    text = invite.raw.replace(b"INVITE ", b"CANCEL ", 1).replace(b"CSeq: 1 INVITE", b"CSeq: 1 CANCEL")
    cancel = parse(text)
    assert isinstance(cancel, Request)
    from callward.sip.flow import Flow

    bob.endpoint.receive_message(Flow("UDP", bob.address, mallory.address), cancel, net.now)
    net.run(1)
    assert bob.of(Cancelled) == []
    bob.endpoint.respond(bob.of(InviteReceived)[0].exchange, 200, net.now, body=SDP)
    net.run(1)
    assert len(alice.of(Answered)) == 1


def test_timer_c_cancels_a_call_that_neither_rings_on_nor_answers() -> None:
    net, alice, bob = pair()
    net.drop = lambda sender, receiver, message: (
        isinstance(message, Response) and message.status == 180 and net.now > 1002
    )
    call(alice, bob)
    net.run(0.1)
    bob.endpoint.respond(bob.of(InviteReceived)[0].exchange, 180, net.now)
    net.run(200)
    assert [e.cause for e in alice.of(Failed)] == [Cause.TIMEOUT]
    assert [e.cause for e in bob.of(Terminated)] == [Cause.CANCELLED]
    assert [e.cause for e in alice.of(Terminated)] == [Cause.TIMEOUT]
    nothing_left(net, alice, bob)


def test_a_rejected_call_leaves_nothing() -> None:
    net, alice, bob = pair()
    answering(bob, 486)
    call(alice, bob)
    net.run(1)
    assert [(e.cause, e.response.status) for e in alice.of(Failed)] == [(Cause.REJECTED, 486)]
    assert [e.cause for e in bob.of(Terminated)] == [Cause.REJECTED]
    assert len(bob.requests("ACK")) == 1
    nothing_left(net, alice, bob)


def test_13_2_2_4_a_forked_2xx_is_acknowledged_and_ended() -> None:
    net, alice, bob = pair()
    carol = net.party("carol")
    answering(bob)
    answering(carol)
    call(alice, bob)
    net.run(0.005)
    # A proxy in between forks the INVITE: carol gets it with the same branch, and answers to alice.
    invite = next(item for item in net.queue if item[2] is bob)
    net.queue.append((net.now + 0.02, 99, carol, invite[3], invite[4]))
    net.run(3)
    assert len(alice.of(Answered)) == 1
    assert alice.of(Answered)[0].dialog.remote_target.startswith("sip:192.0.2.2")
    assert [e.cause for e in carol.of(Terminated)] == [Cause.REMOTE_BYE]
    assert len(carol.of(AckReceived)) == 1
    assert alice.of(Terminated) == []
    assert len(alice.endpoint.dialogs) == 1


def test_offerless_invite_takes_the_answer_in_the_ack() -> None:
    net, alice, bob = pair()
    answering(bob)
    exchange = call(alice, bob, body=b"")
    net.run(1)
    answered = alice.of(Answered)[0]
    assert answered.ack_needed
    assert not answered.dialog.can_offer
    alice.endpoint.ack(exchange, answered.dialog, net.now, body=SDP)
    net.run(1)
    assert [e.request.body for e in bob.of(AckReceived)] == [SDP]
    assert answered.dialog.can_offer
    assert alice.answers("INVITE").count(200) == 2, "repeated until the ACK"


def test_14_reinvite_and_update_refresh_the_session_description_on_both_sides() -> None:
    net, alice, bob, ours, theirs = connected()
    alice.endpoint.reinvite(ours, net.now, body=HOLD)
    net.run(1)
    assert bob.of(ReinviteReceived)[0].request.body == HOLD
    bob.endpoint.reinvite(theirs, net.now, body=HOLD)
    answering(alice)
    net.run(1)
    assert alice.of(ReinviteReceived)[0].request.body == HOLD
    bob.endpoint.request_in_dialog(theirs, "UPDATE", net.now, body=SDP)
    net.run(1)
    assert alice.of(RequestReceived)[-1].request.method == "UPDATE"
    assert [e.response.status for e in bob.of(ResponseReceived)] == [200]
    assert theirs.can_offer
    assert ours.can_offer


def test_14_1_reinvites_that_cross_get_491_and_the_owner_of_the_call_id_waits_longer() -> None:
    net, alice, bob, ours, theirs = connected()
    answering(alice)
    alice.endpoint.reinvite(ours, net.now, body=HOLD)
    bob.endpoint.reinvite(theirs, net.now, body=HOLD)
    net.run(0.5)
    assert [e.response.status for e in alice.of(Failed)] == [491]
    assert [e.response.status for e in bob.of(Failed)] == [491]
    assert 2.1 <= alice.of(Failed)[0].retry_after_s <= 4.0
    assert 0.0 <= bob.of(Failed)[0].retry_after_s <= 2.0
    net.run(5)
    assert len(alice.of(RetryDue)) == len(bob.of(RetryDue)) == 1
    alice.endpoint.reinvite(ours, net.now, body=HOLD)
    net.run(1)
    assert len(alice.of(Answered)) == 2
    assert alice.of(Terminated) == bob.of(Terminated) == []


def test_14_2_an_overlapping_reinvite_gets_500_with_retry_after() -> None:
    net, alice, bob, ours, _theirs = connected()
    bob.on_event = lambda event: None
    alice.endpoint.reinvite(ours, net.now, body=HOLD)
    net.run(0.1)
    with pytest.raises(SipUseError):
        alice.endpoint.reinvite(ours, net.now, body=HOLD)
    ours.invite_out = None  # a peer that does not care
    alice.endpoint.reinvite(ours, net.now, body=SDP)
    net.run(0.1)
    failed = alice.of(Failed)[0]
    assert failed.response.status == 500
    assert 0 <= failed.retry_after_s <= 10


def test_12_2_2_a_lower_cseq_gets_500_but_a_bye_is_obeyed() -> None:
    net, alice, bob, ours, theirs = connected()
    theirs.remote_cseq = 50
    alice.endpoint.request_in_dialog(ours, "INFO", net.now, body=b"x", content_type="text/plain")
    net.run(1)
    assert [e.response.status for e in alice.of(ResponseReceived)] == [500]
    alice.endpoint.bye(ours, net.now)
    net.run(1)
    assert [e.cause for e in bob.of(Terminated)] == [Cause.REMOTE_BYE]


def test_12_2_1_2_a_481_ends_the_dialog() -> None:
    net, alice, bob, ours, theirs = connected()
    bob.endpoint._dialogs.remove(theirs)
    alice.endpoint.request_in_dialog(ours, "INFO", net.now, body=b"x", content_type="text/plain")
    net.run(1)
    assert [e.cause for e in alice.of(Terminated)] == [Cause.GONE]
    alice.endpoint.request_in_dialog(ours, "INFO", net.now)
    net.run(1)
    assert [e.cause for e in alice.of(Failed)] == [Cause.GONE]


@pytest.mark.parametrize("method", ["OPTIONS", "INFO", "MESSAGE", "REFER", "NOTIFY", "SUBSCRIBE"])
def test_other_requests_pass_through_a_dialog(method: str) -> None:
    net = Network()
    allow = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "MESSAGE", "REFER", "NOTIFY", "SUBSCRIBE", "UPDATE")
    alice, bob = net.party("alice", allow=allow), net.party("bob", allow=allow)
    answering(bob)
    call(alice, bob)
    net.run(1)
    alice.endpoint.request_in_dialog(
        alice.of(Answered)[0].dialog, method, net.now, headers=(("X-Note", "a\r\nVia: b"),)
    )
    net.run(1)
    received = bob.of(RequestReceived)[0]
    assert received.request.method == method
    assert received.dialog is bob.of(InviteReceived)[0].dialog
    assert received.request.headers.get("X-Note") == "a  Via: b"
    assert [e.response.status for e in alice.of(ResponseReceived)] == [200]


def test_12_1_record_routes_become_the_route_set_and_contacts_the_target() -> None:
    net, alice, bob = pair()
    answering(bob)
    call(alice, bob)
    net.run(0.005)
    at, order, receiver, flow, data = net.queue.pop()
    record = b"Record-Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>\r\n"
    net.queue.append((at, order, receiver, flow, data.replace(b"From:", record + b"From:", 1)))
    net.run(1)
    theirs = bob.of(InviteReceived)[0].dialog
    ours = alice.of(Answered)[0].dialog
    assert theirs.route_set == ("<sip:192.0.2.1;lr>", "<sip:192.0.2.2;lr>")
    assert ours.route_set == ("<sip:192.0.2.2;lr>", "<sip:192.0.2.1;lr>")
    bob.endpoint.bye(theirs, net.now)
    net.run(1)
    assert [str(a) for a in alice.requests("BYE")[0].route] == ["<sip:192.0.2.1;lr>", "<sip:192.0.2.2;lr>"]


def test_12_2_1_1_a_strict_router_gets_its_own_uri_as_request_uri() -> None:
    _, _, _, ours, _ = connected()
    ours.route_set = ("<sip:strict.example>", "<sip:loose.example;lr>")
    target = ours.remote_target
    assert ours.next_hop() == ("sip:strict.example", ("<sip:loose.example;lr>", f"<{target}>"))


def test_a_dialog_survives_a_restart_through_plain_json() -> None:
    net, alice, bob, ours, theirs = connected("TCP")
    state = json.loads(json.dumps(theirs.to_state()))
    bob.endpoint.bye  # noqa: B018 - the old process says nothing any more
    reborn = net.party("bob2")
    reborn.address = bob.address
    net.parties[bob.address] = reborn
    for transport in ("UDP", "TCP"):
        reborn.endpoint.set_local(transport, *bob.address)
    dialog = reborn.endpoint.restore(state, net.now)
    assert dialog.to_state() == state
    answering(reborn)
    alice.endpoint.reinvite(ours, net.now, body=HOLD)
    net.run(1)
    assert reborn.of(ReinviteReceived)[0].dialog is dialog
    reborn.endpoint.request_in_dialog(dialog, "INFO", net.now, body=b"x", content_type="text/plain")
    net.run(1)
    assert alice.requests("INFO")
    alice.endpoint.request_in_dialog(ours, "UPDATE", net.now)
    net.run(1)
    assert [e.response.status for e in alice.of(ResponseReceived)] == [200]
    alice.endpoint.bye(ours, net.now)
    net.run(1)
    assert [e.cause for e in reborn.of(Terminated)] == [Cause.REMOTE_BYE]
    assert [e.cause for e in alice.of(Terminated)] == [Cause.LOCAL_BYE]


@pytest.mark.parametrize(
    "change",
    [{"version": 9}, {"call_id": 5}, {"local_cseq": "x"}, {"transport": "SCTP"}, {"id": "a\r\nb"}, {"session": [1]}],
)
def test_a_damaged_state_is_refused_with_a_sentence(change: dict[str, Any]) -> None:
    _, _, bob, _, theirs = connected()
    with pytest.raises(SipUseError, match="saved dialog"):
        bob.endpoint.restore({**theirs.to_state(), **change}, 1.0)


def test_18_1_1_large_requests_go_by_tcp_and_fall_back_to_udp() -> None:
    net, alice, bob = pair()
    answering(bob)
    big = (("X-Big", "x" * 2000),)
    call(alice, bob, headers=big)
    net.run(1)
    assert bob.requests("INVITE")[0].via.transport == "TCP"
    net.no_tcp.add("bob")
    call(alice, bob, headers=big)
    net.run(1)
    assert bob.requests("INVITE")[1].via.transport == "UDP"
    assert len(alice.of(Answered)) == 2
    assert alice.endpoint.counters["tcp_fallbacks"] == 1


def test_an_unreachable_peer_fails_at_once() -> None:
    net, alice, bob = pair()
    net.no_tcp.add("bob")
    call(alice, bob, "TCP")
    net.run(1)
    assert [e.cause for e in alice.of(Failed)] == [Cause.TRANSPORT]
    nothing_left(net, alice)


def test_22_2_a_challenged_request_is_issued_again_in_the_same_call() -> None:
    net, alice, bob = pair()

    def challenge(event: Any) -> None:
        if isinstance(event, InviteReceived):
            status = 200 if "Authorization" in event.request.headers else 401
            bob.endpoint.respond(event.exchange, status, net.now, body=SDP if status == 200 else b"")

    bob.on_event = challenge
    exchange = call(alice, bob)
    net.run(1)
    assert [e.response.status for e in alice.of(Failed)] == [401]
    alice.endpoint.reissue(exchange, net.now, headers=(("Authorization", "Digest x"),))
    net.run(1)
    first, second = bob.requests("INVITE")
    assert first.call_id == second.call_id
    assert first.from_tag == second.from_tag
    assert (first.cseq.number, second.cseq.number) == (1, 2)
    assert len(alice.of(Answered)) == 1
    assert bob.requests("ACK")[-1].headers.get("Authorization") == "Digest x"
    alice.endpoint.bye(alice.of(Answered)[0].dialog, net.now)
    nothing_left(net, alice, bob)


def test_early_dialogs_show_their_provisional_answers() -> None:
    net, alice, bob = pair()
    call(alice, bob)
    net.run(0.1)
    exchange = bob.of(InviteReceived)[0].exchange
    bob.endpoint.respond(exchange, 180, net.now)
    bob.endpoint.respond(exchange, 183, net.now, body=SDP)
    net.run(0.1)
    shown = alice.of(ProvisionalReceived)
    assert [e.response.status for e in shown] == [180, 183]
    assert shown[0].dialog is shown[1].dialog
    assert shown[0].dialog.state is DialogState.EARLY
    bob.endpoint.bye(bob.of(InviteReceived)[0].dialog, net.now)
    net.run(0.1)
    assert [e.response.status for e in alice.of(Failed)] == [480]
    assert isinstance(alice.received[-1], Response)
