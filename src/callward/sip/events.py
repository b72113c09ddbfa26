"""What the endpoint tells its application. Events are frozen; verbs are methods of `endpoint.Endpoint`.

An *exchange* is one request and its answers as the application sees them. `IncomingRequest` is what the application answers
with `Endpoint.respond`; `OutgoingRequest` is what it gets back from the verbs that send a request. Both are handles: read
them, never write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dialog import Dialog
    from .exchange import IncomingRequest, OutgoingRequest
    from .flow import Flow
    from .message import Request, Response


class Cause(Enum):
    """Why an exchange or a dialog ended. A closed set: a call has one verdict."""

    LOCAL_BYE = "local_bye"
    """The application called `bye`."""
    REMOTE_BYE = "remote_bye"
    CANCELLED = "cancelled"
    """CANCEL of either side, before the final answer."""
    REJECTED = "rejected"
    """Final answer 3xx-6xx."""
    TIMEOUT = "timeout"
    """No answer: Timer B, F, C, or a 408."""
    TRANSPORT = "transport"
    """Could not be sent."""
    NO_ACK = "no_ack"
    """Our 2xx was never acknowledged in 64*T1; the endpoint sent a BYE (RFC 3261 13.3.1.4)."""
    NO_PRACK = "no_prack"
    """A reliable provisional answer was never acknowledged (RFC 3262 3); the INVITE got 504."""
    SESSION_EXPIRED = "session_expired"
    """The session timer ran out; the endpoint sent a BYE (RFC 4028 10)."""
    GONE = "gone"
    """The peer answered an in-dialog request with 481 or 408 (RFC 3261 12.2.1.2); the endpoint sent a BYE."""


@dataclass(frozen=True, slots=True)
class InviteReceived:
    """A new call. Answer it with `respond(exchange, ...)`; the dialog is early until a 2xx and dies with any other final answer.

    Session timer, Require, Contact, Record-Route, merged requests and overload were already dealt with. `exchange.request.body`
    holds the offer; empty for an offerless INVITE (then your 2xx carries the offer and `AckReceived` the answer).
    """

    exchange: IncomingRequest
    dialog: Dialog
    request: Request
    flow: Flow
    peer: Any
    """What the admission hook said about the source."""


@dataclass(frozen=True, slots=True)
class ReinviteReceived:
    """INVITE inside a dialog. Glare (491) and overlap (500) were already answered by the endpoint. Target refresh is done by the 2xx."""

    exchange: IncomingRequest
    dialog: Dialog
    request: Request
    flow: Flow
    peer: Any


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """Any other request that needs an answer by `respond`: OPTIONS, UPDATE, INFO, MESSAGE, REFER, NOTIFY, SUBSCRIBE, REGISTER, ...

    `dialog` is None outside dialogs. BYE, CANCEL, ACK and PRACK never come here, except a PRACK that carries a new offer
    (`ProvisionalAcknowledged.exchange`). An UPDATE without a body that only refreshes the session timer is answered by the endpoint.
    """

    exchange: IncomingRequest
    dialog: Dialog | None
    request: Request
    flow: Flow
    peer: Any


@dataclass(frozen=True, slots=True)
class AckReceived:
    """The first ACK of our 2xx. `request.body` is the answer when the INVITE had no offer. The dialog is confirmed on both sides."""

    exchange: IncomingRequest
    dialog: Dialog
    request: Request


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An INVITE (or re-INVITE) was cancelled by the caller; the endpoint answered 200 and 487. Free what you reserved.

    For the INVITE that would have made the dialog a `Terminated` with `Cause.CANCELLED` follows.
    """

    exchange: IncomingRequest
    dialog: Dialog
    request: Request
    """The CANCEL (its Reason header may tell why, RFC 3326)."""


@dataclass(frozen=True, slots=True)
class ProvisionalAcknowledged:
    """PRACK of a reliable provisional answer (RFC 3262). `request.body` may hold the answer to an offer made in it."""

    exchange: IncomingRequest | None
    """The PRACK itself when it carries a new offer and must be answered by `respond`; None when the endpoint answered 200."""
    invite: IncomingRequest
    dialog: Dialog
    request: Request


@dataclass(frozen=True, slots=True)
class ProvisionalReceived:
    """1xx (not 100) to a request of ours. For INVITE with a To tag `dialog` is the early dialog (one per fork)."""

    exchange: OutgoingRequest
    dialog: Dialog | None
    response: Response
    prack_needed: bool = False
    """True when it is reliable and carries an offer: call `prack(exchange, dialog, body)` with the answer. Otherwise the endpoint did."""


@dataclass(frozen=True, slots=True)
class Answered:
    """2xx to an INVITE or re-INVITE of ours. If the INVITE had an offer the endpoint has sent the ACK.

    Otherwise (`ack_needed`) call `ack` with the answer.
    """

    exchange: OutgoingRequest
    dialog: Dialog
    response: Response
    ack_needed: bool
    refresh: bool = False
    """True: the endpoint's own session refresh, sent with the dialog's last local description."""


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """Final answer of any class to a request of ours other than INVITE."""

    exchange: OutgoingRequest
    dialog: Dialog | None
    response: Response


@dataclass(frozen=True, slots=True)
class Failed:
    """A request of ours will get no success: final answer 3xx-6xx to an INVITE, or no answer at all to any request.

    After a failed re-INVITE the session goes on unchanged, unless a `Terminated` follows.
    """

    exchange: OutgoingRequest
    dialog: Dialog | None
    response: Response | None
    cause: Cause
    retry_after_s: float | None = None
    """For 491: when glare allows another try (RFC 3261 14.1); `RetryDue` comes then. For 503/500: Retry-After."""


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The glare timer after a 491 ran out: send the re-INVITE or UPDATE again, with a fresh offer, if it is still wanted."""

    exchange: OutgoingRequest
    """The refused one."""
    dialog: Dialog


@dataclass(frozen=True, slots=True)
class SessionRefreshDue:
    """We have to refresh the session, but the peer allows no UPDATE and no local description is known: call `reinvite`."""

    dialog: Dialog


@dataclass(frozen=True, slots=True)
class Terminated:
    """The dialog is over; the last event of it. Comes once for each dialog that another event showed."""

    dialog: Dialog
    cause: Cause
    request: Request | None = None
    """The BYE or CANCEL, if one came. SIPREC metadata in a BYE body is here (S12)."""
    response: Response | None = None


Event = (
    InviteReceived
    | ReinviteReceived
    | RequestReceived
    | AckReceived
    | Cancelled
    | ProvisionalAcknowledged
    | ProvisionalReceived
    | Answered
    | ResponseReceived
    | Failed
    | RetryDue
    | SessionRefreshDue
    | Terminated
)
