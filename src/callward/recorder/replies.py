"""Answers to the recording client, with what is counted about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from callward.recorder import metrics
from callward.recorder.ability import RETRY_AFTER_S
from callward.sip.endpoint import Endpoint
from callward.sip.exchange import IncomingRequest

Headers = Sequence[tuple[str, str]]


class Clock(Protocol):
    """What the service needs of the driver."""

    def now(self) -> float: ...

    def flush(self) -> None: ...


class Replies:
    """Answers go out at once."""

    def __init__(self, endpoint: Endpoint, driver: Clock) -> None:
        self._endpoint = endpoint
        self._driver = driver

    def respond(
        self, exchange: IncomingRequest, status: int, reason: str = "", headers: Headers = (), body: bytes = b""
    ) -> bool:
        """False: the request has a final answer already (it was cancelled meanwhile)."""
        sent = self._endpoint.respond(
            exchange, status, self._driver.now(), reason=reason, headers=tuple(headers), body=body
        )
        self._driver.flush()
        return sent

    def refuse(self, exchange: IncomingRequest, status: int, reason: str, headers: Headers = ()) -> None:
        """Refuse a new session. `reason`: a word for the metrics. A 503 says when to come again (S40)."""
        metrics.REFUSED.labels(reason).inc()
        self.respond(exchange, status, headers=(*headers, *(retry_after() if status == 503 else ())))

    def fail(self, exchange: IncomingRequest, *, temporary: bool) -> bool:
        """A message that could not be carried out: the client is to send it again. False as with `respond`."""
        return self.respond(exchange, 503 if temporary else 500, headers=retry_after())

    def unacceptable(self, exchange: IncomingRequest, detail: str) -> None:
        """488 with the reason for people."""
        self.respond(exchange, 488, headers=warning(detail))


def warning(detail: str) -> Headers:
    return (("Warning", f'399 callward "{detail}"'),)


def retry_after() -> Headers:
    return (("Retry-After", str(RETRY_AFTER_S)),)
