"""The user-agent layer: one SIP endpoint without I/O (RFC 3261 user agent core over its transactions and dialogs).

Rules of use
    - Put in what arrived: `receive_message`, `receive_failure`, `flow_closed`, `send_failed`, and `timeout` when `next_deadline()` has come.
    - Call verbs (`respond`, `invite`, `bye`, ...) at any time.
    - After each of them take `poll()`: bytes to send and events, in order. Nothing else has an effect outside.
    - `now` is monotonic seconds; it never goes back. Entropy for branches, tags and Call-IDs is given at construction.
    - Remote input never raises. Wrong use by the application raises `SipUseError`; a race that it could not know of (the request
      was cancelled meanwhile) makes the verb return False.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .config import EndpointConfig
from .events import Event
from .exchange import IncomingRequest, OutgoingRequest
from .flow import Admission, Destination, Flow, Transmit

if TYPE_CHECKING:
    from .dialog import Dialog
    from .message import ParseFailure, Request, Response

HeaderList = Sequence[tuple[str, str]]
Admit = Callable[["Flow", "Request | None"], Admission]
"""Decides about a source before any state is made. Request None: a connection was just accepted."""


class SipUseError(Exception):
    """A verb was called in a state that does not allow it."""


class Endpoint:
    """See the module's rules. `admit` tells which sources are allowed peers."""

    def __init__(self, config: EndpointConfig, entropy: Callable[[int], bytes], admit: Admit) -> None:
        self.config = config
        self.accepting = True
        """False: new calls get 503 with Retry-After (the application is not ready); dialogs go on."""
        raise NotImplementedError

    # What arrived -----------------------------------------------------------------------------------------------------

    def receive_message(self, flow: Flow, message: Request | Response, now: float) -> None:
        """One parsed message."""
        raise NotImplementedError

    def receive_failure(self, flow: Flow, failure: ParseFailure, now: float) -> None:
        """Something that is no SIP message: counted; answered statelessly where the peer and its Via could be read."""
        raise NotImplementedError

    def flow_closed(self, flow: Flow, now: float) -> None:
        """A connection is gone. Dialogs live on: the peer may come back on another one."""
        raise NotImplementedError

    def send_failed(self, transmit: Transmit, now: float) -> None:
        """The driver could not deliver (connection refused, name unknown)."""
        raise NotImplementedError

    def timeout(self, now: float) -> None:
        """Run what is due."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """When `timeout` wants to be called next; None: not at all."""
        raise NotImplementedError

    def poll(self) -> list[Transmit | Event]:
        """What to send and what happened since the last call, in order."""
        raise NotImplementedError

    # Server side ------------------------------------------------------------------------------------------------------

    def respond(
        self,
        exchange: IncomingRequest,
        status: int,
        now: float,
        *,
        reason: str = "",
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        reliable: bool = False,
    ) -> bool:
        """Answer a request. Returns False when it has a final answer already (cancelled meanwhile, or you answered).

        Via, From, To, Call-ID, CSeq, Contact, Record-Route, Allow, Supported, Server, Session-Expires, Content-Length are made here.
        `reliable` sends a 101-199 by RFC 3262 if the peer supports it (always when it requires it). A 2xx waits for the PRACK of a
        reliable provisional answer with a body.
        """
        raise NotImplementedError

    # Client side ------------------------------------------------------------------------------------------------------

    def invite(
        self,
        uri: str,
        destination: Destination,
        now: float,
        *,
        from_: str,
        to: str = "",
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        route: Sequence[str] = (),
        note: Any = None,
    ) -> OutgoingRequest:
        """Start a call. `from_` and `to` are name-addr values without tag (`to` defaults to the URI). No body: offerless, then `ack` has the answer."""
        raise NotImplementedError

    def request(
        self,
        method: str,
        uri: str,
        destination: Destination,
        now: float,
        *,
        from_: str,
        to: str = "",
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        route: Sequence[str] = (),
        note: Any = None,
    ) -> OutgoingRequest:
        """A request outside dialogs other than INVITE: OPTIONS, REGISTER, MESSAGE."""
        raise NotImplementedError

    def reissue(self, exchange: OutgoingRequest, now: float, *, headers: HeaderList) -> OutgoingRequest:
        """The same request again with CSeq + 1 and `headers` added, after 401, 407 or 422 (RFC 3261 22.2)."""
        raise NotImplementedError

    def cancel(self, exchange: OutgoingRequest, now: float, *, headers: HeaderList = ()) -> None:
        """Give an INVITE up. Waits for the first 1xx; if a 2xx crosses, it is acknowledged and ended with BYE. `Failed` follows."""
        raise NotImplementedError

    def ack(
        self,
        exchange: OutgoingRequest,
        dialog: Dialog,
        now: float,
        *,
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> None:
        """Acknowledge the 2xx of an offerless INVITE with the answer."""
        raise NotImplementedError

    def prack(
        self,
        exchange: OutgoingRequest,
        dialog: Dialog,
        now: float,
        *,
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> OutgoingRequest:
        """Acknowledge the last reliable provisional answer with `body` (see `ProvisionalReceived.prack_needed`)."""
        raise NotImplementedError

    # Inside a dialog --------------------------------------------------------------------------------------------------

    def request_in_dialog(
        self,
        dialog: Dialog,
        method: str,
        now: float,
        *,
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        note: Any = None,
    ) -> OutgoingRequest:
        """UPDATE, INFO, MESSAGE, REFER, NOTIFY, SUBSCRIBE, OPTIONS, or INVITE (see `reinvite`)."""
        raise NotImplementedError

    def reinvite(
        self,
        dialog: Dialog,
        now: float,
        *,
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        note: Any = None,
    ) -> OutgoingRequest:
        """INVITE inside a dialog. Raises `SipUseError` while another INVITE of it is open on either side (see `Dialog.can_offer`)."""
        raise NotImplementedError

    def bye(
        self, dialog: Dialog, now: float, *, headers: HeaderList = (), body: bytes = b"", content_type: str = ""
    ) -> None:
        """End a confirmed dialog; `Terminated` follows at once, the BYE is retransmitted in the background. A callee waits for the ACK first (15)."""
        raise NotImplementedError

    # State ------------------------------------------------------------------------------------------------------------

    def restore(self, state: Mapping[str, Any], now: float) -> Dialog:
        """Take a dialog up again from `Dialog.to_state()`, after a restart. Raises `SipUseError` when the state is not of this version or not whole."""
        raise NotImplementedError

    def dialog(self, dialog_id: str) -> Dialog | None:
        """Find a live dialog by `Dialog.id`."""
        raise NotImplementedError

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts since start, by name, for metrics: see docs/reference/sip-endpoint.md."""
        raise NotImplementedError
