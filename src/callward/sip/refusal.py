"""Answers to strangers, to garbage and under overload: stateless, cheap, and limited so that we are no reflector.

The To tag of a stateless answer is derived from the request, so that its retransmission gets the same one (8.2.7).
"""

from __future__ import annotations

import hashlib

from .compose import answer, echo_of, echo_of_failure, lines_of
from .context import Context
from .flow import Flow, HostPort, Transmit
from .message import ParseFailure, Request, Response
from .via import Via, parse_via


class Allowance:
    """So many answers per second; a burst of one second's worth is allowed."""

    __slots__ = ("_last", "_left", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate
        self._last = 0.0

    def take(self, now: float) -> bool:
        self._left = min(self._rate, self._left + max(0.0, now - self._last) * self._rate)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Refusals:
    """Writes stateless answers for one endpoint."""

    __slots__ = ("_context", "_overload", "_secret", "_strangers")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secret = context.entropy(16)
        self._strangers = Allowance(context.config.refusals_per_s)
        self._overload = Allowance(context.config.overload_answers_per_s)

    def allowed(self, now: float, *, overload: bool = False) -> bool:
        """Takes one from the allowance; counts what is not allowed."""
        if (self._overload if overload else self._strangers).take(now):
            return True
        self._context.count("refusals_suppressed")
        return False

    def tag(self, request: Request | ParseFailure) -> str:
        seed = f"{request.headers.get('Call-ID')}\n{request.headers.get('From')}\n{request.headers.get('CSeq')}"
        return hashlib.blake2s(seed.encode("utf-8", "replace"), key=self._secret, digest_size=8).hexdigest()

    def refuse(
        self,
        flow: Flow,
        request: Request,
        status: int,
        now: float,
        *,
        reason: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        limited: bool = True,
    ) -> None:
        """Answer without making state. An ACK is never answered."""
        if request.method == "ACK" or (limited and not self.allowed(now, overload=status == 503)):
            return
        echo = echo_of(request, flow, self.tag(request))
        lines = lines_of(headers) + f"Server: {self._context.config.server_name}\r\n"
        target, fallback = route_of_answer(flow, request.via)
        self._context.out.append(Transmit(target, answer(status, reason, echo, lines), 0, fallback))

    def refuse_garbage(self, flow: Flow, failure: ParseFailure, now: float) -> None:
        if not failure.answerable or not self.allowed(now):
            return
        via = parse_via((failure.headers.get_all("Via") or [""])[0])
        target = flow if via is None or flow.reliable else flow.towards(answer_address(flow, via))
        echo = echo_of_failure(failure, flow, self.tag(failure))
        lines = f"Server: {self._context.config.server_name}\r\n"
        self._context.out.append(Transmit(target, answer(failure.status, failure.reason, echo, lines)))


def answer_address(flow: Flow, via: Via) -> HostPort:
    """Where answers go on UDP: the source address, and the source port if the sender asked for it (RFC 3581), else the one of sent-by.

    `maddr` is not followed (18.2.2 would): it would let a peer aim our answers at a third party.
    """
    return flow.remote if via.wants_rport else (flow.remote[0], via.port or 5060)


def route_of_answer(flow: Flow, via: Via) -> tuple[Flow, HostPort | None]:
    """The flow for answers, and on connections the address to try when it is gone (18.2.2)."""
    if flow.reliable:
        return flow, (flow.remote[0], via.port or (5061 if flow.transport == "TLS" else 5060))
    return flow.towards(answer_address(flow, via)), None


def is_stray(response: Response) -> bool:
    """An answer with more than one Via went astray: we are no proxy (8.1.3.3)."""
    return len(response.headers.get_lines("Via")) > 1 or "," in (response.headers.get("Via") or "")
