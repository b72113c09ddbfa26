"""Dialogs (RFC 3261 12): identity, sequence numbers, route set, remote target, and their plain-JSON state.

The endpoint drives them; the application reads them and keeps what it likes in `note`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from .flow import Destination
from .session_timer import Agreement
from .uri import SipUri, parse_uri

if TYPE_CHECKING:
    from .accepted import UnacknowledgedAnswer
    from .exchange import IncomingRequest, OutgoingRequest
    from .flow import Flow
    from .message import Request, Response
    from .timers import Timer

STATE_VERSION = 1
DEFAULT_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061}
_MAX_ROUTES = 32
"""More Record-Route entries than a request can have hops in practice."""


class DialogState(Enum):
    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class DialogStateError(ValueError):
    """The saved state of a dialog is of another version or damaged; the dialog cannot be taken up again."""


@dataclass(slots=True, eq=False)
class Dialog:
    """One dialog, either side."""

    id: str
    """Opaque, unique in the process and across restarts."""
    call_id: str
    local_tag: str
    remote_tag: str
    caller: bool
    """True: we sent the INVITE."""
    state: DialogState = DialogState.EARLY
    local_address: str = ""
    """Value of From in our requests, tag included."""
    remote_address: str = ""
    """Value of To in our requests, tag included."""
    remote_target: str = ""
    route_set: tuple[str, ...] = ()
    """Values of Route, first hop first, each in angle brackets."""
    local_cseq: int = 0
    remote_cseq: int = -1
    transport: str = "UDP"
    """Of the dialog's last request; used when the remote target names none."""
    peer_allow: frozenset[str] = frozenset()
    """Methods of the peer's last Allow; empty when it never said."""
    peer_supported: frozenset[str] = frozenset()
    local_description: bytes = b""
    """Last application/sdp body we sent; used by the endpoint to refresh the session by re-INVITE. Set it yourself when
    you send multipart."""
    session: Agreement | None = None
    """The running session timer."""
    peer: Any = None
    """What the admission hook said about the source. Not part of the state."""
    note: Any = None
    """The application's own. Not part of the state."""

    # The endpoint's own.
    flow: Flow | None = field(default=None, repr=False)
    source: Flow | None = field(default=None, repr=False)
    """Where the last request of the dialog came from."""
    invite_in: IncomingRequest | None = field(default=None, repr=False)
    """INVITE of the peer without a final answer."""
    invite_out: OutgoingRequest | None = field(default=None, repr=False)
    """INVITE of ours without a final answer, or whose 2xx we did not acknowledge yet."""
    update_in: IncomingRequest | None = field(default=None, repr=False)
    update_out: OutgoingRequest | None = field(default=None, repr=False)
    unacknowledged: dict[int, UnacknowledgedAnswer] = field(default_factory=dict, repr=False)
    """CSeq -> our 2xx that waits for its ACK."""
    early_answered: bool = field(default=False, repr=False)
    """The INVITE's offer was answered by a reliable provisional answer: UPDATE may carry the next offer (RFC 3311 5.1)."""
    shown: bool = field(default=False, repr=False)
    """An event told the application of it, so its end is told too."""
    received_rseq: int = field(default=0, repr=False)
    owed_prack: Response | None = field(default=None, repr=False)
    refresh_timer: Timer | None = field(default=None, repr=False)
    expiry_timer: Timer | None = field(default=None, repr=False)
    glare_timer: Timer | None = field(default=None, repr=False)
    bye_later: tuple[tuple[tuple[str, str], ...], bytes, str] | None = field(default=None, repr=False)
    """A BYE that waits for the ACK (RFC 3261 15)."""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.call_id, self.local_tag, self.remote_tag)

    @property
    def can_offer(self) -> bool:
        """True when a re-INVITE or an UPDATE with an offer may be sent now: no INVITE open, no offer unanswered on either side."""
        return (
            self.state is DialogState.CONFIRMED
            and self.invite_in is None
            and self.invite_out is None
            and self.update_in is None
            and self.update_out is None
            and not self.unacknowledged
        )

    @property
    def can_update(self) -> bool:
        """True when the peer allows UPDATE (RFC 3311 4)."""
        return "UPDATE" in self.peer_allow

    def learn(self, message: Request | Response) -> None:
        """Take Allow and Supported of the peer's message."""
        allow = message.allow
        if allow:
            self.peer_allow = allow
        if "Supported" in message.headers:
            self.peer_supported = message.supported

    def refresh_target(self, message: Request | Response) -> None:
        """Target refresh (12.2.1.2, 12.2.2): the peer's Contact becomes the remote target."""
        contact = message.contact
        if contact is not None and contact.sip_uri is not None:
            self.remote_target = str(contact.uri)

    def next_hop(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route values of a request in this dialog (12.2.1.1), strict routers (no `lr`) included."""
        if not self.route_set:
            return self.remote_target, ()
        first = parse_uri(_uri_of(self.route_set[0]))
        if isinstance(first, SipUri) and not first.loose_routing:
            return str(first), (*self.route_set[1:], f"<{self.remote_target}>")
        return self.remote_target, self.route_set

    def destination(self, to_source: bool) -> Destination | None:
        """Where a request in this dialog goes (RFC 3261 8.1.2); None when the peer's URI cannot be reached by us.

        A connection on which the peer's requests came is used again (RFC 5923); on UDP only when `to_source`.
        """
        uri = parse_uri(_uri_of(self.route_set[0]) if self.route_set else self.remote_target)
        source = self.source
        if not isinstance(uri, SipUri):
            if source is None:
                return None
            return Destination(source.transport, source.remote[0], source.remote[1], source)
        transport = (uri.transport or "").upper()
        if uri.scheme == "sips":
            transport = "TLS"
        if transport not in DEFAULT_PORTS:
            transport = self.transport
        elif transport == "TCP" and self.transport == "TLS":
            # `sip:...;transport=tcp` of a peer that came by TLS: never fall back to clear text.
            transport = "TLS"
        flow = source if source is not None and source.transport == transport else None
        if flow is not None and not flow.reliable:
            if to_source:
                return Destination(transport, flow.remote[0], flow.remote[1], flow)
            flow = None
        host = uri.param("maddr") or uri.host
        return Destination(transport, host, uri.port or DEFAULT_PORTS[transport], flow)

    def to_state(self) -> dict[str, Any]:
        """Plain JSON: everything `Endpoint.restore` needs. Take it again after each event of the dialog and each request sent in it."""
        return {
            "version": STATE_VERSION,
            "id": self.id,
            "call_id": self.call_id,
            "local_tag": self.local_tag,
            "remote_tag": self.remote_tag,
            "caller": self.caller,
            "local_address": self.local_address,
            "remote_address": self.remote_address,
            "remote_target": self.remote_target,
            "route_set": list(self.route_set),
            "local_cseq": self.local_cseq,
            "remote_cseq": self.remote_cseq,
            "transport": self.transport,
            "peer_allow": sorted(self.peer_allow),
            "peer_supported": sorted(self.peer_supported),
            "local_description": base64.b64encode(self.local_description).decode("ascii"),
            "session": [self.session.interval_s, self.session.we_refresh] if self.session is not None else None,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Dialog:
        """A confirmed dialog again. Raises `DialogStateError`."""
        if state.get("version") != STATE_VERSION:
            raise DialogStateError(f"saved dialog has version {state.get('version')!r}; this is {STATE_VERSION}")
        try:
            session = state["session"]
            dialog = cls(
                id=_text(state["id"]),
                call_id=_text(state["call_id"]),
                local_tag=_text(state["local_tag"]),
                remote_tag=_text(state["remote_tag"], empty=True),
                caller=bool(state["caller"]),
                state=DialogState.CONFIRMED,
                shown=True,
                local_address=_text(state["local_address"]),
                remote_address=_text(state["remote_address"]),
                remote_target=_text(state["remote_target"], empty=True),
                route_set=tuple(_text(route) for route in state["route_set"]),
                local_cseq=int(state["local_cseq"]),
                remote_cseq=int(state["remote_cseq"]),
                transport=_text(state["transport"]),
                peer_allow=frozenset(_text(method) for method in state["peer_allow"]),
                peer_supported=frozenset(_text(tag) for tag in state["peer_supported"]),
                local_description=base64.b64decode(_text(state["local_description"], empty=True)),
                session=Agreement(int(session[0]), bool(session[1])) if session is not None else None,
            )
        except (KeyError, IndexError, TypeError, ValueError, binascii.Error) as error:
            raise DialogStateError(f"saved dialog is damaged: {error!r}") from error
        if dialog.transport not in DEFAULT_PORTS:
            raise DialogStateError(f"saved dialog has an unknown transport {dialog.transport!r}")
        return dialog


def route_set_of(message: Request | Response, reverse: bool) -> tuple[str, ...]:
    """The Record-Route values as a route set: in order for the callee, reversed for the caller (12.1.1, 12.1.2)."""
    if "Record-Route" not in message.headers:
        return ()
    routes = tuple(str(address) for address in message.record_route[:_MAX_ROUTES])
    return routes[::-1] if reverse else routes


def _uri_of(route: str) -> str:
    begin = route.find("<")
    return route[begin + 1 : route.find(">", begin)] if begin >= 0 else route


def _text(value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty) or "\r" in value or "\n" in value:
        raise ValueError(f"not a text: {value!r}")
    return value
