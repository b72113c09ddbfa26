"""Requests inside dialogs and all answers (RFC 3261 12.2.2, 13.3, 14.2, 15.1.2; 3262, 3311, 4028)."""

from __future__ import annotations

from .accepted import UnacknowledgedAnswer
from .client_core import ClientCore
from .compose import HeaderList, answer, has_header, holds_sdp, lines_of, trying
from .context import Context
from .dialog import Dialog, DialogState
from .dialog_table import DialogTable
from .events import Cause, ProvisionalAcknowledged, ReinviteReceived, RequestReceived
from .exchange import IncomingRequest
from .reliable_provisional import ReliableSender
from .session_timer import TooSmall, agree_as_server, answer_headers

_WITH_CONTACT = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER", "OPTIONS"})
_WITH_CAPABILITIES = frozenset({"INVITE", "UPDATE", "OPTIONS"})


class ServerDialogs:
    """What happens to requests of live dialogs, and how the application's answers are sent."""

    def __init__(self, context: Context, dialogs: DialogTable, client: ClientCore) -> None:
        self._context = context
        self._dialogs = dialogs
        self._client = client
        self._server_line = f"Server: {context.config.server_name}\r\n"

    def receive(self, exchange: IncomingRequest, dialog: Dialog, now: float) -> None:
        """A request whose CSeq, method and Require are in order."""
        method = exchange.request.method
        if method == "BYE":
            self._on_bye(exchange, dialog, now)
        elif dialog.state is DialogState.TERMINATED:
            self.answer(exchange, 481, now)
        elif method == "INVITE":
            self._on_reinvite(exchange, dialog, now)
        elif method == "UPDATE":
            self._on_update(exchange, dialog, now)
        elif method == "PRACK":
            self._on_prack(exchange, dialog, now)
        else:
            self._context.out.append(RequestReceived(exchange, dialog, exchange.request, exchange.flow, exchange.peer))

    def _on_bye(self, exchange: IncomingRequest, dialog: Dialog, now: float) -> None:
        self.answer(exchange, 200, now)
        if dialog.state is DialogState.TERMINATED:
            return  # our BYE crossed it
        pending = dialog.invite_in
        if pending is not None:
            self.answer(pending, 487, now)  # 15.1.2
        self._dialogs.end(dialog, Cause.REMOTE_BYE, request=exchange.request)

    def _too_early(self, exchange: IncomingRequest, now: float) -> None:
        """500 with a random Retry-After of 0 to 10 s (14.2, RFC 3311 5.2)."""
        delay = int(self._context.chance(0, 10.999))
        self.answer(exchange, 500, now, f"Retry-After: {delay}\r\n")

    def _on_reinvite(self, exchange: IncomingRequest, dialog: Dialog, now: float) -> None:
        if dialog.invite_in is not None or dialog.update_in is not None:
            self._too_early(exchange, now)
            return
        if dialog.invite_out is not None or dialog.update_out is not None or dialog.state is DialogState.EARLY:
            self._context.count("glare")
            self.answer(exchange, 491, now)
            return
        if not self._agree(exchange, now):
            return
        dialog.invite_in = exchange
        dialog.learn(exchange.request)
        self._context.out.append(ReinviteReceived(exchange, dialog, exchange.request, exchange.flow, exchange.peer))
        assert exchange.transaction is not None
        request, echo = exchange.request, exchange.echo
        exchange.transaction.await_answer(lambda: trying(request, echo), now)

    def _on_update(self, exchange: IncomingRequest, dialog: Dialog, now: float) -> None:
        request = exchange.request
        if dialog.update_in is not None:
            self._too_early(exchange, now)
            return
        if holds_sdp(request.headers.get("Content-Type") or "", request.body):
            offered = any(waiting.offerless for waiting in dialog.unacknowledged.values())
            open_offer = dialog.invite_out is not None and not dialog.early_answered
            if offered or open_offer or dialog.update_out is not None:
                self._context.count("glare")
                self.answer(exchange, 491, now)
                return
            if dialog.invite_in is not None and not dialog.early_answered:
                self._too_early(exchange, now)
                return
        if not self._agree(exchange, now):
            return
        dialog.learn(request)
        if not request.body:
            self.answer(exchange, 200, now)
            return
        dialog.update_in = exchange
        self._context.out.append(RequestReceived(exchange, dialog, request, exchange.flow, exchange.peer))

    def _agree(self, exchange: IncomingRequest, now: float) -> bool:
        agreement = agree_as_server(self._context.config, exchange.request)
        if isinstance(agreement, TooSmall):
            self.answer(exchange, 422, now, f"Min-SE: {agreement.min_se_s}\r\n")
            return False
        exchange.agreement = agreement
        return True

    def _on_prack(self, exchange: IncomingRequest, dialog: Dialog, now: float) -> None:
        request = exchange.request
        invite = dialog.invite_in
        rack = request.rack
        if rack is None:
            self.answer(exchange, 400, now)
            return
        if invite is None or invite.reliable is None or not invite.reliable.acknowledge(rack, now):
            self.answer(exchange, 481, now)
            return
        sdp = holds_sdp(request.headers.get("Content-Type") or "", request.body)
        new_offer = sdp and dialog.early_answered
        if invite.reliable.last_with_sdp or sdp:
            dialog.early_answered = True
        if not new_offer:
            self.answer(exchange, 200, now)
        self._context.out.append(ProvisionalAcknowledged(exchange if new_offer else None, invite, dialog, request))
        if not new_offer:
            invite.reliable.go_on(now)

    # Answers ----------------------------------------------------------------------------------------------------------

    def respond(
        self,
        exchange: IncomingRequest,
        status: int,
        now: float,
        reason: str,
        headers: HeaderList,
        body: bytes,
        content_type: str,
        reliable: bool,
    ) -> bool:
        """The application's answer. False when there is a final one already."""
        if not exchange.answerable:
            return False
        if status < 200:
            return self._provisional(exchange, status, now, reason, headers, body, content_type, reliable)
        if status < 300 and exchange.reliable is not None and exchange.reliable.holds_answer:
            exchange.deferred = True

            def send(at: float) -> None:
                exchange.deferred = False
                self.answer(exchange, status, at, lines_of(headers), reason, headers, body, content_type)

            exchange.reliable.finish_later(send)
            return True
        self.answer(exchange, status, now, lines_of(headers), reason, headers, body, content_type)
        dialog = exchange.dialog
        if dialog is not None:
            if status >= 300 and exchange.makes_dialog:
                self._dialogs.end(dialog, Cause.REJECTED)
            elif exchange.request.method == "PRACK" and dialog.invite_in is not None:
                sender = dialog.invite_in.reliable
                if sender is not None:
                    sender.go_on(now)
        return True

    def _provisional(
        self,
        exchange: IncomingRequest,
        status: int,
        now: float,
        reason: str,
        headers: HeaderList,
        body: bytes,
        content_type: str,
        reliable: bool,
    ) -> bool:
        transaction = exchange.transaction
        assert transaction is not None
        request = exchange.request
        if request.method != "INVITE":
            return True  # RFC 4320 4.1: none but 100, and that only after a while
        lines = lines_of(headers) + self._dialog_lines(exchange, headers, status)
        if status == 100:
            transaction.answer(100, answer(100, reason, exchange.echo, self._server_line), now)
            return True
        wanted = reliable and ("100rel" in request.supported or "100rel" in request.require)
        if not wanted and "100rel" not in request.require:
            transaction.answer(status, answer(status, reason, exchange.echo, lines, body, content_type), now)
            return True
        if exchange.reliable is None:
            exchange.reliable = ReliableSender(
                self._context, request.cseq.number, lambda at: self._no_prack(exchange, at)
            )

        def send(rseq: int, at: float) -> None:
            extra = f"{lines}Require: 100rel\r\nRSeq: {rseq}\r\n"
            transaction.answer(status, answer(status, reason, exchange.echo, extra, body, content_type), at)

        return exchange.reliable.send(send, bool(body), holds_sdp(content_type, body), now)

    def _no_prack(self, exchange: IncomingRequest, now: float) -> None:
        dialog = exchange.dialog
        self.answer(exchange, 504, now)
        if dialog is not None and exchange.makes_dialog:
            self._dialogs.end(dialog, Cause.NO_PRACK)

    def _dialog_lines(self, exchange: IncomingRequest, headers: HeaderList, status: int) -> str:
        method = exchange.request.method
        flow = exchange.flow
        lines = ""
        if status < 300:
            if method in _WITH_CONTACT and not has_header(headers, "contact"):
                lines += self._client.requests.contacts.line(flow.transport, flow)
            if exchange.makes_dialog and "Record-Route" in exchange.request.headers:
                lines += "".join([f"Record-Route: {v}\r\n" for v in exchange.request.headers.get_lines("Record-Route")])
            if method in _WITH_CAPABILITIES:
                lines += self._client.requests.capabilities
        return lines + self._server_line

    def answer(
        self,
        exchange: IncomingRequest,
        status: int,
        now: float,
        lines: str = "",
        reason: str = "",
        headers: HeaderList = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        """Send a final answer and do what it means for the dialog. `lines` are whole header lines, made of `headers` too."""
        transaction = exchange.transaction
        if transaction is None or exchange.final_status:
            return
        exchange.final_status = status
        request = exchange.request
        method = request.method
        dialog = exchange.dialog
        if exchange.reliable is not None:
            exchange.reliable.stop()
        if dialog is not None:
            if dialog.invite_in is exchange:
                dialog.invite_in = None
            elif dialog.update_in is exchange:
                dialog.update_in = None
        refreshes = status < 300 and dialog is not None and method in ("INVITE", "UPDATE")
        agreement = exchange.agreement
        lines += self._dialog_lines(exchange, headers, status)
        if refreshes:
            lines += answer_headers(agreement, request)
        transaction.answer(status, answer(status, reason, exchange.echo, lines, body, content_type), now)
        if refreshes and dialog is not None:
            self._accept(exchange, dialog, body, content_type, now)
        exchange.transaction = None

    def _accept(self, exchange: IncomingRequest, dialog: Dialog, body: bytes, content_type: str, now: float) -> None:
        """2xx to INVITE or UPDATE: the dialog is confirmed, its target and session timer are as agreed."""
        request = exchange.request
        if not exchange.makes_dialog:
            dialog.refresh_target(request)
        if body and content_type.lower().startswith("application/sdp"):
            dialog.local_description = body
        if request.method == "INVITE":
            dialog.state = DialogState.CONFIRMED
            assert exchange.transaction is not None
            dialog.unacknowledged[request.cseq.number] = UnacknowledgedAnswer(
                self._context, exchange, exchange.transaction, self._no_ack, now
            )
        if dialog.state is DialogState.CONFIRMED:
            self._client.keeper.agree(dialog, exchange.agreement, now)

    def _no_ack(self, waiting: UnacknowledgedAnswer, now: float) -> None:
        """64*T1 without ACK (13.3.1.4)."""
        dialog = waiting.exchange.dialog
        assert dialog is not None
        dialog.unacknowledged.pop(waiting.exchange.request.cseq.number, None)
        if dialog.bye_later is not None:
            self.send_waiting_bye(dialog, now)
        else:
            self._client.end_with_bye(dialog, Cause.NO_ACK, now)

    def send_waiting_bye(self, dialog: Dialog, now: float) -> None:
        """The BYE that the application asked for before the ACK had come (15)."""
        if dialog.bye_later is None or dialog.unacknowledged:
            return
        headers, body, content_type = dialog.bye_later
        dialog.bye_later = None
        self._client.send_bye(dialog, now, headers, body, content_type)
