"""Reliable provisional answers (RFC 3262), both sides.

Rules, server side
    - Each gets an RSeq; the first is random, the next are one more. Only one waits for its PRACK at a time (3): others queue behind it.
    - Repeated from T1 on, doubling without bound, for 64*T1; then the INVITE is refused with 504.
    - A 2xx waits while one with a body is unacknowledged (3); any other final answer goes at once and ends the wait.

Rules, client side
    - They are taken strictly in order of RSeq; repeated ones and ones after a gap are dropped (4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .context import Context
from .timers import Timer

if TYPE_CHECKING:
    from .cseq import RAck
    from .dialog import Dialog

Send = Callable[[int, float], None]
"""Sends one provisional answer with this RSeq (again) at `now`."""

_QUEUE = 16
"""More provisional answers than any call needs while one is unacknowledged."""


class ReliableSender:
    """Reliable provisional answers of one INVITE."""

    __slots__ = (
        "_context",
        "_cseq",
        "_final",
        "_interval",
        "_on_give_up",
        "_queue",
        "_rseq",
        "_stop_at",
        "_timer",
        "_waiting",
        "_with_body",
        "last_with_sdp",
    )

    def __init__(self, context: Context, cseq: int, on_give_up: Callable[[float], None]) -> None:
        self._context = context
        self._cseq = cseq
        self._on_give_up = on_give_up
        # RFC 3262 3: between 1 and 2**31 - 1; half of that leaves room for the following ones.
        self._rseq = 1 + int.from_bytes(context.entropy(4), "big") % (2**30)
        self._waiting: Send | None = None
        self._with_body = False
        self.last_with_sdp = False
        """The one that waits, or was acknowledged last, held a session description."""
        self._queue: deque[tuple[Send, bool, bool]] = deque()
        self._final: Callable[[float], None] | None = None
        self._interval = 0.0
        self._stop_at = 0.0
        self._timer: Timer | None = None

    def send(self, send: Send, with_body: bool, with_sdp: bool, now: float) -> bool:
        """Send it now, or after those before it were acknowledged. False when too many wait."""
        if self._waiting is not None:
            if len(self._queue) >= _QUEUE:
                return False
            self._queue.append((send, with_body, with_sdp))
            return True
        self._waiting = send
        self._with_body = with_body
        self.last_with_sdp = with_sdp
        self._interval = self._context.settings.t1_s
        self._stop_at = now + self._context.settings.timeout_s
        send(self._rseq, now)
        self._timer = self._context.timers.start(now + self._interval, self._on_timer)
        return True

    @property
    def holds_answer(self) -> bool:
        """True while a 2xx must wait."""
        return self._waiting is not None and (self._with_body or any(body for _, body, _ in self._queue))

    def finish_later(self, final: Callable[[float], None]) -> None:
        """Send this 2xx as soon as nothing holds it."""
        self._final = final

    def acknowledge(self, rack: RAck, now: float) -> bool:
        """A PRACK came. False when it acknowledges nothing that waits: 481 (3)."""
        if self._waiting is None or rack.rseq != self._rseq or rack.number != self._cseq or rack.method != "INVITE":
            return False
        self._context.timers.cancel(self._timer)
        self._waiting = None
        return True

    def go_on(self, now: float) -> None:
        """After the PRACK was answered: the next one in the queue, or the final answer."""
        self._rseq += 1
        if self._queue:
            send, with_body, with_sdp = self._queue.popleft()
            self.send(send, with_body, with_sdp, now)
        if self._final is not None and not self.holds_answer:
            final, self._final = self._final, None
            final(now)

    def stop(self) -> None:
        """The INVITE has its final answer."""
        self._context.timers.cancel(self._timer)
        self._waiting = None
        self._final = None
        self._queue.clear()

    def _on_timer(self, now: float) -> None:
        if self._waiting is None:
            return
        if now >= self._stop_at:
            self._on_give_up(now)
            return
        self._context.count("answers_repeated")
        self._waiting(self._rseq, now)
        self._interval *= 2
        self._timer = self._context.timers.start(min(now + self._interval, self._stop_at), self._on_timer)


def in_order(dialog: Dialog, rseq: int) -> bool:
    """Client side: whether this RSeq is the next one of the early dialog; takes it if so (RFC 3262 4)."""
    if dialog.received_rseq and rseq != dialog.received_rseq + 1:
        return False
    dialog.received_rseq = rseq
    return True
