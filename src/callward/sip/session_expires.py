"""Session-Expires and Min-SE (RFC 4028 4, 5), Retry-After (RFC 3261 20.33)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callward.sip.grammar import (
    Parameters,
    find_parameter,
    parse_number,
    parse_parameters,
    print_parameters,
    with_parameter,
)

MAX_DELTA_S = 2**32 - 1
"""Seconds; RFC 3261 25.1 delta-seconds."""


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """`interval_s;refresher=uac|uas`. An unknown refresher counts as absent."""

    interval_s: int
    refresher: Literal["uac", "uas"] | None = None
    params: Parameters = ()

    def __str__(self) -> str:
        params = self.params if self.refresher is None else with_parameter(self.params, "refresher", self.refresher)
        return f"{self.interval_s}{print_parameters(params)}"


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """`delay_s (comment);duration=n` of a 503, 480, 404, 413, 486, 500 or 600."""

    delay_s: int
    duration_s: int | None = None
    comment: str = ""

    def __str__(self) -> str:
        comment = f" ({self.comment})" if self.comment else ""
        return f"{self.delay_s}{comment}" + ("" if self.duration_s is None else f";duration={self.duration_s}")


def parse_session_expires(text: str) -> SessionExpires | None:
    """Parses Session-Expires; None when malformed. Never raises."""
    head, semicolon, rest = text.partition(";")
    interval = parse_number(head.strip(" \t"), MAX_DELTA_S)
    params = parse_parameters(semicolon + rest)
    if interval is None or params is None:
        return None
    match (find_parameter(params, "refresher") or "").lower():
        case "uac":
            return SessionExpires(interval, "uac", params)
        case "uas":
            return SessionExpires(interval, "uas", params)
        case _:
            return SessionExpires(interval, None, params)


def parse_delta(text: str) -> int | None:
    """The seconds of Min-SE, Expires or Min-Expires, parameters ignored; None when malformed."""
    return parse_number(text.partition(";")[0].strip(" \t"), MAX_DELTA_S)


def parse_retry_after(text: str) -> RetryAfter | None:
    """Parses Retry-After; None when malformed. Never raises."""
    head, _, rest = text.partition(";")
    comment = ""
    if "(" in head:
        head, _, remark = head.partition("(")
        comment = remark.rpartition(")")[0]
    delay = parse_number(head.strip(" \t"), MAX_DELTA_S)
    if delay is None:
        return None
    params = parse_parameters(";" + rest) or ()
    return RetryAfter(delay, parse_number(find_parameter(params, "duration") or "", MAX_DELTA_S), comment)
