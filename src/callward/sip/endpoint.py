"""The user-agent layer: one SIP endpoint without I/O (RFC 3261 user agent core over its transactions and dialogs).

Rules of use
    - Put in what arrived: `receive_message`, `receive_failure`, `flow_closed`, `send_failed`; and `timeout` when
      `next_deadline()` has come.
    - Call verbs (`respond`, `invite`, `bye`, ...) at any time.
    - After each of them take `poll()`: bytes to send and events, in order. Nothing else has an effect outside.
    - `now` is monotonic seconds; it never goes back. Entropy for branches, tags and Call-IDs is given at construction.
    - Remote input never raises. Wrong use by the application raises `SipUseError`; a race that it could not know of (the
      request was cancelled meanwhile) makes the verb return False, or give a `Failed` event.

Who does what: server_core.py lets requests in, server_dialog.py handles those of dialogs and sends answers, client_core.py and
client_invite.py handle answers to our requests; transactions, timers and session timers are below them. docs/explanation/sip-core.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .client_core import ClientCore
from .client_requests import ClientRequests, ContactWriter
from .compose import HeaderList, holds_sdp
from .config import EndpointConfig
from .context import Context
from .dialog import Dialog, DialogState, DialogStateError
from .dialog_table import DialogTable
from .events import Cause, Event, Failed
from .exchange import IncomingRequest, OutgoingRequest
from .flow import Destination, Flow, Transmit, Verdict
from .message import ParseFailure, Request, Response
from .server_core import Admit, ServerCore
from .shed import refuse_unparsed


class SipUseError(Exception):
    """A verb was called in a state that does not allow it."""


class Endpoint:
    """See the module's rules. `admit` tells which sources are allowed peers."""

    def __init__(self, config: EndpointConfig, entropy: Callable[[int], bytes], admit: Admit) -> None:
        self.config = config
        self._admit = admit
        self._context = Context(config, entropy)
        self._dialogs = DialogTable(self._context)
        self._requests = ClientRequests(self._context, ContactWriter(self._context))
        self._client = ClientCore(self._context, self._dialogs, self._requests)
        self._server = ServerCore(self._context, self._dialogs, self._client, admit)

    @property
    def accepting(self) -> bool:
        """False: new calls get 503 with Retry-After (the application is not ready); dialogs go on."""
        return self._server.accepting

    @accepting.setter
    def accepting(self, value: bool) -> None:
        self._server.accepting = value

    # What arrived -----------------------------------------------------------------------------------------------------

    def receive_message(self, flow: Flow, message: Request | Response, now: float) -> None:
        """One parsed message."""
        self._context.seen[flow.transport] = flow.local[0]
        if isinstance(message, Request):
            self._server.receive(flow, message, now)
        else:
            self._client.receive(flow, message, now)

    def receive_failure(self, flow: Flow, failure: ParseFailure, now: float) -> None:
        """Something that is no SIP message: counted; answered statelessly where the peer is known and its Via could be read."""
        self._context.count("garbage")
        if self._server.admit(flow, None, now) is not None:
            self._server.refusals.refuse_garbage(flow, failure, now)

    def admits(self, flow: Flow) -> bool:
        """Whether messages of this source are looked at, or a connection of it kept. Refused ones are counted."""
        if self._admit(flow, None).verdict is Verdict.ACCEPT:
            return True
        self._context.count("connections_refused" if flow.reliable else "strangers_dropped")
        return False

    def shed(self, flow: Flow, data: bytes, now: float) -> None:
        """The driver has no time for these octets: 503 without parsing them."""
        self._context.count("overload_shed")
        if self._admit(flow, None).verdict is not Verdict.ACCEPT or not self._server.refusals.allowed(
            now, overload=True
        ):
            return
        refusal = refuse_unparsed(data, flow, self._context.token(6), self.config.retry_after_s)
        if refusal is not None:
            self._context.out.append(refusal)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """A connection is gone. Dialogs live on: the peer may come back on another one, and we connect when we have to."""
        self._context.count("connections_closed")

    def send_failed(self, transmit: Transmit, now: float) -> None:
        """The driver could not deliver (connection refused, name unknown)."""
        self._context.count("sends_failed")
        exchange = self._requests.exchanges.get(transmit.exchange)
        transaction = exchange.transaction if exchange is not None else None
        if transaction is not None and transaction.destination == transmit.target:
            transaction.feed("error", now)

    def timeout(self, now: float) -> None:
        """Run what is due."""
        self._context.timers.run(now)

    def next_deadline(self) -> float | None:
        """When `timeout` wants to be called next; None: not at all."""
        return self._context.timers.next_deadline()

    def poll(self) -> list[Transmit | Event]:
        """What to send and what happened since the last call, in order."""
        out = self._context.out
        if out:
            self._context.out = []
        return out

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

        Via, From, To, Call-ID, CSeq, Contact, Record-Route, Allow, Supported, Accept, Server, Session-Expires and Content-Length
        are made here. `reliable` sends a 101-199 by RFC 3262 if the peer supports it (always when it requires it). A 2xx waits for
        the PRACK of a reliable provisional answer with a body.
        """
        if not 100 <= status <= 699:
            raise SipUseError(f"{status} is no SIP status; use 100 to 699")
        return self._server.in_dialog.respond(exchange, status, now, reason, headers, body, content_type, reliable)

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
        """Start a call. `from_` and `to` are name-addr values without tag (`to` defaults to the URI).

        Without a body it is offerless: the peer's 2xx holds the offer, and `ack` takes the answer.
        """
        return self.request(
            "INVITE",
            uri,
            destination,
            now,
            from_=from_,
            to=to,
            headers=headers,
            body=body,
            content_type=content_type,
            route=route,
            note=note,
        )

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
        """A request outside dialogs: OPTIONS, REGISTER, MESSAGE."""
        if method in ("ACK", "CANCEL", "BYE", "PRACK"):
            raise SipUseError(f"{method} has a verb of its own")
        tag = self._context.token(8)
        exchange = OutgoingRequest(
            method,
            uri,
            destination,
            tuple(headers),
            body,
            content_type,
            note=note,
            number=self._requests.next_number(),
            call_id=self._context.token(16),
            cseq=1,
            from_=f"{from_};tag={tag}",
            to=to or f"<{uri}>",
            local_tag=tag,
            route=tuple(route),
        )
        self._requests.send(exchange, self._client, now)
        return exchange

    def reissue(self, exchange: OutgoingRequest, now: float, *, headers: HeaderList) -> OutgoingRequest:
        """The same request again with CSeq + 1 and `headers` added, after 401 or 407 (RFC 3261 22.2). Gives the same handle back.

        Raises `SipUseError` while the request is still open. 422 is repeated by the endpoint itself.
        """
        if not exchange.over or exchange.final_status < 300:
            raise SipUseError("only a refused request can be issued again")
        replaced = {name.lower() for name, _ in headers}
        kept = tuple(item for item in exchange.headers if item[0].lower() not in replaced)
        exchange.headers = (*kept, *headers)
        exchange.forks.clear()
        self._client.repeat(exchange, now)
        return exchange

    def cancel(self, exchange: OutgoingRequest, now: float, *, headers: HeaderList = ()) -> None:
        """Give an INVITE up. Waits for the first 1xx; if a 2xx crosses, it is acknowledged and ended with BYE. `Failed` follows."""
        self._client.invites.cancel(exchange, headers, now)

    def ack(
        self,
        exchange: OutgoingRequest,
        dialog: Dialog,
        now: float,
        *,
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> None:
        """Acknowledge the 2xx of an offerless INVITE with the answer. Raises `SipUseError` when no 2xx waits for it."""
        if exchange.method != "INVITE" or not 200 <= exchange.final_status < 300:
            raise SipUseError("there is no 2xx to acknowledge")
        if dialog.remote_tag in exchange.acks:
            return
        if body and content_type.lower().startswith("application/sdp"):
            dialog.local_description = body
        self._client.invites.ack(exchange, dialog, now, body, content_type)

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
        sent = self._client.invites.prack(
            dialog, now, exchange=exchange, body=body, content_type=content_type, internal=False
        )
        if sent is None:
            raise SipUseError("no provisional answer waits for a PRACK")
        return sent

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
        """UPDATE, INFO, MESSAGE, REFER, NOTIFY, SUBSCRIBE, OPTIONS, or INVITE (see `reinvite`).

        On a dialog that ended meanwhile the answer is a `Failed` event with `Cause.GONE`.
        """
        if method in ("ACK", "CANCEL", "BYE", "PRACK"):
            raise SipUseError(f"{method} has a verb of its own")
        if dialog.state is DialogState.TERMINATED:
            exchange = OutgoingRequest(
                method, "", Destination(dialog.transport, "", 0), tuple(headers), body, content_type, dialog, note=note
            )
            exchange.over = True
            self._context.out.append(Failed(exchange, dialog, None, Cause.GONE))
            return exchange
        if method == "INVITE" and not dialog.can_offer:
            raise SipUseError("another offer is open in this dialog; wait until can_offer is true")
        if method == "UPDATE" and (
            dialog.update_out is not None or (holds_sdp(content_type, body) and not self._may_update(dialog))
        ):
            raise SipUseError("another offer is open in this dialog; wait until can_offer is true")
        return self._client.send_in_dialog(
            dialog, method, now, headers=headers, body=body, content_type=content_type, note=note
        )

    @staticmethod
    def _may_update(dialog: Dialog) -> bool:
        """RFC 3311 5.1: an offer in an early dialog only after the first one was answered."""
        return dialog.can_offer or (dialog.state is DialogState.EARLY and dialog.early_answered)

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
        """INVITE inside a dialog. Raises `SipUseError` while another offer is open on either side (see `Dialog.can_offer`)."""
        return self.request_in_dialog(
            dialog, "INVITE", now, headers=headers, body=body, content_type=content_type, note=note
        )

    def bye(
        self,
        dialog: Dialog,
        now: float,
        *,
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        """End a dialog; `Terminated` follows at once, the BYE is repeated in the background. Does nothing when it ended already.

        A callee waits for the ACK first (RFC 3261 15). An early dialog is ended by CANCEL, or by 480 on the callee's side.
        """
        if dialog.state is DialogState.TERMINATED:
            return
        if dialog.state is DialogState.EARLY and dialog.invite_out is not None:
            self.cancel(dialog.invite_out, now, headers=headers)
            return
        if dialog.invite_in is not None:
            early = dialog.state is DialogState.EARLY
            self._server.in_dialog.answer(dialog.invite_in, 480 if early else 487, now)
            if early:
                self._dialogs.end(dialog, Cause.LOCAL_BYE)
                return
        unanswered = dialog.invite_out
        if unanswered is not None and 200 <= unanswered.final_status < 300:
            self._client.invites.ack(unanswered, dialog, now)
        if dialog.unacknowledged and not dialog.caller:
            dialog.bye_later = (tuple(headers), body, content_type)
            self._dialogs.end(dialog, Cause.LOCAL_BYE, linger=True)
            return
        self._dialogs.end(dialog, Cause.LOCAL_BYE, linger=True)
        self._client.send_bye(dialog, now, headers, body, content_type)

    # State ------------------------------------------------------------------------------------------------------------

    def restore(self, state: Mapping[str, Any], now: float) -> Dialog:
        """Take a dialog up again from `Dialog.to_state()`, after a restart; its session timer starts anew.

        Raises `SipUseError` when the state is not of this version or not whole.
        """
        try:
            dialog = Dialog.from_state(state)
        except DialogStateError as error:
            raise SipUseError(str(error)) from error
        self._dialogs.add(dialog)
        self._client.keeper.agree(dialog, dialog.session, now)
        return dialog

    def dialog(self, dialog_id: str) -> Dialog | None:
        """Find a live dialog by `Dialog.id`."""
        dialog = self._dialogs.by_id(dialog_id)
        return dialog if dialog is not None and dialog.state is not DialogState.TERMINATED else None

    @property
    def dialogs(self) -> list[Dialog]:
        """All live dialogs."""
        return [dialog for dialog in self._dialogs if dialog.state is not DialogState.TERMINATED]

    def set_local(self, transport: str, host: str, port: int) -> None:
        """What Via and Contact say for that transport; the driver calls it when it has bound its sockets."""
        self._context.local[transport] = (host, port)

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts since start, by name, for metrics: see docs/reference/sip-endpoint.md."""
        return self._context.counters

    def count(self, name: str) -> None:
        """Add one to a counter; the driver counts what never reaches the endpoint."""
        self._context.count(name)

    @property
    def awaits_answers(self) -> bool:
        """True while a request of ours has no final answer, or a BYE waits for an ACK."""
        open_states = ("calling", "trying", "proceeding")
        return any(t.state in open_states for t in self._requests.transactions.values()) or any(
            dialog.bye_later is not None for dialog in self._dialogs
        )

    @property
    def sizes(self) -> Mapping[str, int]:
        """What is held now: `server_transactions`, `client_transactions`, `dialogs`, `timers`."""
        return {
            "server_transactions": len(self._server.transactions),
            "client_transactions": len(self._requests.transactions),
            "dialogs": len(self._dialogs),
            "timers": len(self._context.timers),
        }
