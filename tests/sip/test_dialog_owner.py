"""Who may command a dialog: the peer that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from sip_link import SDP
from test_endpoint_server import HOME, PEER, Server, message

from callward.sip.events import InviteReceived, Terminated
from callward.sip.flow import Admission, Flow, Verdict
from callward.sip.message import Request


@dataclass(frozen=True)
class Known:
    id: str
    revision: int = 0


OTHER = Flow("UDP", HOME, ("198.51.100.8", 5060))
_REVISIONS = iter(range(100))


def by_address(flow: Flow, request: Request | None) -> Admission:
    """Each time another object, as after a change of the settings."""
    return Admission(Verdict.ACCEPT, Known(flow.remote[0], next(_REVISIONS)))


def test_another_allowed_peer_that_knows_the_tags_gets_481_and_ends_nothing() -> None:
    server = Server(by_address)
    server.put(message(body=SDP.decode(), Content_Type="application/sdp"))
    [invite] = [event for event in server.events if isinstance(event, InviteReceived)]
    server.endpoint.respond(invite.exchange, 200, server.now, body=SDP)
    [answer] = [answer for answer in server.take() if answer.status == 200]
    to = answer.headers.get("To") or ""
    server.put(message("ACK", To=to, CSeq="1 ACK", Via="SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKa2"))

    def bye(flow: Flow, number: int) -> list[int]:
        via = f"SIP/2.0/UDP {flow.remote[0]}:5062;branch=z9hG4bKb{number};rport"
        return [reply.status for reply in server.put(message("BYE", To=to, CSeq=f"{number} BYE", Via=via), flow)]

    assert bye(OTHER, 2) == [481]
    assert not any(isinstance(event, Terminated) for event in server.events)
    assert bye(PEER, 3) == [200]
    assert any(isinstance(event, Terminated) for event in server.events)
