"""socat as a TLS tunnel, so that peers that speak TCP only come in by (mutual) TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def tls_tunnel(port: int, *, ca: Path | None = None, certificate: Path | None = None) -> AsyncIterator[int]:
    """Listens on the port that it yields and passes everything on to 127.0.0.1:`port` by TLS.

    `ca`: what the server's certificate is checked against (None: not at all); `certificate`: PEM with the client's
    certificate and key.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local = probe.getsockname()[1]
    options = [f"OPENSSL:127.0.0.1:{port}"]
    options.append(f"cafile={ca},commonname=" if ca else "verify=0")
    if certificate:
        options.append(f"cert={certificate}")
    process = await asyncio.create_subprocess_exec(
        "socat",
        f"TCP-LISTEN:{local},bind=127.0.0.1,reuseaddr,fork",
        ",".join(options),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while not _listening(local):
                await asyncio.sleep(0.02)
        yield local
    finally:
        process.terminate()
        await process.wait()


def _listening(port: int) -> bool:
    """Ask the kernel: a connection to find out would be one of the tunnel's."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text()
