"""What is missing on this machine, and the remedy: the checks of `callward doctor`."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callward.media.program import MediaProgramError, media_program
from callward.platform.lock import runs_here
from callward.platform.ports import ports
from callward.platform.postgres import EmbeddedPostgresError, locate, server_version
from callward.platform.settings import Settings

_IO_URING_SETUP = 425
_DESCRIPTORS_WANTED = 16_384


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` is empty when it is well."""

    what: str
    state: Literal["well", "warning", "error"]
    found: str
    remedy: str = ""


def _python(_: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "well", version)


def _media(_: Settings) -> Iterator[Finding]:
    try:
        yield Finding("media program", "well", str(media_program()))
    except MediaProgramError as error:
        yield Finding("media program", "error", "not found", str(error))


def _portal(_: Settings) -> Iterator[Finding]:
    page = Path(__file__).parents[1] / "portal" / "static" / "index.html"
    if page.is_file():
        yield Finding("portal pages", "well", "built")
    else:
        yield Finding("portal pages", "warning", "not built: the API works, the pages do not", "make build")


def _database(found: Settings) -> Iterator[Finding]:
    if found.database.url is not None:
        yield Finding("database", "well", "own server (database.url)")
        return
    try:
        server = locate(found.data)
    except EmbeddedPostgresError as error:
        yield Finding("PostgreSQL", "error", "not found", str(error))
        return
    user = f", runs as {server.user.pw_name}" if server.user else ""
    yield Finding("PostgreSQL", "well", f"version {server_version(server.binaries)} in {server.binaries}{user}")
    if server.data.parent != found.data:
        yield Finding(
            "database folder",
            "warning",
            f"{server.data}: the user {server.user.pw_name if server.user else ''} may not enter {found.data}",
            "nothing to do; or choose a data folder that others may pass through (chmod o+x)",
        )


def _folder(found: Settings) -> Iterator[Finding]:
    existing = next(p for p in (found.data, *found.data.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        why = error.strerror or "no"
        yield Finding(
            "data folder", "error", f"{existing} cannot be written: {why}", "choose another with CALLWARD_DATA"
        )
        return
    free = shutil.disk_usage(existing).free
    reserve = found.media.disk_reserve_bytes
    text = f"{found.data}, {free / (1 << 30):.1f} GiB free"
    if free <= reserve:
        yield Finding("data folder", "error", text, f"calls are refused below {reserve >> 20} MiB: free some disk")
    elif free < 10 * reserve:
        yield Finding(
            "data folder", "warning", text, "plan for about 60 MB an hour of recorded calls, plus the journal"
        )
    else:
        yield Finding("data folder", "well", text)


def _ports(found: Settings) -> Iterator[Finding]:
    if runs_here(found.data):
        yield Finding("ports", "well", f"Callward is running on {found.data} and holds them")
        return
    for port in ports(found):
        name = f"port {port.number} ({port.what})"
        refusal = port.refusal()
        if refusal is None:
            yield Finding(name, "well", "free")
        else:
            yield Finding(name, "warning", refusal, port.remedy(refusal))


def _kernel(found: Settings) -> Iterator[Finding]:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(_IO_URING_SETUP, 4, (ctypes.c_char * 256)())
    if descriptor >= 0:
        os.close(descriptor)
        yield Finding("io_uring", "well", "allowed")
    else:
        why = os.strerror(ctypes.get_errno())
        yield Finding(
            "io_uring",
            "warning",
            f"{why}: recvmmsg is used, at about twice the cost",
            "allow io_uring for this container",
        )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS_WANTED:
        yield Finding(
            "open files",
            "warning",
            f"limit {hard}: about {hard // 5} calls at a time",
            "raise the limit: ulimit -Hn 65536",
        )
    else:
        yield Finding("open files", "well", "limit is high enough")
    buffer = int(Path("/proc/sys/net/core/rmem_max").read_text())
    if buffer < 1 << 20:
        yield Finding(
            "socket buffers", "warning", f"net.core.rmem_max is {buffer}", "sysctl -w net.core.rmem_max=4194304"
        )
    else:
        yield Finding("socket buffers", "well", f"net.core.rmem_max is {buffer}")
    if found.recorder.tls_certificate is None and found.recorder.host not in ("127.0.0.1", "::1"):
        yield Finding(
            "TLS certificate",
            "warning",
            "none set: a self-signed one is made",
            "set recorder.tls_certificate and recorder.tls_key",
        )


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _python,
    _media,
    _portal,
    _database,
    _folder,
    _ports,
    _kernel,
)
