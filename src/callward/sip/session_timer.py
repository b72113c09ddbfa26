"""Session timers (RFC 4028): what two sides agree on, and when to refresh or to give up.

Theory of operation
    The 2xx of an INVITE or UPDATE states the interval and who refreshes; `uac` and `uas` are the roles in that very transaction.
    The refresher sends UPDATE or re-INVITE after half the interval (7.4, 10). The other side ends the session shortly before the
    interval is over, min(32 s, a third) early, so that its BYE is out in time (10). A 2xx without Session-Expires switches it off.

The functions are pure; the endpoint owns the timers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import EndpointConfig

if TYPE_CHECKING:
    from .message import Request, Response

_LONGEST_S = 86_400
"""A peer may ask for 136 years; a day keeps the deadline meaningful. RFC 4028 9 lets the server shorten."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A running session timer."""

    interval_s: int
    we_refresh: bool

    @property
    def refresh_after_s(self) -> float:
        return self.interval_s / 2

    @property
    def give_up_after_s(self) -> float:
        """The refresher itself waits for the whole interval, the other side ends a little earlier (RFC 4028 10)."""
        return self.interval_s if self.we_refresh else self.interval_s - min(32.0, self.interval_s / 3)


@dataclass(frozen=True, slots=True)
class TooSmall:
    """The interval asked for is below our minimum: 422 with Min-SE."""

    min_se_s: int


def agree_as_server(config: EndpointConfig, request: Request) -> Agreement | TooSmall | None:
    """What our 2xx will say to an INVITE or UPDATE (RFC 4028 9, table 2); None: no session timer."""
    asked = request.session_expires
    if "timer" not in request.supported:
        if asked is not None:
            return Agreement(min(max(asked.interval_s, config.min_se_s), _LONGEST_S), True)
        if config.refresh_without_support and config.session_expires_s:
            return Agreement(config.session_expires_s, True)
        return None
    if asked is None:
        if not config.session_expires_s:
            return None
        return Agreement(min(max(config.session_expires_s, request.min_se_s or 0), _LONGEST_S), False)
    if asked.interval_s < config.min_se_s:
        return TooSmall(config.min_se_s)
    return Agreement(min(asked.interval_s, _LONGEST_S), asked.refresher == "uas")


def answer_headers(agreement: Agreement | None, request: Request) -> str:
    """Header lines of our 2xx."""
    if agreement is None:
        return ""
    role = "uas" if agreement.we_refresh else "uac"
    lines = f"Session-Expires: {agreement.interval_s};refresher={role}\r\n"
    if not agreement.we_refresh:
        # RFC 4028 9: a peer that has to refresh must be one that can.
        lines += "Require: timer\r\n"
    return lines


def request_headers(config: EndpointConfig, running: Agreement | None, min_se_s: int) -> str:
    """Header lines of our INVITE or UPDATE (RFC 4028 7.1); a refresh keeps interval and roles."""
    interval = running.interval_s if running is not None else config.session_expires_s
    if not interval:
        return ""
    interval = max(interval, min_se_s)
    line = f"Session-Expires: {interval}"
    if running is not None:
        line += ";refresher=" + ("uac" if running.we_refresh else "uas")
    line += "\r\n"
    if min_se_s > 90 or config.min_se_s > 90:
        line += f"Min-SE: {max(min_se_s, config.min_se_s)}\r\n"
    return line


def agree_as_client(config: EndpointConfig, response: Response) -> Agreement | None:
    """What the peer's 2xx to our INVITE or UPDATE decided (RFC 4028 7.2)."""
    told = response.session_expires
    if told is None:
        if config.refresh_without_support and config.session_expires_s:
            return Agreement(config.session_expires_s, True)
        return None
    # A faulty peer may answer less than anybody asked for: never refresh more often than our own minimum allows.
    interval = min(max(told.interval_s, min(config.min_se_s, 90)), _LONGEST_S)
    return Agreement(interval, told.refresher != "uas")
