"""What the endpoint does with requests before the application sees them: admission, refusals, merged requests, routing of answers."""

from __future__ import annotations

from typing import Any

import pytest
from sip_link import SDP, Network, answering, call, entropy, everybody

from callward.sip.config import EndpointConfig
from callward.sip.endpoint import Endpoint
from callward.sip.events import InviteReceived, RequestReceived, Terminated
from callward.sip.flow import Admission, Flow, Transmit, Verdict
from callward.sip.message import ParseFailure, Response, parse

HOME = ("192.0.2.1", 5060)
PEER = Flow("UDP", HOME, ("198.51.100.7", 5099))
CONNECTION = Flow("TCP", HOME, ("198.51.100.7", 40000), 7)


def message(method: str = "INVITE", **changes: str) -> bytes:
    values = {
        "Via": "SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKa1;rport",
        "From": '"A" <sip:a@example.org>;tag=a',
        "To": "<sip:b@192.0.2.1>",
        "Call-ID": "c1",
        "CSeq": f"1 {method}",
        "Contact": "<sip:a@198.51.100.7:5062>",
        "Max-Forwards": "70",
    }
    uri = changes.pop("uri", "sip:b@192.0.2.1")
    body = changes.pop("body", "")
    for name, value in changes.items():
        values[name.replace("_", "-")] = value
    lines = "".join(f"{name}: {value}\r\n" for name, value in values.items() if value)
    return f"{method} {uri} SIP/2.0\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Server:
    """An endpoint fed with octets."""

    def __init__(self, admit: Any = everybody, **config: Any) -> None:
        self.endpoint = Endpoint(EndpointConfig(**config), entropy(7), admit)
        self.endpoint.set_local("UDP", *HOME)
        self.now = 100.0
        self.events: list[Any] = []
        self.sent: list[Transmit] = []

    def put(self, data: bytes, flow: Flow = PEER) -> list[Response]:
        """Feed one message; gives the answers."""
        parsed = parse(data)
        if isinstance(parsed, ParseFailure):
            self.endpoint.receive_failure(flow, parsed, self.now)
        else:
            self.endpoint.receive_message(flow, parsed, self.now)
        return self.take()

    def take(self) -> list[Response]:
        answers = []
        for item in self.endpoint.poll():
            if isinstance(item, Transmit):
                self.sent.append(item)
                parsed = parse(item.data)
                if isinstance(parsed, Response):
                    answers.append(parsed)
            else:
                self.events.append(item)
        return answers

    def only(self, data: bytes, flow: Flow = PEER) -> Response:
        (answer,) = self.put(data, flow)
        return answer


def test_unknown_peers_get_403_without_any_state_and_are_counted() -> None:
    server = Server(lambda flow, request: Admission(Verdict.REFUSE))
    first = server.only(message())
    assert first.status == 403
    assert server.only(message()).to_tag == first.to_tag, "a repeated request gets the same To tag (8.2.7)"
    assert server.endpoint.sizes == {"server_transactions": 0, "client_transactions": 0, "dialogs": 0, "timers": 0}
    assert server.endpoint.counters["strangers_refused"] == 2
    assert server.events == []


def test_unknown_peers_get_silence_when_so_decided() -> None:
    server = Server(lambda flow, request: Admission(Verdict.DROP))
    assert server.put(message()) == []
    assert server.put(b"garbage") == []
    assert server.endpoint.counters["strangers_dropped"] == 2


def test_refusals_are_rate_limited_so_that_we_are_no_reflector() -> None:
    server = Server(lambda flow, request: Admission(Verdict.REFUSE), refusals_per_s=10.0)
    assert sum(len(server.put(message(Call_ID=f"c{n}"))) for n in range(100)) == 10
    server.now += 0.5
    assert sum(len(server.put(message(Call_ID=f"d{n}"))) for n in range(100)) == 5
    assert server.endpoint.counters["refusals_suppressed"] == 185


def test_identity_comes_from_the_flow_never_from_the_from_header() -> None:
    def admit(flow: Flow, request: Any) -> Admission:
        return Admission(Verdict.ACCEPT if flow.remote[0] == "198.51.100.7" else Verdict.REFUSE, flow.remote[0])

    server = Server(admit)
    stranger = Flow("UDP", HOME, ("203.0.113.9", 5060))
    assert server.only(message(), stranger).status == 403
    server.put(message())
    assert server.events[0].peer == "198.51.100.7"


@pytest.mark.parametrize(
    ("data", "status", "header"),
    [
        (message("PUBLISH"), 405, ("Allow", "INVITE, ACK")),
        (message("BYE"), 481, None),
        (message("PRACK"), 481, None),
        (message("CANCEL"), 481, None),
        (message("INFO", To="<sip:b@192.0.2.1>;tag=unknown"), 481, None),
        (message(uri="http://example.org"), 416, None),
        (message(Require="100rel, nobody-knows, timer"), 420, ("Unsupported", "nobody-knows")),
        (message(Content_Encoding="gzip", body="x"), 415, ("Accept-Encoding", "identity")),
        (message(Session_Expires="60", Supported="timer"), 422, ("Min-SE", "90")),
        (message(Max_Forwards="x"), 400, None),
        (message(CSeq="1 OPTIONS"), 400, None),
    ],
)
def test_8_2_refusals_are_stateless(data: bytes, status: int, header: tuple[str, str] | None) -> None:
    server = Server()
    answer = server.only(data)
    assert answer.status == status
    assert answer.to_tag
    if header is not None:
        assert (answer.headers.get(header[0]) or "").startswith(header[1])
    assert server.endpoint.sizes["server_transactions"] == 0
    assert server.put(message("ACK", To=answer.headers.get("To") or "")) == []
    assert server.events == []


