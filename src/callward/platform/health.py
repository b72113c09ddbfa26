"""Health and metrics of one process: `/healthz`, `/readyz` and `/metrics` over HTTP on a unix socket or a TCP port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import generate_latest

REQUEST_MAX_BYTES = 8192
REQUEST_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 32

MetricsSource = Callable[[], Awaitable[bytes]]


@dataclass(slots=True)
class Health:
    """Named checks; the process is ready when all of them are well."""

    checks: dict[str, tuple[bool, str]] = field(default_factory=dict)

    def set(self, name: str, well: bool, why: str = "") -> None:
        """Say how one part is; `why` is a sentence for people when it is not well."""
        self.checks[name] = (well, why)

    @property
    def ready(self) -> bool:
        return all(well for well, _ in self.checks.values())

    def report(self) -> dict[str, object]:
        """The checks as JSON: `{"ready": bool, "checks": {name: {"well", "why"}}}`."""
        return {
            "ready": self.ready,
            "checks": {name: {"well": well, "why": why} for name, (well, why) in sorted(self.checks.items())},
        }


async def own_metrics() -> bytes:
    """The metrics of this process in Prometheus' text format."""
    return generate_latest()


@dataclass(slots=True)
class HealthServer:
    """A very small HTTP server for probes; GET only, one request a connection, bounded in everything."""

    report: Callable[[], Awaitable[dict[str, object]]]
    metrics: MetricsSource = own_metrics
    _servers: list[asyncio.Server] = field(default_factory=list)
    _paths: list[Path] = field(default_factory=list)
    _open: int = 0

    async def listen_unix(self, path: Path) -> None:
        """Listen on a unix socket (mode 0600)."""
        path.unlink(missing_ok=True)
        self._servers.append(await asyncio.start_unix_server(self._serve, str(path)))
        self._paths.append(path)
        path.chmod(0o600)

    async def listen_tcp(self, host: str, port: int) -> None:
        """Listen on a TCP port."""
        self._servers.append(await asyncio.start_server(self._serve, host, port))

    async def close(self) -> None:
        """Stop listening; the socket files go too."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS_MAX:
            writer.close()
            return
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head[:REQUEST_MAX_BYTES]))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method != b"GET":
            return _response(405, b"only GET\n", "text/plain")
        if path == b"/healthz":
            return _response(200, b"alive\n", "text/plain")
        if path == b"/readyz":
            report = await self.report()
            return _response(200 if report["ready"] else 503, json.dumps(report).encode() + b"\n", "application/json")
        if path == b"/metrics":
            return _response(200, await self.metrics(), "text/plain; version=0.0.4")
        return _response(404, b"try /metrics, /healthz or /readyz\n", "text/plain")


def _response(status: int, body: bytes, media_type: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} -\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def fetch(path: Path, resource: str) -> tuple[int, bytes]:
    """Get a resource from another process's unix socket: status and body; (0, b"") when it does not answer."""
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                writer.write(f"GET {resource} HTTP/1.1\r\nHost: callward\r\n\r\n".encode())
                answer = await reader.read(4 << 20)
                while more := await reader.read(4 << 20):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        return int(head.split(b" ", 2)[1]), body
    except (IndexError, ValueError):
        return 0, b""
