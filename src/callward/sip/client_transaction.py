"""Client transactions (RFC 3261 17.1, RFC 6026 7.2): they repeat requests and give up in time. Tables: transaction.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .context import Context
from .flow import Destination, Flow, Transmit
from .timers import Timer
from .transaction import INVITE_CLIENT, NON_INVITE_CLIENT, Compiled, class_of, compile_table

if TYPE_CHECKING:
    from .message import Response

ClientKey = tuple[str, str]
"""(branch, method of CSeq) (17.1.3)."""


class ClientUser(Protocol):
    """Whoever sent the request."""

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None: ...

    def on_no_answer(self, transaction: ClientTransaction, transport: bool, now: float) -> None:
        """No final answer will come: time-out, or (`transport`) the request could not be sent. Timer C leaves the transaction open."""


class ClientTransaction:
    """One request of ours. `acknowledgement` makes the ACK of a 3xx-6xx to an INVITE (17.1.1.3)."""

    __slots__ = (
        "_acknowledgement",
        "_context",
        "_interval",
        "_limit_timer",
        "_on_end",
        "_repeat_timer",
        "_response",
        "_table",
        "data",
        "destination",
        "flow",
        "key",
        "number",
        "state",
        "user",
    )

    def __init__(
        self,
        context: Context,
        key: ClientKey,
        number: int,
        destination: Destination,
        data: bytes,
        user: ClientUser,
        on_end: Callable[[ClientTransaction], None],
        acknowledgement: Callable[[Response], bytes] | None = None,
    ) -> None:
        self._context = context
        self.key = key
        self.number = number
        self.destination = destination
        self.data = data
        self.user = user
        self._on_end = on_end
        self._acknowledgement = acknowledgement
        self._response: Response | None = None
        self._interval = context.settings.t1_s
        self._repeat_timer: Timer | None = None
        self._limit_timer: Timer | None = None
        self._table = _INVITE if key[1] == "INVITE" else _NON_INVITE
        self.flow: Flow | None = None
        """Where the last answer came from."""
        self.state = "initial"

    def feed(self, event: str, now: float) -> None:
        row = self._table[self.state].get(event)
        if row is None:
            return
        self.state, actions = row
        for action in actions:
            action(self, now)

    def receive(self, response: Response, flow: Flow, now: float) -> None:
        self._response = response
        self.flow = flow
        self.feed("recv_" + class_of(response.status), now)

    # Actions ----------------------------------------------------------------------------------------------------------

    def _send(self, now: float) -> None:
        self._context.out.append(Transmit(self.destination, self.data, self.number))

    def _tell(self, now: float) -> None:
        assert self._response is not None
        self.user.on_response(self, self._response, now)

    def _tell_timeout(self, now: float) -> None:
        self.user.on_no_answer(self, False, now)

    def _tell_error(self, now: float) -> None:
        self.user.on_no_answer(self, True, now)

    def _acknowledge(self, now: float) -> None:
        assert self._response is not None
        if self._acknowledgement is not None:
            self._context.send(self.destination, self._acknowledgement(self._response))

    def _start_repeat(self, now: float, action: Callable[[float], None]) -> None:
        if not self.destination.reliable:
            self._repeat_timer = self._context.timers.start(now + self._interval, action)

    def _start_a(self, now: float) -> None:
        self._start_repeat(now, self._on_a)

    def _double_a(self, now: float) -> None:
        self._interval *= 2
        self._start_repeat(now, self._on_a)

    def _start_e(self, now: float) -> None:
        self._start_repeat(now, self._on_e)

    def _double_e(self, now: float) -> None:
        self._interval = min(self._interval * 2, self._context.settings.t2_s)
        self._start_repeat(now, self._on_e)

    def _slow_e(self, now: float) -> None:
        self._interval = self._context.settings.t2_s
        self._start_repeat(now, self._on_e)

    def _stop_repeat(self, now: float) -> None:
        self._context.timers.cancel(self._repeat_timer)
        self._repeat_timer = None

    _stop_a = _stop_e = _stop_repeat

    def _limit(self, due: float, action: Callable[[float], None]) -> None:
        self._limit_timer = self._context.timers.start(due, action)

    def _stop_limit(self, now: float) -> None:
        self._context.timers.cancel(self._limit_timer)
        self._limit_timer = None

    _stop_b = _stop_c = _stop_f = _stop_limit

    def _start_b(self, now: float) -> None:
        self._limit(now + self._context.settings.timeout_s, self._on_b)

    def _start_f(self, now: float) -> None:
        self._limit(now + self._context.settings.timeout_s, self._on_f)

    def _start_c(self, now: float) -> None:
        self._limit(now + self._context.settings.timer_c_s, self._on_c)

    def _restart_c(self, now: float) -> None:
        self._stop_limit(now)
        self._start_c(now)

    def _start_m(self, now: float) -> None:
        self._limit(now + self._context.settings.timeout_s, self._on_m)

    def _start_d(self, now: float) -> None:
        if self.destination.reliable:
            # The user hears of the answer first: "tell" is the next action.
            self._limit(now, self._on_d)
        else:
            self._limit(now + self._context.settings.timer_d_s, self._on_d)

    def _start_k(self, now: float) -> None:
        self._limit(now if self.destination.reliable else now + self._context.settings.t4_s, self._on_k)

    def _end(self, now: float) -> None:
        self._stop_repeat(now)
        self._stop_limit(now)
        self._on_end(self)

    # Timers -----------------------------------------------------------------------------------------------------------

    def _on_a(self, now: float) -> None:
        self.feed("a", now)

    def _on_b(self, now: float) -> None:
        self.feed("b", now)

    def _on_c(self, now: float) -> None:
        self.feed("c", now)

    def _on_d(self, now: float) -> None:
        self.feed("d", now)

    def _on_e(self, now: float) -> None:
        self.feed("e", now)

    def _on_f(self, now: float) -> None:
        self.feed("f", now)

    def _on_k(self, now: float) -> None:
        self.feed("k", now)

    def _on_m(self, now: float) -> None:
        self.feed("m", now)


_INVITE: Compiled = compile_table(INVITE_CLIENT, ClientTransaction)
_NON_INVITE: Compiled = compile_table(NON_INVITE_CLIENT, ClientTransaction)
