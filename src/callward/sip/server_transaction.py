"""Server transactions (RFC 3261 17.2, RFC 6026 7.1): they absorb repeated requests and repeat answers. Tables: transaction.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .context import Context
from .flow import Flow, HostPort, Transmit
from .timers import Timer
from .transaction import INVITE_SERVER, NON_INVITE_SERVER, Compiled, class_of, compile_table

_RING_S = 60.0
"""RFC 3261 13.3.1.1: at least once a minute."""

ServerKey = tuple[str, str, str]
"""(branch, sent-by, method), the method of an ACK being INVITE (17.2.3)."""


class ServerTransaction:
    """One request from the wire. `on_end` is called once, when the transaction leaves the table of live ones."""

    __slots__ = (
        "_context",
        "_interval",
        "_repeat_timer",
        "_table",
        "_timer",
        "_trying_timer",
        "exchange",
        "fallback",
        "flow",
        "key",
        "last",
        "merge_key",
        "on_end",
        "state",
        "status",
        "target",
        "trying",
    )

    def __init__(
        self,
        context: Context,
        key: ServerKey,
        flow: Flow,
        target: Flow,
        fallback: HostPort | None,
        on_end: Callable[[ServerTransaction], None],
    ) -> None:
        self._context = context
        self.key = key
        self.flow = flow
        self.target = target
        self.fallback = fallback
        self.on_end = on_end
        self.merge_key: tuple[str, str, str] | None = None
        self.exchange: Any = None
        self.last = b""
        self.status = 0
        self.trying: Callable[[], bytes] | None = None
        self._interval = 0.0
        self._timer: Timer | None = None
        self._repeat_timer: Timer | None = None
        self._trying_timer: Timer | None = None
        if key[2] == "INVITE":
            self._table = _INVITE
            self.state = "proceeding"
        else:
            self._table = _NON_INVITE
            self.state = "trying"

    def await_answer(self, trying: Callable[[], bytes], now: float) -> None:
        """INVITE only: send what `trying` makes when no answer was given in time (17.2.1)."""
        self.trying = trying
        delay = self._context.settings.trying_s
        if delay <= 0:
            self.feed("trying", now)
        else:
            self._trying_timer = self._context.timers.start(now + delay, self._on_trying)

    def feed(self, event: str, now: float) -> None:
        row = self._table[self.state].get(event)
        if row is None:
            return
        self.state, actions = row
        for action in actions:
            action(self, now)

    def answer(self, status: int, data: bytes, now: float) -> None:
        """Send an answer. The caller has made sure that none after a final one comes.

        After the final one only the octets are kept: a request with its headers takes 15 kB, and 600 set-ups per second keep
        40,000 transactions.
        """
        self.last = data
        self.status = status
        if status >= 200:
            self.exchange = None
        self.feed("send_" + class_of(status), now)

    # Actions ----------------------------------------------------------------------------------------------------------

    def _send(self, now: float) -> None:
        self._context.out.append(Transmit(self.target, self.last, 0, self.fallback))

    def _repeat(self, now: float) -> None:
        if self.last:
            self._context.count("answers_repeated")
            self._context.out.append(Transmit(self.target, self.last, 0, self.fallback))

    def _repeat_or_try(self, now: float) -> None:
        if self.last:
            self._repeat(now)
        else:
            self._try(now)

    def _try(self, now: float) -> None:
        trying = self.trying
        self._stop_trying(now)
        if trying is not None and not self.last:
            self.last = trying()
            self.status = 100
            self._send(now)

    def _stop_trying(self, now: float) -> None:
        self._context.timers.cancel(self._trying_timer)
        self._trying_timer = None
        self.trying = None

    def _start_ring(self, now: float) -> None:
        self._stop_ring(now)
        if self.status > 100:
            self._repeat_timer = self._context.timers.start(now + _RING_S, self._on_ring)

    def _start_g(self, now: float) -> None:
        if not self.flow.reliable:
            self._interval = self._context.settings.t1_s
            self._repeat_timer = self._context.timers.start(now + self._interval, self._on_g)

    def _double_g(self, now: float) -> None:
        self._interval = min(self._interval * 2, self._context.settings.t2_s)
        self._repeat_timer = self._context.timers.start(now + self._interval, self._on_g)

    def _stop_repeat(self, now: float) -> None:
        self._context.timers.cancel(self._repeat_timer)
        self._repeat_timer = None

    _stop_g = _stop_ring = _stop_repeat

    def _start_h(self, now: float) -> None:
        self._timer = self._context.timers.start(now + self._context.settings.timeout_s, self._on_h)

    def _stop_h(self, now: float) -> None:
        self._context.timers.cancel(self._timer)

    def _start_i(self, now: float) -> None:
        if self.flow.reliable:
            self.feed("i", now)
        else:
            self._timer = self._context.timers.start(now + self._context.settings.t4_s, self._on_i)

    def _start_j(self, now: float) -> None:
        if self.flow.reliable:
            self.feed("j", now)
        else:
            self._timer = self._context.timers.start(now + self._context.settings.timeout_s, self._on_j)

    def _start_l(self, now: float) -> None:
        self.last = b""  # the user agent repeats the 2xx, not the transaction
        self._timer = self._context.timers.start(now + self._context.settings.timeout_s, self._on_l)

    def _end(self, now: float) -> None:
        self.exchange = None
        self.trying = None
        self.on_end(self)

    # Timers -----------------------------------------------------------------------------------------------------------

    def _on_trying(self, now: float) -> None:
        self.feed("trying", now)

    def _on_ring(self, now: float) -> None:
        self.feed("ring", now)

    def _on_g(self, now: float) -> None:
        self.feed("g", now)

    def _on_h(self, now: float) -> None:
        self._context.count("answers_unacknowledged")
        self.feed("h", now)

    def _on_i(self, now: float) -> None:
        self.feed("i", now)

    def _on_j(self, now: float) -> None:
        self.feed("j", now)

    def _on_l(self, now: float) -> None:
        self.feed("l", now)


_INVITE: Compiled = compile_table(INVITE_SERVER, ServerTransaction)
_NON_INVITE: Compiled = compile_table(NON_INVITE_SERVER, ServerTransaction)