def test_s02_configured_option_tags_are_understood() -> None:
    server = Server(understood=("siprec",))
    server.put(message(Require="siprec, 100rel, timer"))
    assert isinstance(server.events[0], InviteReceived)


def test_8_2_2_2_a_merged_request_gets_482() -> None:
    server = Server()
    server.put(message())
    merged = server.only(message(Via="SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKother"))
    assert merged.status == 482
    assert len(server.events) == 1


def test_17_2_3_peers_without_magic_cookie_are_matched_as_rfc_2543_says() -> None:
    server = Server()
    old = message(Via="SIP/2.0/UDP 198.51.100.7:5062")
    server.put(old)
    server.put(old)
    assert len(server.events) == 1
    server.endpoint.respond(server.events[0].exchange, 486, server.now)
    server.take()
    server.put(message("ACK", Via="SIP/2.0/UDP 198.51.100.7:5062", CSeq="1 ACK"))
    server.endpoint.timeout(server.now + 10)
    assert server.take() == [], "the ACK ended the retransmission"


@pytest.mark.parametrize(
    ("via", "remote", "answered"),
    [
        ("SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKa;rport", ("198.51.100.7", 5099), "received=198.51.100.7"),
        ("SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKa", ("198.51.100.7", 5062), None),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", ("198.51.100.7", 5060), "received=198.51.100.7"),
        ("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;maddr=203.0.113.5", ("198.51.100.7", 5070), "received="),
    ],
)
def test_18_2_answers_go_where_the_request_came_from(via: str, remote: tuple[str, int], answered: str | None) -> None:
    server = Server()
    server.put(message("OPTIONS", Via=via + ", SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKb"))
    server.endpoint.respond(server.events[0].exchange, 200, server.now)
    (answer,) = server.take()
    target = server.sent[-1].target
    assert isinstance(target, Flow)
    assert target.remote == remote
    assert [v.host for v in answer.vias][1:] == ["10.9.9.9"]
    if answered:
        assert answered in (answer.headers.get("Via") or "")


def test_18_2_2_answers_on_connections_know_where_to_go_when_it_is_gone() -> None:
    server = Server()
    server.put(message("OPTIONS", Via="SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bKa"), CONNECTION)
    server.endpoint.respond(server.events[0].exchange, 200, server.now)
    server.take()
    assert server.sent[-1].target == CONNECTION
    assert server.sent[-1].fallback == ("198.51.100.7", 5070)


def test_ipv6_peers() -> None:
    server = Server()
    server.endpoint.set_local("UDP", "2001:db8::1", 5070)
    flow = Flow("UDP", ("2001:db8::1", 5070), ("2001:db8::2", 5062))
    invite = message(
        Via="SIP/2.0/UDP [2001:db8::2]:5062;branch=z9hG4bKa",
        Contact="<sip:a@[2001:db8::2]:5062;transport=UDP>",
        uri="sip:b@[2001:db8::1]:5070",
    )
    server.put(invite, flow)
    event = server.events[0]
    server.endpoint.respond(event.exchange, 200, server.now, body=SDP)
    (answer,) = server.take()
    assert "[2001:db8::1]:5070" in (answer.headers.get("Contact") or "")
    destination = event.dialog.destination(False)
    assert (destination.transport, destination.host, destination.port) == ("UDP", "2001:db8::2", 5062)


@pytest.mark.parametrize("spelling", ["udp", "UDP", "Udp", "tcp", "TCP"])
def test_transport_of_the_contact_in_any_case(spelling: str) -> None:
    server = Server()
    server.put(message(Contact=f"<sip:a@198.51.100.7:5062;transport={spelling}>"))
    assert server.events[0].dialog.destination(False).transport == spelling.upper()


def test_a_peer_on_tls_is_never_called_back_in_clear_text() -> None:
    server = Server()
    flow = Flow("TLS", HOME, ("198.51.100.7", 40000), 3)
    server.put(message(Contact="<sip:a@198.51.100.7:5062;transport=tcp>"), flow)
    destination = server.events[0].dialog.destination(False)
    assert destination.transport == "TLS"
    assert destination.flow == flow


def test_a_peer_without_contact_is_reached_where_it_came_from() -> None:
    server = Server()
    server.put(message(Contact=""))
    assert server.events[0].dialog.remote_target == "sip:198.51.100.7:5099"


