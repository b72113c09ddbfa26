"""The user-agent server (RFC 3261 8.2, 9.2, 12.2.2): which requests are let in, and where each one goes.

Order of checks for a request: the source is an allowed peer (before any state is made) - a known transaction absorbs it - ACK and
CANCEL go to what they belong to - a To tag leads to its dialog or to 481 - outside dialogs: merged request 482, overload 503, method
405, URI scheme 416, Require 420, Content-Encoding 415, then the application. Everything refused outside a dialog is stateless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .client_core import ClientCore
from .compose import answer, echo_of, trying
from .context import Context
from .dialog import Dialog, DialogState, route_set_of
from .dialog_table import DialogTable
from .events import AckReceived, Cancelled, Cause, InviteReceived, RequestReceived
from .exchange import IncomingRequest
from .flow import Admission, Flow, Verdict
from .message import Request
from .refusal import Refusals, route_of_answer
from .server_dialog import ServerDialogs
from .server_transaction import ServerKey, ServerTransaction
from .session_timer import TooSmall, agree_as_server

Admit = Callable[[Flow, Request | None], Admission]
"""Decides about a source before any state is made. Request None: a connection was just accepted."""

_IN_DIALOG_ONLY = frozenset({"BYE", "PRACK", "UPDATE"})
_SCHEMES = frozenset({"sip", "sips", "tel"})
_COUNTED = frozenset(
    {
        *("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "INFO"),
        *("MESSAGE", "REFER", "NOTIFY", "SUBSCRIBE", "REGISTER", "PUBLISH"),
    }
)
"""Methods with a counter of their own; a peer's inventions share one."""


