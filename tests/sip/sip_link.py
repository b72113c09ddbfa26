"""A fake network in fake time: endpoints joined by links that lose, repeat and reorder messages by a seeded random generator."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from callward.sip.config import EndpointConfig
from callward.sip.endpoint import Endpoint
from callward.sip.events import Event
from callward.sip.flow import Admission, Destination, Flow, Transmit, Verdict
from callward.sip.message import ParseFailure, Request, Response, parse

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


def entropy(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def everybody(flow: Flow, request: Request | None) -> Admission:
    return Admission(Verdict.ACCEPT, "peer")


class Party:
    """One endpoint on the network, its events, and what its application does with them."""

    def __init__(
        self, network: Network, name: str, address: tuple[str, int], config: EndpointConfig, admit: Any
    ) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.endpoint = Endpoint(config, entropy(hash_of(name)), admit)
        for transport in ("UDP", "TCP", "TLS"):
            self.endpoint.set_local(transport, *address)
        self.events: list[Event] = []
        self.received: list[Request | Response] = []
        self.sent: list[Request | Response] = []
        self.on_event: Callable[[Event], None] = lambda event: None

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def to(self, other: Party, transport: str = "UDP") -> Destination:
        return Destination(transport, *other.address)

    def flush(self) -> None:
        while items := self.endpoint.poll():
            for item in items:
                if isinstance(item, Transmit):
                    self.network.carry(self, item)
                else:
                    self.events.append(item)
                    self.on_event(item)

    def requests(self, method: str) -> list[Request]:
        """Requests of that method that arrived here."""
        return [m for m in self.received if isinstance(m, Request) and m.method == method]

    def answers(self, method: str) -> list[int]:
        return [m.status for m in self.received if isinstance(m, Response) and m.cseq.method == method]


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "big")


class Network:
    """All parties and the clock."""

    def __init__(
        self, seed: int = 1, loss: float = 0.0, repeat: float = 0.0, delay: tuple[float, float] = (0.01, 0.01)
    ) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.repeat = repeat
        self.delay = delay
        self.now = 1000.0
        self.parties: dict[tuple[str, int], Party] = {}
        self.queue: list[tuple[float, int, Party, Flow, bytes]] = []
        self.count = 0
        self.drop: Callable[[Party, Party, Request | Response], bool] = lambda sender, receiver, message: False
        self.no_tcp: set[str] = set()

    def party(self, name: str, *, admit: Any = everybody, **config: Any) -> Party:
        address = (f"192.0.2.{len(self.parties) + 1}", 5060)
        party = Party(self, name, address, EndpointConfig(**config), admit)
        self.parties[address] = party
        return party

    def carry(self, sender: Party, item: Transmit) -> None:
        target = item.target
        if isinstance(target, Flow):
            transport, address = target.transport, target.remote
        else:
            transport, address = target.transport, (target.host, target.port)
        receiver = self.parties.get(address)
        if receiver is None or (transport != "UDP" and receiver.name in self.no_tcp):
            sender.endpoint.send_failed(item, self.now)
            return
        message = parse(item.data)
        if isinstance(message, ParseFailure):
            # The answer to garbage copies garbage; everything else that we send is well formed.
            assert item.data.startswith((b"SIP/2.0 4", b"SIP/2.0 5")), (message, item.data)
            return
        sender.sent.append(message)
        if self.drop(sender, receiver, message):
            return
        copies = 1
        if transport == "UDP":
            copies = 0 if self.random.random() < self.loss else 2 if self.random.random() < self.repeat else 1
        for _ in range(copies):
            self.count += 1
            flow = Flow(transport, receiver.address, sender.address, 0 if transport == "UDP" else 1)
            at = self.now + self.random.uniform(*self.delay)
            heapq.heappush(self.queue, (at, self.count, receiver, flow, item.data))

    def run(self, seconds: float = 1.0) -> None:
        end = self.now + seconds
        steps = 0
        for party in self.parties.values():
            party.flush()
        while True:
            steps += 1
            assert steps < 200_000, "the network never comes to rest"
            deadlines = [d for p in self.parties.values() if (d := p.endpoint.next_deadline()) is not None]
            due = min([*deadlines, *(entry[0] for entry in self.queue[:1])], default=end + 1)
            if due > end:
                break
            self.now = max(self.now, due)
            while self.queue and self.queue[0][0] <= self.now:
                _, _, receiver, flow, data = heapq.heappop(self.queue)
                message = parse(data)
                assert not isinstance(message, ParseFailure)
                receiver.received.append(message)
                receiver.endpoint.receive_message(flow, message, self.now)
                receiver.flush()
            for party in self.parties.values():
                party.endpoint.timeout(self.now)
                party.flush()
        self.now = end


def answering(party: Party, status: int = 200, body: bytes = SDP) -> None:
    """Let the party answer every INVITE and re-INVITE at once, and all else with 200."""
    from callward.sip.events import InviteReceived, ReinviteReceived, RequestReceived

    def on_event(event: Event) -> None:
        if isinstance(event, InviteReceived | ReinviteReceived):
            party.endpoint.respond(event.exchange, status, party.network.now, body=body if status < 300 else b"")
        elif isinstance(event, RequestReceived):
            party.endpoint.respond(event.exchange, 200, party.network.now)

    party.on_event = on_event


def call(caller: Party, callee: Party, transport: str = "UDP", body: bytes = SDP, **more: Any) -> Any:
    """Send an INVITE."""
    host, port = callee.address
    return caller.endpoint.invite(
        f"sip:{callee.name}@{host}:{port}",
        caller.to(callee, transport),
        caller.network.now,
        from_=f"<sip:{caller.name}@{caller.address[0]}>",
        body=body,
        **more,
    )
