"""The one asyncio driver of the SIP core: UDP, TCP and TLS sockets, and the clock. Works on asyncio's loop and on uvloop.

Use: make a `Driver` inside the running loop, `listen_*`, and handle events in `on_event` (synchronous, quick; it may call verbs of the
endpoint with `driver.now()`). Verbs called elsewhere, in tasks, are followed by `driver.flush()`.

Under load: what was received waits in driver_queue.py; one turn of the loop works on it for `turn_budget_s` at most, calls in
progress first. driver_datagram.py, driver_stream.py and driver_connector.py own the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

import structlog

from .driver_connector import Connector, is_address
from .driver_datagram import DatagramSocket, open_datagram
from .driver_queue import ReceiveQueue
from .driver_settings import DriverSettings
from .driver_stream import Connection, StreamListener, open_listener
from .endpoint import Endpoint
from .events import Event
from .flow import Destination, Flow, HostPort, Transmit
from .framing import Framed, KeepAlive
from .tls import TlsSettings, client_context, server_context

__all__ = ["Driver", "DriverSettings"]

logger = structlog.get_logger()

_SWEEP_S = 1.0
_TRACE_BYTES = 200
_LOOKUPS = 256
"""Host names being looked up at once, for UDP."""


class Driver:
    """Runs one endpoint."""

    def __init__(
        self, endpoint: Endpoint, on_event: Callable[[Event], None], settings: DriverSettings | None = None
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings or DriverSettings()
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._queue = ReceiveQueue(endpoint, self.settings)
        self._datagrams: list[DatagramSocket] = []
        self._listeners: list[StreamListener] = []
        self._connections: dict[int, Connection] = {}
        self._by_address: dict[str, int] = {}
        self._connector = Connector(self, self._next_number, self._send_failed)
        self._lookups: set[asyncio.Task[None]] = set()
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._turn_waits = False
        self._flushing = False
        self._closed = False
        self._traces = logging.getLogger().isEnabledFor(logging.DEBUG)
        self._settled: asyncio.Event | None = None
        self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def now(self) -> float:
        """The clock of the endpoint: `loop.time()`."""
        return self._loop.time()

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    # Sockets ----------------------------------------------------------------------------------------------------------

    async def listen_udp(
        self, host: str, port: int, *, sock: socket.socket | None = None, advertised: str = ""
    ) -> HostPort:
        """Open (or adopt) a UDP socket. `advertised` is the host for Via and Contact. Returns the bound address."""
        bound = DatagramSocket(
            sock or open_datagram(host, port),
            len(self._datagrams),
            sock is None,
            self.settings.udp_receive_buffer_bytes,
            self._on_datagram,
            self.batch_done,
        )
        self._datagrams.append(bound)
        self._advertise("UDP", bound.local, advertised)
        return bound.local

    async def listen_tcp(
        self, host: str, port: int, *, sock: socket.socket | None = None, advertised: str = ""
    ) -> HostPort:
        """Open (or adopt) a listening TCP socket."""
        listener = StreamListener(self, sock or open_listener(host, port), sock is None, "TCP", self._next_number)
        self._listeners.append(listener)
        self._advertise("TCP", listener.local, advertised)
        return listener.local

    async def listen_tls(
        self, host: str, port: int, tls: TlsSettings, *, sock: socket.socket | None = None, advertised: str = ""
    ) -> HostPort:
        """Open (or adopt) a listening TCP socket for TLS. Raises `TlsSettingsError` for unusable files."""
        context = server_context(tls)
        listener = StreamListener(
            self, sock or open_listener(host, port), sock is None, "TLS", self._next_number, tls, context
        )
        self._listeners.append(listener)
        self._advertise("TLS", listener.local, advertised)
        return listener.local

    def reload_tls(self, tls: TlsSettings) -> None:
        """New certificate, authorities or revocation list for new connections of all TLS listeners. Raises `TlsSettingsError`."""
        context = server_context(tls)
        for listener in self._listeners:
            if listener.context is not None:
                listener.tls, listener.context = tls, context

    def connect_with(self, tls: TlsSettings) -> None:
        """Settings of outbound TLS connections. Raises `TlsSettingsError`."""
        self._connector.tls = (tls, client_context(tls))

    def _advertise(self, transport: str, local: HostPort, advertised: str) -> None:
        self.endpoint.set_local(transport, advertised or local[0], local[1])

    # Receiving --------------------------------------------------------------------------------------------------------

    def _on_datagram(self, flow: Flow, data: bytes) -> None:
        if len(data) > 4 or data.strip(b"\r\n\0"):  # keep-alives of NAT are shorter
            if self._traces:
                _trace("sip_received", flow, data)
            self._queue.put_datagram(flow, data, self.now())

    def received(self, connection: Connection, framed: Framed) -> None:
        assert connection.flow is not None
        if self._traces and not isinstance(framed, KeepAlive):
            _trace("sip_received", connection.flow, framed.raw)
        self._queue.put_framed(connection.flow, framed, connection, self.now())

    def batch_done(self) -> None:
        """Something was put into the queue or happened to a connection."""
        if not self._turn_waits and not self._closed:
            self._turn()

    def _turn(self) -> None:
        self._turn_waits = False
        now = self.now()
        end = now + self.settings.turn_budget_s
        while now < end and self._queue.step(now):
            self._deliver()
            now = self.now()
        if len(self._queue) and not self._closed:
            self._turn_waits = True
            self._loop.call_soon(self._turn)
        self.flush()

    # Sending ----------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what the endpoint has to send, deliver its events, set its timer."""
        self._deliver()
        if self._settled is not None and not self.endpoint.awaits_answers:
            self._settled.set()
        deadline = self.endpoint.next_deadline()
        timer = self._timer
        if deadline is None or self._closed or (timer is not None and self._timer_at <= deadline):
            return
        if timer is not None:
            timer.cancel()
        self._timer_at = deadline  # uvloop's handle of a deadline in the past does not know it
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.endpoint.timeout(self.now())
        self.flush()

    def _deliver(self) -> None:
        if self._flushing:
            return  # the application called flush inside on_event; the loop below goes on
        self._flushing = True
        try:
            while items := self.endpoint.poll():
                for item in items:
                    if isinstance(item, Transmit):
                        self._send(item)
                    else:
                        self._tell(item)
        finally:
            self._flushing = False

    def _tell(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:  # one broken call must not stop the others
            logger.exception("sip_event_failed", kind=type(event).__name__)

    def _send(self, item: Transmit) -> None:
        target = item.target
        if self._traces:
            _trace("sip_sent", target, item.data)
        if isinstance(target, Destination):
            flow = target.flow
            if target.transport == "UDP":
                self._send_to(item, target, flow)
                return
            if flow is not None and self._write(flow, item.data):
                return
            self._connector.send(target, item)
        elif target.reliable:
            if self._write(target, item.data):
                return
            if item.fallback is not None:
                self._connector.send(Destination(target.transport, *item.fallback), item)
        elif target.listener < len(self._datagrams):
            self._datagrams[target.listener].send(item.data, target.remote)

    def _write(self, flow: Flow, data: bytes) -> bool:
        connection = self._connections.get(flow.connection)
        return connection is not None and connection.write(data)

    def _send_to(self, item: Transmit, target: Destination, flow: Flow | None) -> None:
        if flow is not None and flow.listener < len(self._datagrams):
            self._datagrams[flow.listener].send(item.data, flow.remote)
        elif is_address(target.host):
            self._send_datagram(item, (target.host, target.port))
        elif len(self._lookups) < _LOOKUPS and target.host:
            task = self._loop.create_task(self._look_up(item, target))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)
        else:
            self._send_failed(item)

    async def _look_up(self, item: Transmit, target: Destination) -> None:
        try:
            found = await self._loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            self._send_failed(item)
            return
        families = {bound.family for bound in self._datagrams}
        usable = [entry[4] for entry in found if entry[0] in families]
        if usable:
            self._send_datagram(item, (str(usable[0][0]), int(usable[0][1])))
        else:
            self._send_failed(item)

    def _send_datagram(self, item: Transmit, remote: HostPort) -> None:
        family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
        bound = next((bound for bound in self._datagrams if bound.family == family), None)
        if bound is None or not bound.send(item.data, remote):
            self._send_failed(item)

    def _send_failed(self, item: Transmit) -> None:
        """Told in a turn of its own: the endpoint is in the middle of something."""
        if not self._closed:
            self._loop.call_soon(self._tell_send_failed, item)

    def _tell_send_failed(self, item: Transmit) -> None:
        self.endpoint.send_failed(item, self.now())
        self.flush()

    # Connections ------------------------------------------------------------------------------------------------------

    def may_accept(self, remote: HostPort, transport: str) -> bool:
        """Before anything is read: the caps, and for TCP the address. TLS peers are judged with their certificate."""
        pending = sum(listener.pending.get(remote[0], 0) for listener in self._listeners)
        total = len(self._connections) + sum(len(listener.pending) for listener in self._listeners)
        if (
            total >= self.settings.max_connections
            or self._by_address.get(remote[0], 0) + pending >= self.settings.max_connections_per_address
        ):
            self.endpoint.count("connections_over_cap")
            return False
        return transport == "TLS" or self.endpoint.admits(Flow(transport, ("", 0), remote, -1))

    def opened(self, connection: Connection) -> bool:
        flow = connection.flow
        assert flow is not None
        if self._closed:
            return False
        if connection.inbound and flow.transport == "TLS" and not self.endpoint.admits(flow):
            connection.refused = "not an allowed peer"
            logger.warning("sip_tls_peer_refused", remote=flow.remote[0], reason=connection.refused)
            return False
        self._connections[flow.connection] = connection
        if connection.inbound:
            self._by_address[flow.remote[0]] = self._by_address.get(flow.remote[0], 0) + 1
        return True

    def closed(self, connection: Connection) -> None:
        flow = connection.flow
        if flow is None or self._connections.pop(flow.connection, None) is None:
            return
        self._connector.forget(connection)
        if connection.inbound:
            left = self._by_address.get(flow.remote[0], 1) - 1
            if left > 0:
                self._by_address[flow.remote[0]] = left
            else:
                self._by_address.pop(flow.remote[0], None)
        self.endpoint.flow_closed(flow, self.now())
        if not self._closed:
            self.flush()

    def _sweep(self) -> None:
        """Deadlines and keep-alives of connections; a timer for each would cost more than looking at all of them once a second."""
        now = self.now()
        for connection in list(self._connections.values()):
            why = connection.overdue(now)
            if why:
                assert connection.flow is not None
                logger.info("sip_connection_closed", remote=connection.flow.remote[0], reason=why)
                self.endpoint.count("connections_overdue")
                connection.abort()
            else:
                connection.keep_alive(now)
        if not self._closed:
            self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)

    @property
    def sizes(self) -> dict[str, int]:
        """What is held now, for metrics: connections, waiting messages, datagrams that could not be sent, messages dropped."""
        return {
            "connections": len(self._connections),
            "waiting": len(self._queue),
            "datagrams_unsent": sum(bound.unsent for bound in self._datagrams),
            "messages_dropped": self._queue.dropped,
        }

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Wait up to `grace_s` for answers to open requests, then close what was opened here. Adopted sockets stay open."""
        if self._closed:
            return
        self.flush()
        if grace_s > 0 and self.endpoint.awaits_answers:
            self._settled = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), grace_s)
        self._closed = True
        for handle in (self._timer, self._sweep_timer):
            if handle is not None:
                handle.cancel()
        for task in self._lookups:
            task.cancel()
        await self._connector.close()
        for listener in self._listeners:
            await listener.close()
        for bound in self._datagrams:
            bound.close()
        for connection in list(self._connections.values()):
            connection.close()


def _trace(event: str, way: Flow | Destination, data: bytes) -> None:
    """The first line of a message, for `log.level = "debug"`; bounded, and printed as JSON, so it cannot forge a line."""
    first = data.lstrip(b"\r\n")[:_TRACE_BYTES].split(b"\r\n", 1)[0].decode("utf-8", "replace")
    remote = way.remote if isinstance(way, Flow) else (way.host, way.port)
    logger.debug(event, transport=way.transport, remote=f"{remote[0]}:{remote[1]}", first_line=first)
