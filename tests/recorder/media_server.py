"""A media process that speaks the protocol's lines and does nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from callward.media.client import MediaClient


class Server:
    """A media process made of a dictionary: `replies` by operation; None means silence,
    a list the replies one after the other."""

    def __init__(self, path: Path, protocol: int = 1) -> None:
        self.path = path
        self.replies: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []
        self.boot = "BOOT-1"
        self._protocol = protocol
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def say(self, line: bytes) -> None:
        for writer in self._writers:
            writer.write(line + b"\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        hello = {"event": "hello", "protocol": self._protocol, "version": "t", "pid": 1, "boot": self.boot}
        writer.write(json.dumps(hello).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                request = json.loads(line)
                self.seen.append(request)
                reply = self.replies.get(request["op"], {})
                if isinstance(reply, list):
                    reply = reply.pop(0) if reply else {}
                if reply is not None:
                    writer.write(
                        json.dumps({"id": request["id"], "ok": "error" not in reply, **reply}).encode() + b"\n"
                    )


@contextlib.asynccontextmanager
async def connected(path: Path, **arguments: Any) -> AsyncIterator[tuple[Server, MediaClient]]:
    server = Server(path / "m.sock")
    await server.start()
    client = MediaClient(server.path, **arguments)
    client.start()
    assert await client.wait_connected(5)
    try:
        yield server, client
    finally:
        await client.close()
        await server.stop()


def refusal(code: str, message: str = "") -> dict[str, Any]:
    """The reply of a media process that says no."""
    return {"error": {"code": code, "message": message or code}}
