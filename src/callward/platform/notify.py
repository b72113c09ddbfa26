"""systemd's notification and descriptor-store protocol, the child's side and the supervisor's side.

A service sends `READY=1`, and `FDSTORE=1` with open sockets, to the datagram socket that `NOTIFY_SOCKET` names; after a restart it
finds the sockets by `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` (sd_notify(3), sd_listen_fds(3)). Under systemd nothing changes.
"""

from __future__ import annotations

import array
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

FIRST_DESCRIPTOR = 3
DESCRIPTORS_PER_MESSAGE = 250
"""Linux passes at most 253 descriptors in one message (SCM_MAX_FD)."""
MESSAGE_MAX_BYTES = 65_536


def notify(message: str, sockets: list[socket.socket] | None = None) -> bool:
    """Tell the service manager something; False when there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        descriptors = array.array("i", [s.fileno() for s in sockets or []])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if descriptors else []
        channel.sendmsg([message.encode()], control, 0, address)
    return True


def inherited_sockets() -> dict[str, socket.socket]:
    """The sockets that the service manager kept for us, by name; each may be taken once per process."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return {}
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    found = {}
    for offset in range(count):
        descriptor = FIRST_DESCRIPTOR + offset
        os.set_inheritable(descriptor, False)
        name = names[offset] if offset < len(names) else f"socket-{offset}"
        found[name] = socket.socket(fileno=descriptor)
    return found


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of a service: its assignments, and the descriptors that came with it."""

    values: dict[str, str]
    descriptors: list[int] = field(default_factory=list)


def receive(channel: socket.socket) -> Notice | None:
    """Read one message of a service without waiting; None when there is none."""
    try:
        data, descriptors, _, _ = socket.recv_fds(
            channel, MESSAGE_MAX_BYTES, DESCRIPTORS_PER_MESSAGE + 3, socket.MSG_DONTWAIT
        )
    except BlockingIOError:
        return None
    values = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            values[key] = value
    return Notice(values, list(descriptors))


def open_channel(path: Path) -> socket.socket:
    """Make the supervisor's end for one service."""
    path.unlink(missing_ok=True)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.setblocking(False)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    channel.bind(str(path))
    path.chmod(0o600)
    return channel
