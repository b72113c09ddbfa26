"""Via (RFC 3261 20.42, 18.2; RFC 3581 `rport`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from callward.sip.grammar import (
    Parameters,
    find_parameter,
    is_token,
    parse_number,
    parse_parameters,
    print_parameters,
    with_parameter,
)
from callward.sip.uri import parse_host_port

_USUAL = re.compile(r"SIP/2\.0/([A-Z]+) ([A-Za-z0-9\-._]+)(?::([0-9]{1,5}))?(|;.*)\Z", re.DOTALL)

MAGIC_COOKIE = "z9hG4bK"
"""Start of every branch that RFC 3261 8.1.1.7 calls globally unique; compared without case."""


@dataclass(frozen=True, slots=True)
class Via:
    """One hop: `SIP/2.0/UDP host:port;branch=...`. `host` is without brackets; `transport` is in upper case."""

    transport: str
    host: str
    port: int | None = None
    params: Parameters = ()

    def param(self, name: str) -> str | None:
        """The value of a parameter, `""` for a flag, None when absent. `name` in lower case."""
        return find_parameter(self.params, name)

    @property
    def branch(self) -> str | None:
        return find_parameter(self.params, "branch") or None

    @property
    def is_rfc3261(self) -> bool:
        """True when the branch has the magic cookie and something after it (RFC 3261 17.2.3; RFC 4475 3.2.1)."""
        branch = self.branch
        return branch is not None and len(branch) > 7 and branch[:7].lower() == MAGIC_COOKIE.lower()

    @property
    def received(self) -> str | None:
        value = find_parameter(self.params, "received")
        return value.strip("[]") if value else None

    @property
    def wants_rport(self) -> bool:
        """True when the sender asked for the source port (RFC 3581 3)."""
        return find_parameter(self.params, "rport") is not None

    @property
    def rport(self) -> int | None:
        """The port that a server filled in; None while it is only asked for."""
        return parse_number(find_parameter(self.params, "rport") or "", 65535)

    @property
    def sent_by(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def with_source(self, address: str, port: int) -> Via:
        """The top Via of a request as a server must keep it: `received` where it differs from sent-by, `rport` where asked.

        RFC 3261 18.2.1, RFC 3581 4.
        """
        params = self.params
        wants = self.wants_rport
        if wants:
            params = with_parameter(params, "rport", str(port))
        if wants or address.lower() != self.host.lower():
            params = with_parameter(params, "received", address)
        return self if params is self.params else replace(self, params=params)

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{print_parameters(self.params)}"


def parse_via(text: str) -> Via | None:
    """Parses one Via element; None when malformed or of another protocol version. Never raises."""
    usual = _USUAL.match(text)
    if usual is not None:
        transport, host, port, rest = usual.groups()
        number = int(port) if port else None
        params = parse_parameters(rest)
        if params is None or (number is not None and number > 65535):
            return None
        return Via(transport, host, number, params)
    head, semicolon, rest = text.partition(";")
    if head[:8] == "SIP/2.0/":
        transport, _, sent_by = head[8:].lstrip(" \t").replace("\t", " ").partition(" ")
    else:
        # RFC 3261 25.1 allows spaces around the slashes: `SIP  / 2.0 / UDP`.
        pieces = head.split("/", 2)
        if len(pieces) != 3 or pieces[0].strip(" \t").upper() != "SIP" or pieces[1].strip(" \t") != "2.0":
            return None
        transport, _, sent_by = pieces[2].lstrip(" \t").replace("\t", " ").partition(" ")
    sent_by = sent_by.strip(" ")
    if " " in sent_by:
        sent_by = sent_by.replace(" :", ":").replace(": ", ":") if sent_by.count(" ") <= 8 else ""
    host_port = parse_host_port(sent_by)
    if host_port is None or not is_token(transport):
        return None
    params = parse_parameters(semicolon + rest)
    if params is None:
        return None
    return Via(transport.upper(), host_port[0], host_port[1], params)
