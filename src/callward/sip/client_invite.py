"""INVITE as client (RFC 3261 13.2, 14.1): early dialogs and forks, reliable provisional answers, 2xx with ACK, CANCEL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client_requests import ClientRequests
from .compose import HeaderList, holds_sdp
from .context import Context
from .dialog import Dialog, DialogState, route_set_of
from .dialog_table import DialogTable
from .events import Answered, Cause, Failed, ProvisionalReceived
from .exchange import OutgoingRequest
from .flow import Flow
from .message import Response
from .reliable_provisional import in_order
from .session_timer import agree_as_client

if TYPE_CHECKING:
    from .client_core import ClientCore

_FORKS = 32
"""Early dialogs of one INVITE; more To tags are an attack or a loop."""


class ClientInvites:
    """The INVITE part of the client core."""

    def __init__(self, context: Context, dialogs: DialogTable, requests: ClientRequests, core: ClientCore) -> None:
        self._context = context
        self._dialogs = dialogs
        self._requests = requests
        self._core = core

    def on_response(self, exchange: OutgoingRequest, response: Response, flow: Flow | None, now: float) -> None:
        if response.status < 200:
            self._on_provisional(exchange, response, flow, now)
        elif response.status < 300:
            self._on_success(exchange, response, flow, now)
        elif not exchange.over:
            self._on_failure(exchange, response, now)

    # Provisional answers ----------------------------------------------------------------------------------------------

    def _on_provisional(self, exchange: OutgoingRequest, response: Response, flow: Flow | None, now: float) -> None:
        exchange.provisional = True
        if exchange.cancel_headers is not None and not exchange.cancel_sent:
            self._send_cancel(exchange, now)
        if response.status == 100 or exchange.over:
            return
        dialog = exchange.dialog or self._early_dialog(exchange, response, flow)
        reliable = response.rseq is not None and "100rel" in response.require
        prack_needed = False
        if reliable and dialog is not None:
            assert response.rseq is not None
            if not in_order(dialog, response.rseq):
                self._context.count("provisionals_repeated")
                return
            dialog.owed_prack = response
            offerless = not holds_sdp(exchange.content_type, exchange.body)
            sdp = holds_sdp(response.headers.get("Content-Type") or "", response.body)
            dialog.early_answered = dialog.early_answered or sdp
            prack_needed = offerless and sdp
            if not prack_needed:
                self.prack(dialog, now, exchange=exchange)
        if exchange.cancel_headers is None:
            if dialog is not None:
                dialog.shown = True
            self._context.out.append(ProvisionalReceived(exchange, dialog, response, prack_needed))

    def prack(
        self,
        dialog: Dialog,
        now: float,
        *,
        exchange: OutgoingRequest,
        body: bytes = b"",
        content_type: str = "",
        internal: bool = True,
    ) -> OutgoingRequest | None:
        """Acknowledge the last reliable provisional answer; None when none is owed."""
        response, dialog.owed_prack = dialog.owed_prack, None
        if response is None:
            return None
        rack = f"{response.rseq} {exchange.cseq} INVITE"
        return self._core.send_in_dialog(
            dialog,
            "PRACK",
            now,
            headers=(("RAck", rack),),
            body=body,
            content_type=content_type,
            internal=internal,
        )

    def _early_dialog(self, exchange: OutgoingRequest, response: Response, flow: Flow | None) -> Dialog | None:
        """The dialog of this fork, made with its first answer (12.1.2)."""
        tag = response.to_tag
        if not tag:
            return None
        dialog = exchange.forks.get(tag)
        if dialog is None:
            if len(exchange.forks) >= _FORKS:
                self._context.count("forks_refused")
                return None
            dialog = Dialog(
                self._context.token(12),
                exchange.call_id,
                exchange.local_tag,
                tag,
                True,
                local_address=exchange.from_,
                remote_address=response.headers.get("To") or exchange.to,
                remote_target=exchange.uri,
                local_cseq=exchange.cseq,
                transport=(exchange.wire_destination or exchange.destination).transport,
                local_description=exchange.body if exchange.content_type.startswith("application/sdp") else b"",
                source=flow,
            )
            dialog.invite_out = exchange
            exchange.forks[tag] = dialog
            self._dialogs.add(dialog)
        # An early dialog's route set comes from its answers; the 2xx settles it (13.2.2.4).
        dialog.route_set = route_set_of(response, reverse=True)
        dialog.refresh_target(response)
        dialog.learn(response)
        return dialog

    # 2xx --------------------------------------------------------------------------------------------------------------

    def _on_success(self, exchange: OutgoingRequest, response: Response, flow: Flow | None, now: float) -> None:
        tag = response.to_tag or ""
        known = exchange.acks.get(tag)
        if known is not None:
            self._context.send(*known)
            return
        if exchange.dialog is not None and exchange.final_status and exchange.dialog.remote_tag == tag:
            return  # repeated before the application gave the ACK
        new_call = exchange.dialog is None or bool(exchange.forks)
        if not new_call:
            self._on_reinvite_success(exchange, response, now)
            return
        dialog = self._early_dialog(exchange, response, flow)
        if dialog is None:
            self._context.count("answers_without_tag")
            if not exchange.over:
                self._finish(exchange, response, Cause.REJECTED)
            return
        if exchange.over or exchange.cancel_headers is not None:
            self._discard(exchange, dialog, response, now)
            return
        dialog.state = DialogState.CONFIRMED
        exchange.over = True
        exchange.final_status = response.status
        exchange.dialog = dialog
        for other in exchange.forks.values():
            if other is not dialog and other.state is DialogState.EARLY:
                self._dialogs.end(other, Cause.CANCELLED, response=response)
        self._core.keeper.agree(dialog, agree_as_client(self._context.config, response), now)
        self._accept(exchange, dialog, response, now)

    def _on_reinvite_success(self, exchange: OutgoingRequest, response: Response, now: float) -> None:
        dialog = exchange.dialog
        assert dialog is not None
        exchange.final_status = response.status
        if dialog.state is DialogState.TERMINATED:
            # BYE crossed it: the 2xx still gets its ACK (15).
            self.ack(exchange, dialog, now)
            return
        exchange.over = True
        dialog.refresh_target(response)
        dialog.learn(response)
        self._core.keeper.agree(dialog, agree_as_client(self._context.config, response), now)
        self._accept(exchange, dialog, response, now)

    def _accept(self, exchange: OutgoingRequest, dialog: Dialog, response: Response, now: float) -> None:
        ack_needed = not holds_sdp(exchange.content_type, exchange.body)
        if not ack_needed:
            self.ack(exchange, dialog, now)
        dialog.shown = True
        self._context.out.append(Answered(exchange, dialog, response, ack_needed, exchange.refresh))

    def ack(
        self, exchange: OutgoingRequest, dialog: Dialog, now: float, body: bytes = b"", content_type: str = ""
    ) -> None:
        """Send the ACK of the 2xx, and keep it for its repetitions."""
        if dialog.invite_out is exchange:
            dialog.invite_out = None
        made = self._requests.success_ack(exchange, dialog, body, content_type)
        exchange.acks[dialog.remote_tag] = made
        self._context.send(*made)

    def _discard(self, exchange: OutgoingRequest, dialog: Dialog, response: Response, now: float) -> None:
        """A 2xx nobody wants: another fork's, or one that crossed our CANCEL. ACK, then BYE (13.2.2.4, 15)."""
        self._context.count("forks_ended")
        self.ack(exchange, dialog, now)
        if not exchange.over:
            self._finish(exchange, response, Cause.CANCELLED)
        self._dialogs.end(dialog, Cause.CANCELLED, response=response)
        self._dialogs.add(dialog)  # until its BYE is answered
        self._core.send_bye(dialog, now)

    # Failure ----------------------------------------------------------------------------------------------------------

    def _on_failure(self, exchange: OutgoingRequest, response: Response, now: float) -> None:
        dialog = exchange.dialog
        exchange.final_status = response.status
        cancelled = exchange.cancel_headers is not None
        if response.status == 422 and not cancelled:
            for early in exchange.forks.values():
                self._dialogs.end(early, Cause.REJECTED, response=response)
            exchange.forks.clear()
            if dialog is not None:
                dialog.invite_out = None
            if self._core.raise_interval(exchange, response, now):
                return
        if dialog is None or exchange.forks:
            cause = Cause.CANCELLED if cancelled else Cause.TIMEOUT if response.status == 408 else Cause.REJECTED
            self._finish(exchange, response, cause)
            return
        exchange.over = True
        dialog.invite_out = None
        if exchange.refresh and response.status not in (408, 481):
            if response.status == 491:
                self._core.wait_for_glare(exchange, dialog, now)
            else:
                self._core.refresh_again(dialog, now)
            return
        retry = None
        if response.status == 491:
            retry = self._core.wait_for_glare(exchange, dialog, now)
        elif response.retry_after is not None:
            retry = float(response.retry_after.delay_s)
        cause = Cause.CANCELLED if cancelled else Cause.REJECTED
        if not exchange.refresh:
            self._context.out.append(Failed(exchange, dialog, response, cause, retry))
        if response.status in (408, 481):
            # 14.1, 12.2.1.2: the peer does not know the dialog any more.
            self._core.end_with_bye(dialog, Cause.GONE, now, response)

    def _finish(self, exchange: OutgoingRequest, response: Response | None, cause: Cause) -> None:
        """No call comes of it: tell, and end its early dialogs."""
        exchange.over = True
        retry = response.retry_after if response is not None else None
        self._context.out.append(
            Failed(exchange, None, response, cause, float(retry.delay_s) if retry is not None else None)
        )
        for dialog in exchange.forks.values():
            if dialog.state is DialogState.EARLY:
                self._dialogs.end(dialog, cause, response=response)

    def on_no_answer(self, exchange: OutgoingRequest, cause: Cause, now: float) -> None:
        """Timer B, transport failure, or timer C: then the call is cancelled, and a 2xx that crosses is ended."""
        if exchange.cancel_headers is not None:
            cause = Cause.CANCELLED
        elif exchange.provisional:
            exchange.cancel_headers = ()
            self._send_cancel(exchange, now)
        dialog = exchange.dialog
        if dialog is None or exchange.forks:
            self._finish(exchange, None, cause)
            return
        exchange.over = True
        dialog.invite_out = None
        if not exchange.refresh:
            self._context.out.append(Failed(exchange, dialog, None, cause))
        if cause is not Cause.CANCELLED:
            self._core.end_with_bye(dialog, cause, now)

    # CANCEL -----------------------------------------------------------------------------------------------------------

    def cancel(self, exchange: OutgoingRequest, headers: HeaderList, now: float) -> None:
        if exchange.over or exchange.cancel_headers is not None:
            return
        exchange.cancel_headers = tuple(headers)
        if exchange.provisional:
            self._send_cancel(exchange, now)

    def _send_cancel(self, exchange: OutgoingRequest, now: float) -> None:
        exchange.cancel_sent = True
        cancel = self._requests.cancel_request(exchange, exchange.cancel_headers or ())
        self._requests.send_cancel(cancel, self._core, now)
        transaction = exchange.transaction
        # 9.1: a peer that never answers the INVITE after the CANCEL is given up after 64*T1.
        self._context.timers.start(now + self._context.settings.timeout_s, lambda at: self._abandon(exchange, at))
        assert transaction is not None

    def _abandon(self, exchange: OutgoingRequest, now: float) -> None:
        transaction = exchange.transaction
        if transaction is None or transaction.state != "proceeding":
            return
        transaction.feed("abandon", now)
        if exchange.over:
            return
        dialog = exchange.dialog
        if dialog is None or exchange.forks:
            self._finish(exchange, None, Cause.CANCELLED)
        else:
            exchange.over = True
            dialog.invite_out = None
            self._context.out.append(Failed(exchange, dialog, None, Cause.CANCELLED))
