"""The user-agent client (RFC 3261 8.1, 12.2.1, 13.2, 14.1, 15): what answers to our requests mean.

Theory of operation
    Each request is an `OutgoingRequest` with one transaction at a time. An INVITE outside a dialog may make several dialogs (forks): one
    early dialog for each To tag; the first 2xx wins, 2xx of other forks are acknowledged and ended with BYE (13.2.2.4). CANCEL waits
    for the first provisional answer (9.1); a 2xx that crosses it is acknowledged and ended with BYE.
"""

from __future__ import annotations

from .client_invite import ClientInvites
from .client_requests import ClientRequests
from .client_transaction import ClientTransaction
from .compose import HeaderList, holds_sdp
from .context import Context
from .dialog import Dialog, DialogState
from .dialog_table import DialogTable
from .events import Cause, Failed, ResponseReceived, RetryDue, SessionRefreshDue
from .exchange import OutgoingRequest
from .flow import Destination, Flow
from .message import Response
from .refusal import is_stray
from .session_keeper import SessionKeeper
from .session_timer import agree_as_client

_TRIES = 3
"""Automatic repetitions of one request with a larger Min-SE."""
_REFRESH_AGAIN = 0.125
"""Part of the session interval after which a refused refresh is tried again."""


class ClientCore:
    """Answers and time-outs of requests that are in a dialog, or outside and not INVITE; INVITE: `ClientInvites`."""

    def __init__(self, context: Context, dialogs: DialogTable, requests: ClientRequests) -> None:
        self._context = context
        self._dialogs = dialogs
        self.requests = requests
        self.keeper = SessionKeeper(context, self.refresh, self.expire)
        self.invites = ClientInvites(context, dialogs, requests, self)

    def receive(self, flow: Flow, response: Response, now: float) -> None:
        if is_stray(response):
            self._context.count("answers_astray")
            return
        transaction = self.requests.find(response)
        if transaction is None:
            self._context.count("answers_unmatched")
            return
        transaction.receive(response, flow, now)

    # Sending ----------------------------------------------------------------------------------------------------------

    def send_in_dialog(
        self,
        dialog: Dialog,
        method: str,
        now: float,
        *,
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "",
        note: object = None,
        refresh: bool = False,
        internal: bool = False,
    ) -> OutgoingRequest:
        """A request in the dialog; if the peer cannot be reached at all it fails at once."""
        uri, routes = dialog.next_hop()
        destination = dialog.destination(self._context.config.in_dialog_to_source)
        unreachable = destination is None or not uri
        dialog.local_cseq += 1
        exchange = OutgoingRequest(
            method,
            uri,
            destination or Destination(dialog.transport, "", 0),
            tuple(headers),
            body,
            content_type,
            dialog,
            note=note,
            number=self.requests.next_number(),
            call_id=dialog.call_id,
            cseq=dialog.local_cseq,
            from_=dialog.local_address,
            to=dialog.remote_address,
            local_tag=dialog.local_tag,
            route=routes,
            refresh=refresh,
            internal=internal,
        )
        if unreachable:
            self._give_up(exchange, Cause.TRANSPORT, now)
            return exchange
        if method == "INVITE":
            dialog.invite_out = exchange
        elif method == "UPDATE":
            dialog.update_out = exchange
        if content_type.lower().startswith("application/sdp") and body:
            dialog.local_description = body
        self.requests.send(exchange, self, now)
        return exchange

    def send_bye(self, dialog: Dialog, now: float, headers: HeaderList = (), body: bytes = b"", kind: str = "") -> None:
        """The BYE of a dialog that the application knows to be over; the dialog stays findable until it is answered."""
        self.send_in_dialog(dialog, "BYE", now, headers=headers, body=body, content_type=kind, internal=True)

    def end_with_bye(self, dialog: Dialog, cause: Cause, now: float, response: Response | None = None) -> None:
        if dialog.state is DialogState.TERMINATED:
            return
        self._dialogs.end(dialog, cause, response=response, linger=True)
        self.send_bye(dialog, now)

    def repeat(self, exchange: OutgoingRequest, now: float) -> None:
        """The same request with the next CSeq in a new transaction."""
        dialog = exchange.dialog
        if dialog is not None:
            dialog.local_cseq += 1
            exchange.cseq = dialog.local_cseq
        else:
            exchange.cseq += 1
        exchange.number = self.requests.next_number()
        exchange.provisional = False
        exchange.final_status = 0
        exchange.over = False
        if dialog is not None and exchange.method == "INVITE":
            dialog.invite_out = exchange
        elif dialog is not None and exchange.method == "UPDATE":
            dialog.update_out = exchange
        self.requests.send(exchange, self, now)

    # Answers (ClientUser) ---------------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        exchange = self.requests.exchanges.get(transaction.number)
        if exchange is None:
            return
        dialog = exchange.dialog
        if dialog is not None and dialog.source is None:
            dialog.source = transaction.flow
        if exchange.method == "INVITE":
            self.invites.on_response(exchange, response, transaction.flow, now)
        elif response.status >= 200:
            self._on_final(exchange, response, now)

    def on_no_answer(self, transaction: ClientTransaction, transport: bool, now: float) -> None:
        exchange = self.requests.exchanges.get(transaction.number)
        if exchange is None or exchange.over:
            return
        if transport and self.requests.fall_back(exchange, self, now):
            return
        cause = Cause.TRANSPORT if transport else Cause.TIMEOUT
        self._context.count("requests_" + ("unsendable" if transport else "unanswered"))
        if exchange.method == "INVITE":
            self.invites.on_no_answer(exchange, cause, now)
        else:
            self._give_up(exchange, cause, now)

    def _give_up(self, exchange: OutgoingRequest, cause: Cause, now: float) -> None:
        exchange.over = True
        dialog = exchange.dialog
        if dialog is not None:
            if dialog.update_out is exchange:
                dialog.update_out = None
            if exchange.method == "BYE":
                self._dialogs.remove(dialog)
                return
        if exchange.refresh and dialog is not None:
            self.end_with_bye(dialog, cause, now)
        elif not exchange.internal:
            self._context.out.append(Failed(exchange, dialog, None, cause))
            if dialog is not None and exchange.method == "INVITE":
                self.end_with_bye(dialog, cause, now)

    def _on_final(self, exchange: OutgoingRequest, response: Response, now: float) -> None:
        if exchange.over:
            if exchange.method == "BYE" and exchange.dialog is not None:
                self._dialogs.remove(exchange.dialog)
            return
        exchange.over = True
        exchange.final_status = response.status
        dialog = exchange.dialog
        if dialog is not None:
            if exchange.method == "BYE":
                self._dialogs.remove(dialog)
                return
            if exchange.method == "UPDATE" and self._on_update_final(exchange, dialog, response, now):
                return
            if response.status == 481 and dialog.state is DialogState.CONFIRMED and exchange.method != "PRACK":
                if not exchange.internal and not exchange.refresh:
                    self._context.out.append(ResponseReceived(exchange, dialog, response))
                self.end_with_bye(dialog, Cause.GONE, now, response)
                return
        if not exchange.internal and not exchange.refresh:
            self._context.out.append(ResponseReceived(exchange, dialog, response))

    def _on_update_final(self, exchange: OutgoingRequest, dialog: Dialog, response: Response, now: float) -> bool:
        """Target refresh, session timer and glare. True when nothing is left to tell."""
        if dialog.update_out is exchange:
            dialog.update_out = None
        dialog.learn(response)
        if response.is_success:
            dialog.refresh_target(response)
            if dialog.state is DialogState.CONFIRMED:
                self.keeper.agree(dialog, agree_as_client(self._context.config, response), now)
        elif response.status == 422 and self.raise_interval(exchange, response, now):
            return True
        elif response.status == 491:
            self.wait_for_glare(exchange, dialog, now)
        elif exchange.refresh and response.status in (405, 501):
            dialog.peer_allow = dialog.peer_allow - {"UPDATE"}
            self.refresh(dialog, now)
        elif exchange.refresh and response.status == 408:
            self.end_with_bye(dialog, Cause.TIMEOUT, now, response)
        elif exchange.refresh and response.status != 481:
            self.refresh_again(dialog, now)
        return False

    def raise_interval(self, exchange: OutgoingRequest, response: Response, now: float) -> bool:
        """422: ask again with the peer's Min-SE (RFC 4028 7.3)."""
        wanted = response.min_se_s
        if wanted is None or wanted <= exchange.min_se_s or wanted > 86_400 or exchange.tries >= _TRIES:
            return False
        exchange.tries += 1
        exchange.min_se_s = wanted
        self.repeat(exchange, now)
        return True

    def wait_for_glare(self, exchange: OutgoingRequest, dialog: Dialog, now: float) -> float:
        """491: the owner of the Call-ID waits 2.1-4 s, the other side 0-2 s (RFC 3261 14.1)."""
        delay = self._context.chance(2.1, 4.0) if dialog.caller else self._context.chance(0.0, 2.0)

        def due(at: float) -> None:
            dialog.glare_timer = None
            if dialog.state is not DialogState.CONFIRMED:
                return
            if exchange.refresh:
                self.refresh(dialog, at)
            else:
                self._context.out.append(RetryDue(exchange, dialog))

        self._context.timers.cancel(dialog.glare_timer)
        dialog.glare_timer = self._context.timers.start(now + delay, due)
        return delay

    # Session timer ----------------------------------------------------------------------------------------------------

    def refresh(self, dialog: Dialog, now: float) -> None:
        """Our turn to refresh: UPDATE without a body where the peer allows it, else re-INVITE with the last description."""
        if not dialog.can_offer:
            # Something is under way; if it succeeds, its 2xx refreshes too.
            self.refresh_again(dialog, now)
        elif dialog.can_update:
            self.send_in_dialog(dialog, "UPDATE", now, refresh=True)
        elif dialog.local_description:
            self.send_in_dialog(
                dialog,
                "INVITE",
                now,
                body=dialog.local_description,
                content_type="application/sdp",
                refresh=True,
            )
        else:
            self._context.out.append(SessionRefreshDue(dialog))

    def refresh_again(self, dialog: Dialog, now: float) -> None:
        if dialog.session is not None:
            self.keeper.refresh_in(dialog, max(1.0, dialog.session.interval_s * _REFRESH_AGAIN), now)

    def expire(self, dialog: Dialog, now: float) -> None:
        """Nobody refreshed. A timer that only we asked for (the peer knows none) ends nothing by itself."""
        self.end_with_bye(dialog, Cause.SESSION_EXPIRED, now)


def carries_offer(exchange: OutgoingRequest) -> bool:
    return holds_sdp(exchange.content_type, exchange.body)
