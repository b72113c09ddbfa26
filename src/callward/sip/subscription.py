"""Event and Subscription-State (RFC 6665 8.4, 8.2.3), as REFER's NOTIFYs use them (RFC 3515)."""

from __future__ import annotations

from dataclasses import dataclass

from callward.sip.grammar import Parameters, find_parameter, is_token, parse_number, parse_parameters, print_parameters


@dataclass(frozen=True, slots=True)
class Event:
    """`refer;id=93809824`."""

    package: str
    params: Parameters = ()

    @property
    def id(self) -> str | None:
        return find_parameter(self.params, "id")

    def __str__(self) -> str:
        return f"{self.package}{print_parameters(self.params)}"


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """`active;expires=60`, `terminated;reason=noresource`. The state is in lower case."""

    state: str
    params: Parameters = ()

    @property
    def expires_s(self) -> int | None:
        return parse_number(find_parameter(self.params, "expires") or "", 2**32 - 1)

    @property
    def reason(self) -> str | None:
        return find_parameter(self.params, "reason")

    def __str__(self) -> str:
        return f"{self.state}{print_parameters(self.params)}"


def parse_event(text: str) -> Event | None:
    """Parses Event; None when malformed. Never raises."""
    head, semicolon, rest = text.partition(";")
    package = head.strip(" \t")
    params = parse_parameters(semicolon + rest)
    return None if params is None or not is_token(package) else Event(package, params)


def parse_subscription_state(text: str) -> SubscriptionState | None:
    """Parses Subscription-State; None when malformed. Never raises."""
    head, semicolon, rest = text.partition(";")
    state = head.strip(" \t").lower()
    params = parse_parameters(semicolon + rest)
    return None if params is None or not is_token(state) else SubscriptionState(state, params)
