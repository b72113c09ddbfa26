"""The SIP sockets: taken over from the service manager after a restart, or opened and stored with it."""

from __future__ import annotations

import contextlib
import socket

from callward.platform.process import Service
from callward.platform.telemetry import logger

RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024
"""A second of 600 set-ups of 3 kB and their other messages; the kernel may cut it to net.core.rmem_max."""
BACKLOG = 1024


def take_socket(service: Service, name: str, kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    """The socket of that name from before the restart if it is bound as wanted, else a new one that is stored.

    Raises:
        OSError: the address cannot be used.
    """
    stored = service.stored_sockets().pop(name, None)
    if stored is not None:
        if stored.type == kind and _bound_to(stored, host, port):
            logger.info("socket_taken_over", name=name)
            return stored
        stored.close()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    fresh = socket.socket(family, kind)
    try:
        fresh.setblocking(False)
        if kind == socket.SOCK_STREAM:
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        fresh.bind((host, port))
        if kind == socket.SOCK_STREAM:
            fresh.listen(BACKLOG)
    except OSError:
        fresh.close()
        raise
    service.store_socket(name, fresh)
    return fresh


def named_address(host: str) -> str:
    """The address to name in Contact and SDP for a socket bound to `host`: itself, or for 0.0.0.0 and :: the one that leads outside.

    A description with the unspecified address would mean hold (RFC 3264 section 8.4). Nothing is sent to find it.
    """
    outside = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}.get(host)  # noqa: S104
    if outside is None:
        return host
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))
        except OSError:
            return "::1" if ":" in host else "127.0.0.1"
        found: str = probe.getsockname()[0]
    logger.warning("address_guessed", host=host, address=found, remedy="set recorder.advertised_address")
    return found


def close_unused(service: Service) -> None:
    """Close what was stored before and is not wanted any more."""
    stored = service.stored_sockets()
    while stored:
        _, unused = stored.popitem()
        unused.close()


def _bound_to(stored: socket.socket, host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        address = stored.getsockname()
        return bool(address[0] == host and (port == 0 or address[1] == port))
    return False
