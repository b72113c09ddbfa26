"""Our 2xx to an INVITE until its ACK comes (RFC 3261 13.3.1.4; outside the transaction since RFC 6026).

The user agent itself repeats the 2xx at T1, doubling up to T2, over every transport: a proxy on the way may lose it even when our hop
is TCP. After 64*T1 without ACK it gives up, and the endpoint ends the dialog with BYE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .context import Context
from .timers import Timer

if TYPE_CHECKING:
    from .exchange import IncomingRequest
    from .server_transaction import ServerTransaction


class UnacknowledgedAnswer:
    """One 2xx that waits for its ACK. Create it when the 2xx was sent for the first time."""

    __slots__ = ("_context", "_interval", "_on_give_up", "_out", "_stop_at", "_timer", "exchange", "offerless")

    def __init__(
        self,
        context: Context,
        exchange: IncomingRequest,
        transaction: ServerTransaction,
        on_give_up: Callable[[UnacknowledgedAnswer, float], None],
        now: float,
    ) -> None:
        self._context = context
        self.exchange = exchange
        self.offerless = not exchange.request.body
        """Our 2xx held the offer: the ACK must hold the answer."""
        self._out = context.out[-1]
        self._on_give_up = on_give_up
        self._interval = context.settings.t1_s
        self._stop_at = now + context.settings.timeout_s
        self._timer: Timer | None = context.timers.start(now + self._interval, self._on_timer)

    def _on_timer(self, now: float) -> None:
        if now >= self._stop_at:
            self._timer = None
            self._on_give_up(self, now)
            return
        self._context.count("answers_repeated")
        self._context.out.append(self._out)
        self._interval = min(self._interval * 2, self._context.settings.t2_s)
        self._timer = self._context.timers.start(min(now + self._interval, self._stop_at), self._on_timer)

    def stop(self) -> None:
        self._context.timers.cancel(self._timer)
        self._timer = None
