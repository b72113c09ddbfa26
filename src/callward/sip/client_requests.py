"""Sending requests: lines we add, transport choice (RFC 3261 18.1.1), the table of client transactions."""

from __future__ import annotations

from dataclasses import replace

from .client_transaction import ClientKey, ClientTransaction, ClientUser
from .compose import HeaderList, has_header, lines_of
from .compose import request as compose_request
from .context import Context
from .dialog import Dialog
from .exchange import OutgoingRequest
from .flow import Destination, Flow
from .message import Response
from .session_timer import request_headers

TARGET_REFRESH = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""Requests with a Contact that may change the remote target (RFC 3261 12.2, 3311, 6665, 3515)."""
_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})


class ContactWriter:
    """Contact lines, made once for each transport and address."""

    __slots__ = ("_cache", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cache: dict[tuple[str, str], str] = {}

    def line(self, transport: str, flow: Flow | None) -> str:
        host_port = self._context.host_port(transport, flow)
        line = self._cache.get((transport, host_port))
        if line is None:
            config = self._context.config
            user = f"{config.contact_user}@" if config.contact_user else ""
            param = "" if transport == "UDP" else f";transport={transport.lower()}"
            params = "".join(f";{text}" for text in config.contact_parameters)
            line = f"Contact: <sip:{user}{host_port}{param}>{params}\r\n"
            if len(self._cache) > 1000:
                self._cache.clear()
            self._cache[transport, host_port] = line
        return line


class ClientRequests:
    """Composes and sends requests; finds the transaction of an answer."""

    __slots__ = ("_context", "_fallback", "_number", "capabilities", "contacts", "exchanges", "transactions")

    def __init__(self, context: Context, contacts: ContactWriter) -> None:
        self._context = context
        self.contacts = contacts
        self.transactions: dict[ClientKey, ClientTransaction] = {}
        self.exchanges: dict[int, OutgoingRequest] = {}
        self._fallback: dict[int, Destination] = {}
        self._number = 0
        config = context.config
        self.capabilities = (
            f"Allow: {', '.join(config.allow)}\r\nSupported: {', '.join(config.supported)}\r\n"
            f"Accept: {', '.join(config.accept)}\r\n"
        )
        """Lines of Allow, Supported and Accept."""

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def send(self, exchange: OutgoingRequest, user: ClientUser, now: float) -> None:
        """Put the request on the wire in a new transaction."""
        destination = exchange.destination
        data = self._compose(exchange, destination)
        config = self._context.config
        if destination.transport == "UDP" and config.tcp_for_large and len(data) > config.udp_limit_bytes:
            # 18.1.1: a request near the path MTU must not go by UDP. The peer may not speak TCP: then it goes by UDP all the same.
            self._fallback[exchange.number] = destination
            destination = replace(destination, transport="TCP", flow=None)
            data = self._compose(exchange, destination)
        self._start(exchange, destination, data, user, now)

    def fall_back(self, exchange: OutgoingRequest, user: ClientUser, now: float) -> bool:
        """After a refused TCP connection: by UDP. False when it was no such case."""
        destination = self._fallback.pop(exchange.number, None)
        if destination is None:
            return False
        self._context.count("tcp_fallbacks")
        self._start(exchange, destination, self._compose(exchange, destination), user, now)
        return True

    def _start(
        self, exchange: OutgoingRequest, destination: Destination, data: bytes, user: ClientUser, now: float
    ) -> None:
        exchange.wire_destination = destination
        transaction = ClientTransaction(
            self._context,
            (exchange.branch, exchange.method),
            exchange.number,
            destination,
            data,
            user,
            self._on_end,
            (lambda response: self._failure_ack(exchange, response)) if exchange.method == "INVITE" else None,
        )
        exchange.transaction = transaction
        self.transactions[transaction.key] = transaction
        self.exchanges[exchange.number] = exchange
        transaction.feed("start", now)

    def find(self, response: Response) -> ClientTransaction | None:
        return self.transactions.get((response.via.branch or "", response.cseq.method))

    def _on_end(self, transaction: ClientTransaction) -> None:
        if self.transactions.get(transaction.key) is transaction:
            del self.transactions[transaction.key]
        exchange = self.exchanges.get(transaction.number)
        if exchange is not None and (exchange.transaction is transaction or exchange.number != transaction.number):
            del self.exchanges[transaction.number]
            self._fallback.pop(transaction.number, None)

    def via(self, branch: str, destination: Destination) -> str:
        host_port = self._context.host_port(destination.transport, destination.flow)
        return f"SIP/2.0/{destination.transport} {host_port};branch={branch};rport"

    def _compose(self, exchange: OutgoingRequest, destination: Destination) -> bytes:
        exchange.branch = "z9hG4bK" + self._context.token(9)
        method = exchange.method
        headers = exchange.headers
        lines = lines_of(headers)
        if method in TARGET_REFRESH and not has_header(headers, "contact"):
            lines += self.contacts.line(destination.transport, destination.flow)
        if method in ("INVITE", "UPDATE"):
            lines += self.capabilities + self._session_lines(exchange)
        return compose_request(
            method,
            exchange.uri,
            via=self.via(exchange.branch, destination),
            from_=exchange.from_,
            to=exchange.to,
            call_id=exchange.call_id,
            cseq=exchange.cseq,
            routes=exchange.route,
            lines=f"{lines}User-Agent: {self._context.config.server_name}\r\n",
            body=exchange.body,
            content_type=exchange.content_type,
        )

    def _session_lines(self, exchange: OutgoingRequest) -> str:
        config = self._context.config
        if "timer" not in config.supported or has_header(exchange.headers, "session-expires"):
            return ""
        dialog = exchange.dialog
        if dialog is None or exchange.forks:
            return request_headers(config, None, exchange.min_se_s)
        if dialog.session is None and ("timer" not in dialog.peer_supported or dialog.state.value == "early"):
            return ""
        return request_headers(config, dialog.session, exchange.min_se_s)

    def _failure_ack(self, exchange: OutgoingRequest, response: Response) -> bytes:
        """ACK of a 3xx-6xx: same branch, URI and route as the INVITE, To of the answer (17.1.1.3)."""
        assert exchange.wire_destination is not None
        return compose_request(
            "ACK",
            exchange.uri,
            via=self.via(exchange.branch, exchange.wire_destination),
            from_=exchange.from_,
            to=response.headers.get("To") or exchange.to,
            call_id=exchange.call_id,
            cseq=exchange.cseq,
            routes=exchange.route,
            lines="",
        )

    def cancel_request(self, exchange: OutgoingRequest, headers: HeaderList) -> OutgoingRequest:
        """The CANCEL of an INVITE, as an exchange of its own (9.1)."""
        assert exchange.wire_destination is not None
        return OutgoingRequest(
            "CANCEL",
            exchange.uri,
            exchange.wire_destination,
            tuple(headers),
            number=self.next_number(),
            call_id=exchange.call_id,
            cseq=exchange.cseq,
            from_=exchange.from_,
            to=exchange.to,
            route=exchange.route,
            branch=exchange.branch,
            internal=True,
        )

    def send_cancel(self, cancel: OutgoingRequest, user: ClientUser, now: float) -> None:
        data = compose_request(
            "CANCEL",
            cancel.uri,
            via=self.via(cancel.branch, cancel.destination),
            from_=cancel.from_,
            to=cancel.to,
            call_id=cancel.call_id,
            cseq=cancel.cseq,
            routes=cancel.route,
            lines=lines_of(cancel.headers),
        )
        self._start(cancel, cancel.destination, data, user, now)

    def success_ack(
        self, exchange: OutgoingRequest, dialog: Dialog, body: bytes, content_type: str
    ) -> tuple[Destination, bytes]:
        """ACK of a 2xx: a request in the dialog with a branch of its own, CSeq and credentials of the INVITE (13.2.2.4)."""
        uri, routes = dialog.next_hop()
        destination = dialog.destination(self._context.config.in_dialog_to_source)
        if destination is None:
            destination = exchange.wire_destination or exchange.destination
        credentials = [(name, value) for name, value in exchange.headers if name.lower() in _CREDENTIALS]
        data = compose_request(
            "ACK",
            uri,
            via=self.via("z9hG4bK" + self._context.token(9), destination),
            from_=dialog.local_address,
            to=dialog.remote_address,
            call_id=dialog.call_id,
            cseq=exchange.cseq,
            routes=routes,
            lines=lines_of(credentials) + self.contacts.line(destination.transport, destination.flow),
            body=body,
            content_type=content_type,
        )
        return destination, data
