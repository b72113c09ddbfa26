"""What all machines of one endpoint share: settings, timers, entropy, the output list and the counters."""

from __future__ import annotations

from collections.abc import Callable

from .config import EndpointConfig
from .events import Event
from .flow import Destination, Flow, HostPort, Transmit
from .timers import TimerQueue

WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
"""Hosts of a socket that is bound to every address; nothing that a peer could use."""


class Context:
    """Passed to each transaction, dialog machine and core of one endpoint."""

    __slots__ = ("config", "counters", "entropy", "local", "out", "seen", "settings", "timers")

    def __init__(self, config: EndpointConfig, entropy: Callable[[int], bytes]) -> None:
        self.config = config
        self.settings = config.timers
        self.entropy = entropy
        self.timers = TimerQueue()
        self.out: list[Transmit | Event] = []
        self.counters: dict[str, int] = {}
        self.local: dict[str, HostPort] = dict(config.local)
        self.seen: dict[str, str] = {}
        """Transport -> our address in the last flow that a message came by."""

    def token(self, octets: int = 10) -> str:
        """A fresh random token of hex digits (tags, branches, Call-IDs; RFC 3261 19.3 asks for 32 bits at least)."""
        return self.entropy(octets).hex()

    def chance(self, low: float, high: float) -> float:
        """A random number between the two (glare timer, Retry-After)."""
        return low + (high - low) * int.from_bytes(self.entropy(2), "big") / 65535

    def count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def send(self, target: Flow | Destination, data: bytes) -> None:
        self.out.append(Transmit(target, data))

    def host_port(self, transport: str, flow: Flow | None) -> str:
        """What Via and Contact say for that transport, brackets around IPv6."""
        host, port = self.local.get(transport) or (flow.local if flow is not None else ("", 5060))
        if host in WILDCARDS:
            # Bound to every address and none advertised: the one that this peer talks to, else the last one that any did.
            host = flow.local[0] if flow is not None else ""
            if host in WILDCARDS:
                host = self.seen.get(transport, "localhost")
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
