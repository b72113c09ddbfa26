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