def test_s03_contact_with_the_users_parameters_in_answers_and_requests() -> None:
    net = Network()
    alice = net.party("alice")
    bob = net.party("bob", contact_parameters=("+sip.srs",), contact_user="recorder")
    answering(bob)
    call(alice, bob)
    net.run(1)
    contact = "<sip:recorder@192.0.2.2:5060>;+sip.srs"
    assert [m.headers.get("Contact") for m in bob.sent if isinstance(m, Response) and m.status == 200] == [contact]
    bob.endpoint.request_in_dialog(bob.of(InviteReceived)[0].dialog, "UPDATE", net.now, body=b"x", content_type="a/b")
    net.run(1)
    assert alice.requests("UPDATE")[0].headers.get("Contact") == contact


def test_s40_not_accepting_means_503_with_retry_after_for_calls_while_dialogs_and_options_go_on() -> None:
    net = Network()
    alice, bob = net.party("alice"), net.party("bob", retry_after_s=7)
    answering(bob)
    call(alice, bob)
    net.run(1)
    bob.endpoint.accepting = False
    call(alice, bob)
    net.run(1)
    failed = [e for e in alice.events if type(e).__name__ == "Failed"]
    assert [(e.response.status, e.retry_after_s) for e in failed] == [(503, 7.0)]
    alice.endpoint.request_in_dialog(alice.endpoint.dialogs[0], "OPTIONS", net.now)
    net.run(1)
    assert isinstance(bob.events[-1], RequestReceived)


def test_19_at_the_bound_of_transactions_new_calls_get_503_and_dialogs_go_on() -> None:
    server = Server(max_transactions=10, retry_after_s=3)
    server.put(message())
    server.endpoint.respond(server.events[0].exchange, 200, server.now, body=SDP)
    tag = server.take()[0].to_tag
    for n in range(30):
        server.put(message(Call_ID=f"x{n}", Via=f"SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKx{n}"))
    assert server.endpoint.sizes["server_transactions"] == 10
    assert server.endpoint.counters["overload_refused"] == 21
    to = f"<sip:b@192.0.2.1>;tag={tag}"
    bye = server.only(message("BYE", To=to, CSeq="2 BYE", Via="SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKbye"))
    assert bye.status == 200
    assert isinstance(server.events[-1], Terminated)


def test_19_the_bound_of_dialogs() -> None:
    server = Server(max_dialogs=2)
    for n in range(5):
        server.put(message(Call_ID=f"x{n}", Via=f"SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKx{n}"))
    assert server.endpoint.sizes["dialogs"] == 2


def test_19_the_unparsed_503_copies_what_an_answer_needs() -> None:
    server = Server(retry_after_s=9)
    folded = message(Via="SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKa,\r\n SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKb")
    server.endpoint.shed(PEER, folded, server.now)
    (answer,) = server.take()
    assert answer.status == 503
    assert answer.retry_after is not None
    assert answer.retry_after.delay_s == 9
    assert [via.host for via in answer.vias] == ["10.0.0.1", "10.0.0.2"]
    assert answer.via.received == "198.51.100.7"
    assert answer.to_tag
    for junk in (
        b"",
        b"INVITE",
        b"\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        message("ACK"),
        b"INVITE x SIP/2.0\r\nVia: y\r\n\r\n",
    ):
        server.endpoint.shed(PEER, junk, server.now)
    assert server.take() == []


def test_garbage_never_makes_state_and_never_raises() -> None:
    server = Server()
    whole = message(body="v=0\r\n")
    for cut in range(0, len(whole), 7):
        server.put(whole[:cut])
        server.put(whole[:cut] + b"\xff\x00" + whole[cut + 2 :])
    assert server.endpoint.sizes["server_transactions"] <= 120
    assert all(400 <= a.status < 600 or a.status == 100 for a in server.take())


def test_broadworks_a_bye_or_ack_with_an_odd_cseq_method_is_obeyed() -> None:
    server = Server()
    server.put(message())
    server.endpoint.respond(server.events[0].exchange, 200, server.now, body=SDP)
    to = f"<sip:b@192.0.2.1>;tag={server.take()[0].to_tag}"
    server.put(message("ACK", To=to, CSeq="1 INVITE", Via="SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKack"))
    assert type(server.events[-1]).__name__ == "AckReceived"
    bye = server.only(message("BYE", To=to, CSeq="2 INVITE", Via="SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKbye"))
    assert bye.status == 200
    assert isinstance(server.events[-1], Terminated)


def test_header_values_of_the_application_cannot_inject_lines() -> None:
    server = Server()
    server.put(message("OPTIONS"))
    server.endpoint.respond(
        server.events[0].exchange, 200, server.now, reason="a\r\nX: y", headers=(("X-A", "1\r\nEvil: 2"),)
    )
    (answer,) = server.take()
    assert "Evil" not in answer.headers
    assert "X" not in answer.headers


def test_100_trying_comes_after_200_ms_for_invite_and_never_for_others() -> None:
    server = Server()
    assert server.put(message(Timestamp="54.2")) == []
    assert server.put(message("OPTIONS", Call_ID="o", Via="SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKo")) == []
    server.endpoint.timeout(server.now + 0.21)
    (trying,) = server.take()
    assert trying.status == 100
    assert trying.headers.get("Timestamp") == "54.2"