class ServerCore:
    """Requests from the wire, up to the event."""

    def __init__(self, context: Context, dialogs: DialogTable, client: ClientCore, admit: Admit) -> None:
        self._context = context
        self._dialogs = dialogs
        self._admit = admit
        self.refusals = Refusals(context)
        self.transactions: dict[ServerKey, ServerTransaction] = {}
        self._merged: dict[tuple[str, str, str], ServerTransaction] = {}
        self.in_dialog = ServerDialogs(context, dialogs, client)
        self.accepting = True
        config = context.config
        self._understood = frozenset(tag.lower() for tag in (*config.supported, *config.understood))
        self._allow = frozenset(config.allow)
        self._limit_with_reserve = int(config.max_transactions * (1 + config.reserve))

    def admit(self, flow: Flow, request: Request | None, now: float) -> Admission | None:
        """The admission of a source; None when it is refused, which was then answered (or not) and counted."""
        admission = self._admit(flow, request)
        if admission.verdict is Verdict.ACCEPT:
            return admission
        self._context.count("strangers_refused" if admission.verdict is Verdict.REFUSE else "strangers_dropped")
        if request is not None and admission.verdict is Verdict.REFUSE:
            self.refusals.refuse(flow, request, 403, now)
        return None

    def receive(self, flow: Flow, request: Request, now: float) -> None:
        admission = self.admit(flow, request, now)
        if admission is None:
            return
        method = request.method
        self._context.count("requests_" + (method if method in _COUNTED else "other"))
        key = _key_of(request, "INVITE" if method == "ACK" else method)
        transaction = self.transactions.get(key)
        if method == "ACK":
            if transaction is None or transaction.state == "accepted":
                self._on_ack(flow, request, now)
            else:
                transaction.feed("ack", now)
        elif transaction is not None:
            self._context.count("requests_repeated")
            transaction.feed("request", now)
        elif method == "CANCEL":
            self._on_cancel(flow, request, now)
        elif request.to_tag is not None:
            self._on_dialog_request(flow, request, key, admission, now)
        else:
            self._on_new_request(flow, request, key, admission, now)

    # Outside dialogs --------------------------------------------------------------------------------------------------

    def _on_new_request(self, flow: Flow, request: Request, key: ServerKey, admission: Admission, now: float) -> None:
        method = request.method
        config = self._context.config
        merge_key = (request.call_id, request.from_tag or "", request.headers.get("CSeq") or "")
        if merge_key in self._merged:
            self._refuse(flow, request, 482, now)
        elif len(self.transactions) >= config.max_transactions:
            self._overload(flow, request, now)
        elif method not in self._allow:
            self._refuse(flow, request, 405, now, ("Allow", ", ".join(config.allow)))
        elif method in _IN_DIALOG_ONLY:
            self._refuse(flow, request, 481, now)
        elif request.uri.scheme not in _SCHEMES:
            self._refuse(flow, request, 416, now)
        elif (unknown := self._unknown(request)) is not None:
            self._refuse(flow, request, 420, now, ("Unsupported", unknown))
        elif _is_encoded(request):
            self._refuse(flow, request, 415, now, ("Accept-Encoding", "identity"))
        elif method == "INVITE":
            self._on_invite(flow, request, key, merge_key, admission, now)
        else:
            exchange = self._open(flow, request, key, admission, self._context.token())
            self._remember(exchange, merge_key)
            self._context.out.append(RequestReceived(exchange, None, request, flow, admission.peer))

    def _on_invite(
        self,
        flow: Flow,
        request: Request,
        key: ServerKey,
        merge_key: tuple[str, str, str],
        admission: Admission,
        now: float,
    ) -> None:
        if not self.accepting or len(self._dialogs) >= self._context.config.max_dialogs:
            self._overload(flow, request, now)
            return
        agreement = agree_as_server(self._context.config, request)
        if isinstance(agreement, TooSmall):
            self._refuse(flow, request, 422, now, ("Min-SE", str(agreement.min_se_s)))
            return
        tag = self._context.token(12)
        host, port = flow.remote
        dialog = Dialog(
            tag,
            request.call_id,
            tag,
            request.from_tag or "",
            False,
            local_address=f"{request.headers.get('To')};tag={tag}",
            remote_address=request.headers.get("From") or "",
            # A peer without Contact is reached where it came from.
            remote_target=f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}",
            route_set=route_set_of(request, reverse=False),
            remote_cseq=request.cseq.number,
            transport=flow.transport,
            peer=admission.peer,
            source=flow,
        )
        dialog.refresh_target(request)
        dialog.learn(request)
        exchange = self._open(flow, request, key, admission, tag)
        self._remember(exchange, merge_key)
        exchange.dialog = dialog
        exchange.makes_dialog = True
        exchange.agreement = agreement
        dialog.invite_in = exchange
        dialog.shown = True
        self._dialogs.add(dialog)
        self._context.out.append(InviteReceived(exchange, dialog, request, flow, admission.peer))
        assert exchange.transaction is not None
        echo = exchange.echo
        exchange.transaction.await_answer(lambda: trying(request, echo), now)

    def _open(self, flow: Flow, request: Request, key: ServerKey, admission: Admission, tag: str) -> IncomingRequest:
        target, fallback = route_of_answer(flow, request.via)
        transaction = ServerTransaction(self._context, key, flow, target, fallback, self._on_end)
        exchange = IncomingRequest(
            request, flow, admission.peer, transaction=transaction, echo=echo_of(request, flow, tag)
        )
        transaction.exchange = exchange
        self.transactions[key] = transaction
        return exchange

    def _remember(self, exchange: IncomingRequest, merge_key: tuple[str, str, str]) -> None:
        """For merged requests: the same request by another way (8.2.2.2)."""
        assert exchange.transaction is not None
        exchange.transaction.merge_key = merge_key
        self._merged[merge_key] = exchange.transaction

    def _on_end(self, transaction: ServerTransaction) -> None:
        if self.transactions.get(transaction.key) is transaction:
            del self.transactions[transaction.key]
        if transaction.merge_key is not None:
            self._merged.pop(transaction.merge_key, None)

    def _unknown(self, request: Request) -> str | None:
        """Option tags of Require that nobody here understands (8.2.2.3)."""
        if "Require" not in request.headers:
            return None
        return ", ".join(sorted(request.require - self._understood)) or None

    def _overload(self, flow: Flow, request: Request, now: float) -> None:
        self._context.count("overload_refused")
        self._refuse(flow, request, 503, now, ("Retry-After", str(self._context.config.retry_after_s)))

    def _refuse(self, flow: Flow, request: Request, status: int, now: float, *headers: tuple[str, str]) -> None:
        self._context.count("refused")
        self.refusals.refuse(flow, request, status, now, headers=headers, limited=status == 503)

    # Inside dialogs ---------------------------------------------------------------------------------------------------

    def _on_dialog_request(
        self, flow: Flow, request: Request, key: ServerKey, admission: Admission, now: float
    ) -> None:
        dialog = self._dialogs.find(request.call_id, request.to_tag or "", request.from_tag or "")
        if dialog is None or not _is_same(dialog.peer, admission.peer):
            self._refuse(flow, request, 481, now)
            return
        if len(self.transactions) >= self._limit_with_reserve:
            self._overload(flow, request, now)
            return
        exchange = self._open(flow, request, key, admission, dialog.local_tag)
        exchange.dialog = dialog
        dialog.peer = admission.peer
        number = request.cseq.number
        unknown = self._unknown(request)
        if request.method == "BYE":
            # A BYE is obeyed whatever its number: refusing it would only keep a dead call.
            dialog.remote_cseq = max(dialog.remote_cseq, number)
        elif number <= dialog.remote_cseq:
            self.in_dialog.answer(exchange, 500, now)  # 12.2.2
            return
        else:
            dialog.remote_cseq = number
        dialog.source = flow
        dialog.transport = flow.transport
        if request.method not in self._allow:
            self.in_dialog.answer(exchange, 405, now, f"Allow: {', '.join(self._context.config.allow)}\r\n")
        elif unknown is not None:
            self.in_dialog.answer(exchange, 420, now, f"Unsupported: {unknown}\r\n")
        elif _is_encoded(request):
            self.in_dialog.answer(exchange, 415, now, "Accept-Encoding: identity\r\n")
        else:
            self.in_dialog.receive(exchange, dialog, now)

    def _on_ack(self, flow: Flow, request: Request, now: float) -> None:
        """The ACK of a 2xx: outside transactions (RFC 6026 8.7)."""
        dialog = self._dialogs.find(request.call_id, request.to_tag or "", request.from_tag or "")
        waiting = dialog.unacknowledged.pop(request.cseq.number, None) if dialog is not None else None
        if dialog is None or waiting is None:
            self._context.count("acks_unmatched")
            return
        waiting.stop()
        dialog.source = flow
        if dialog.state is DialogState.CONFIRMED:
            self._context.out.append(AckReceived(waiting.exchange, dialog, request))
        self.in_dialog.send_waiting_bye(dialog, now)

    def _on_cancel(self, flow: Flow, request: Request, now: float) -> None:
        """Answered without state: a repeated CANCEL finds the same INVITE and gets the same 200 (9.2)."""
        transaction = self.transactions.get(_key_of(request, "INVITE"))
        # Only the hop that sent the INVITE may cancel it.
        if transaction is None or transaction.flow.remote[0] != flow.remote[0]:
            self._refuse(flow, request, 481, now)
            return
        exchange: IncomingRequest | None = transaction.exchange
        dialog = exchange.dialog if exchange is not None else None
        tag = dialog.local_tag if dialog is not None else self.refusals.tag(request)
        target, _ = route_of_answer(flow, request.via)
        self._context.send(target, answer(200, "", echo_of(request, flow, tag), ""))
        if exchange is None or exchange.final_status or dialog is None:
            return
        self.in_dialog.answer(exchange, 487, now)
        self._context.out.append(Cancelled(exchange, dialog, request))
        if exchange.makes_dialog:
            self._dialogs.end(dialog, Cause.CANCELLED, request=request)


def _is_same(peer: Any, admitted: Any) -> bool:
    """Whoever is allowed here commands his own dialogs only, even when he knows the tags of another's."""
    return peer is None or admitted is None or getattr(peer, "id", peer) == getattr(admitted, "id", admitted)


def _key_of(request: Request, method: str) -> ServerKey:
    """17.2.3; for peers of RFC 2543 without branch the values that make the same request."""
    via = request.via
    if via.is_rfc3261:
        return (via.branch or "", via.sent_by, method)
    return (f"{request.call_id}\n{request.cseq.number}\n{request.from_tag}", via.sent_by, method)


def _is_encoded(request: Request) -> bool:
    coding = request.headers.get("Content-Encoding")
    return coding is not None and coding.strip().lower() not in ("", "identity") and bool(request.body)
