"""Hostile and confused peers, and applications that do anything at any time: nothing raises, and in the end nothing is left."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sip_link import SDP, Network, Party

from callward.sip.dialog import Dialog, DialogState
from callward.sip.endpoint import SipUseError
from callward.sip.events import (
    Answered,
    InviteReceived,
    ProvisionalAcknowledged,
    ProvisionalReceived,
    ReinviteReceived,
    RequestReceived,
    Terminated,
)
from callward.sip.flow import Flow
from callward.sip.message import ParseFailure, Request, parse

METHODS = [b"INVITE", b"ACK", b"BYE", b"CANCEL", b"UPDATE", b"PRACK", b"INFO", b"OPTIONS", b"REFER", b"XYZ"]
STATUSES = [100, 180, 183, 199, 200, 202, 302, 401, 408, 422, 481, 487, 491, 500, 503, 603]


class Monkey:
    """An application that answers and asks at random, and remembers what it may call."""

    def __init__(self, party: Party, peer: Party, dice: random.Random) -> None:
        self.party = party
        self.peer = peer
        self.dice = dice
        self.incoming: list[Any] = []
        self.outgoing: list[Any] = []
        self.dialogs: list[Dialog] = []
        self.ended: list[str] = []
        party.on_event = self.on_event

    def on_event(self, event: Any) -> None:
        asks = isinstance(event, InviteReceived | ReinviteReceived | RequestReceived | ProvisionalAcknowledged)
        if asks and event.exchange is not None:
            self.incoming.append(event.exchange)
        shows = isinstance(event, InviteReceived | Answered | ProvisionalReceived) and event.dialog is not None
        if shows and event.dialog not in self.dialogs:
            self.dialogs.append(event.dialog)
        if isinstance(event, Terminated):
            self.ended.append(event.dialog.id)

    def act(self, now: float) -> None:
        dice, endpoint = self.dice, self.party.endpoint
        try:
            match dice.randrange(12):
                case 0 | 1:
                    self.outgoing.append(
                        endpoint.invite(
                            f"sip:x@{self.peer.address[0]}",
                            self.party.to(self.peer, dice.choice(["UDP", "TCP"])),
                            now,
                            from_="<sip:me@h>",
                            body=dice.choice([SDP, b""]),
                            headers=dice.choice([(), (("Require", "100rel"),), (("X", "y" * 1500),)]),
                        )
                    )
                case 2 | 3 | 4 | 5 if self.incoming:
                    status = dice.choice([180, 183, 183, 200, 200, 200, 302, 486, 500])
                    body = dice.choice([SDP, SDP, b""])
                    endpoint.respond(
                        dice.choice(self.incoming[-5:]), status, now, body=body, reliable=dice.random() < 0.5
                    )
                case 6 if self.outgoing:
                    endpoint.cancel(dice.choice(self.outgoing[-3:]), now)
                case 7 if self.outgoing and self.dialogs:
                    endpoint.ack(self.outgoing[-1], self.dialogs[-1], now, body=SDP)
                case 8 if self.outgoing and self.dialogs:
                    endpoint.prack(self.outgoing[-1], self.dialogs[-1], now, body=SDP)
                case 9 if self.dialogs:
                    method = dice.choice(["INVITE", "UPDATE", "INFO", "OPTIONS"])
                    self.outgoing.append(
                        endpoint.request_in_dialog(
                            dice.choice(self.dialogs[-5:]), method, now, body=dice.choice([SDP, b""])
                        )
                    )
                case 10 if self.outgoing:
                    endpoint.reissue(dice.choice(self.outgoing[-3:]), now, headers=(("Authorization", "x"),))
                case 11 if self.dialogs and dice.random() < 0.5:
                    endpoint.bye(dice.choice(self.dialogs), now)
        except SipUseError:
            pass  # told what was wrong with it
        self.party.flush()


def leave_nothing(net: Network, parties: list[Monkey]) -> None:
    for _ in range(4):
        net.run(40)
        for monkey in parties:
            for exchange in monkey.incoming:
                monkey.party.endpoint.respond(exchange, 500, net.now)
            for dialog in monkey.dialogs:
                monkey.party.endpoint.bye(dialog, net.now)
            monkey.party.flush()
    net.run(400)
    for monkey in parties:
        assert monkey.party.endpoint.sizes == {
            "server_transactions": 0,
            "client_transactions": 0,
            "dialogs": 0,
            "timers": 0,
        }
        assert monkey.party.endpoint._requests.exchanges == {}
        assert monkey.party.endpoint._requests._fallback == {}
        assert monkey.party.endpoint._server._merged == {}
        assert len(monkey.ended) == len(set(monkey.ended)), "each dialog ends once"
        assert {dialog.id for dialog in monkey.dialogs} == set(monkey.ended)


@pytest.mark.parametrize("seed", range(10))
def test_two_applications_that_do_anything_at_any_time(seed: int) -> None:
    dice = random.Random(seed)
    lossy = {"loss": 0.2, "repeat": 0.2} if seed % 2 else {}
    net = Network(seed=seed, delay=(0.01, 0.3), **lossy)
    config = {"session_expires_s": 100, "min_se_s": 90 + seed % 20}
    alice, bob = net.party("alice", **config), net.party("bob", **config)
    monkeys = [Monkey(alice, bob, dice), Monkey(bob, alice, dice)]
    for _ in range(300):
        dice.choice(monkeys).act(net.now)
        net.run(dice.choice([0.0, 0.05, 0.3, 2.0]))
    leave_nothing(net, monkeys)


def damage(data: bytes, dice: random.Random) -> bytes:
    """Change what a confused or hostile peer might."""
    for _ in range(dice.randrange(1, 4)):
        match dice.randrange(9):
            case 0:
                data = data.replace(data.split(b" ", 1)[0], dice.choice(METHODS))
            case 1 if data.startswith(b"SIP/2.0 "):
                data = b"SIP/2.0 %d x" % dice.choice(STATUSES) + data[11:]
            case 2:
                data = data.replace(b"branch=z9hG4bK", b"branch=z9hG4bK%d" % dice.randrange(3))
            case 3:
                data = data.replace(b";tag=", b";gat=", dice.randrange(1, 3))
            case 4:
                data = data.replace(b"CSeq: ", b"CSeq: %d" % dice.randrange(20))
            case 5:
                data = data.replace(
                    b"\r\nContact: ", b"\r\n" + dice.choice([b"X: ", b"Record-Route: ", b"Contact: <tel:1>,"])
                )
            case 6:
                header = dice.choice(
                    [
                        b"RSeq: %d" % dice.randrange(9),
                        b"Require: 100rel",
                        b"RAck: 1 1 INVITE",
                        b"Session-Expires: %d" % dice.choice([0, 1, 95, 2**40]),
                        b"Min-SE: 99999999999",
                        b"Retry-After: 5",
                        b"Content-Encoding: gzip",
                        b"Supported: timer, 100rel",
                    ]
                )
                data = data.replace(b"\r\n", b"\r\n" + header + b"\r\n", 1)
            case 7 if data:
                at = dice.randrange(len(data))
                data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
            case 8 if data:
                data = data[: dice.randrange(len(data))]
    return data


@pytest.mark.parametrize("seed", range(10))
def test_18_damaged_messages_of_calls_never_raise_and_leave_nothing(seed: int) -> None:
    dice = random.Random(1000 + seed)
    net = Network(seed=seed, delay=(0.01, 0.2))
    alice, bob = net.party("alice"), net.party("bob")
    monkeys = [Monkey(alice, bob, dice), Monkey(bob, alice, dice)]
    heard: list[tuple[Party, Flow, bytes]] = []
    for _ in range(300):
        dice.choice(monkeys).act(net.now)
        heard += [(entry[2], entry[3], entry[4]) for entry in net.queue]
        if heard and dice.random() < 0.7:
            receiver, flow, data = dice.choice(heard[-30:])
            message = parse(damage(data, dice))
            if isinstance(message, ParseFailure):
                receiver.endpoint.receive_failure(flow, message, net.now)
            else:
                receiver.endpoint.receive_message(flow, message, net.now)
            if isinstance(message, Request):
                receiver.endpoint.shed(flow, message.raw, net.now)
            receiver.flush()
        net.run(dice.choice([0.0, 0.05, 0.3, 2.0]))
    leave_nothing(net, monkeys)
    assert all(d.state is DialogState.TERMINATED for monkey in monkeys for d in monkey.dialogs)
