"""The ports that one machine listens on, and whether they are free."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

from callward.platform.settings import Settings


@dataclass(frozen=True, slots=True)
class Port:
    """One port that Callward wants to listen on."""

    what: str
    host: str
    number: int
    kind: socket.SocketKind
    variable: str
    """Environment variable that chooses another."""

    def remedy(self, refusal: str) -> str:
        """What to do about a refusal."""
        if refusal == os.strerror(errno.EADDRNOTAVAIL):
            return f"this machine does not have the address {self.host}: choose one that it has"
        return f"stop what uses it, or set {self.variable}"

    def refusal(self) -> str | None:
        """Why it cannot be listened on; None when it can."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, self.kind) as probe:
            if self.kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.number))
                if self.kind == socket.SOCK_STREAM:
                    probe.listen(1)
            except OSError as error:
                return error.strerror or str(error)
        return None


def ports(settings: Settings) -> tuple[Port, ...]:
    """All ports of one machine but those for RTP, which are taken as calls come."""
    portal, recorder, metrics = settings.portal, settings.recorder, settings.metrics
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return (
        Port("portal", portal.host, portal.port, stream, "CALLWARD_PORTAL__PORT"),
        Port("recorder, SIP over TCP", recorder.host, recorder.sip_port, stream, "CALLWARD_RECORDER__SIP_PORT"),
        Port("recorder, SIP over UDP", recorder.host, recorder.sip_port, datagram, "CALLWARD_RECORDER__SIP_PORT"),
        Port("recorder, SIP over TLS", recorder.host, recorder.tls_port, stream, "CALLWARD_RECORDER__TLS_PORT"),
        Port("metrics", metrics.host, metrics.port, stream, "CALLWARD_METRICS__PORT"),
    )
