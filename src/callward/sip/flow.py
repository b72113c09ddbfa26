"""Where messages come from and go to: flows, destinations, and the verdict on a stranger.

A *flow* (RFC 5626 3) is one way to reach one peer: a connection, or for UDP the pair of our socket and the peer's
address. A *destination* is where a new request shall go when no flow is known yet: the driver finds or opens one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

HostPort = tuple[str, int]
"""Address and port. IPv6 addresses stand without brackets."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a verified TLS peer certificate proves. The only identity besides the address (never From)."""

    subject_names: tuple[str, ...]
    """Subject alternative names, lower case: DNS names, `sip:`/`sips:` URIs and IP addresses (RFC 5922 7.1). Never the common name."""
    fingerprint_sha256: str
    """Hex, lower case, of the DER certificate."""
    subject: str = ""
    """Distinguished name, for logs only."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """One way to reach one peer. Compared by identity of the way: (transport, socket, connection, remote address)."""

    transport: str
    """`UDP`, `TCP` or `TLS`."""
    local: HostPort
    remote: HostPort
    connection: int = 0
    """Number of the connection, unique in the process; 0 for UDP."""
    listener: int = 0
    """UDP: number of the socket it came in by, so that answers leave by the same one."""
    certificate: PeerCertificate | None = None
    """Verified certificate of the peer on TLS; None when it showed none."""
    reliable: bool = field(init=False)
    key: tuple[str, int, int, HostPort] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reliable", self.transport != "UDP")
        object.__setattr__(self, "key", (self.transport, self.listener, self.connection, self.remote))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Flow) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def towards(self, remote: HostPort) -> Flow:
        """The same UDP socket, another remote address (RFC 3261 18.2.2: answers go to the port of sent-by)."""
        return self if remote == self.remote else replace(self, remote=remote)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a new request goes (RFC 3263, after a name was chosen; A/AAAA look-up of a host name is the driver's)."""

    transport: str
    host: str
    port: int
    flow: Flow | None = None
    """Use this flow while it is open (connection reuse, RFC 5923); otherwise connect to host and port."""
    server_name: str = ""
    """TLS: the name the peer's certificate must hold (RFC 5922); empty: `host`."""

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"


@dataclass(frozen=True, slots=True)
class Transmit:
    """Bytes of one whole message for the driver to send."""

    target: Flow | Destination
    data: bytes
    exchange: int = 0
    """Names the client exchange, for `Endpoint.send_failed`; 0 for answers."""
    fallback: HostPort | None = None
    """Answers on a closed connection: connect here instead (RFC 3261 18.2.2)."""


class Verdict(Enum):
    """What to do with a message of a source."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    """403, stateless and rate limited; counted."""
    DROP = "drop"
    """Silence; counted."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The application's answer about a source: is it an allowed peer, and which one."""

    verdict: Verdict
    peer: Any = None
    """Opaque to the endpoint; handed back in events as `peer` (e.g. the provisioned recording client)."""
