"""Reason (RFC 3326; Q.850 causes in responses: RFC 6432) and Replaces (RFC 3891)."""

from __future__ import annotations

from dataclasses import dataclass

from callward.sip.grammar import Parameters, find_parameter, is_token, parse_number, parse_parameters, print_parameters


@dataclass(frozen=True, slots=True)
class Reason:
    """`Q.850;cause=16;text="Normal"` or `SIP;cause=200;text="Call completed elsewhere"`."""

    protocol: str
    params: Parameters = ()

    @property
    def cause(self) -> int | None:
        return parse_number(find_parameter(self.params, "cause") or "", 999)

    @property
    def text(self) -> str:
        return find_parameter(self.params, "text") or ""

    def __str__(self) -> str:
        return f"{self.protocol}{print_parameters(self.params)}"


@dataclass(frozen=True, slots=True)
class Replaces:
    """`call-id;to-tag=...;from-tag=...;early-only` (RFC 3891 6.1)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __str__(self) -> str:
        text = f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}"
        return text + ";early-only" if self.early_only else text


def parse_reason(text: str) -> Reason | None:
    """Parses one Reason value; None when malformed. Never raises."""
    head, semicolon, rest = text.partition(";")
    protocol = head.strip(" \t")
    params = parse_parameters(semicolon + rest)
    return None if params is None or not is_token(protocol) else Reason(protocol, params)


def parse_replaces(text: str) -> Replaces | None:
    """Parses Replaces; None when malformed or without both tags. Never raises."""
    head, semicolon, rest = text.partition(";")
    params = parse_parameters(semicolon + rest)
    call_id = head.strip(" \t")
    if params is None or not call_id:
        return None
    to_tag, from_tag = find_parameter(params, "to-tag"), find_parameter(params, "from-tag")
    if not to_tag or not from_tag:
        return None
    return Replaces(call_id, to_tag, from_tag, find_parameter(params, "early-only") is not None)
