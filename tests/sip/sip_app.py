"""A tiny user agent on the real driver, for tests with real peers: answers calls as told, and remembers what happened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callward.sip.config import EndpointConfig
from callward.sip.driver import Driver, DriverSettings
from callward.sip.endpoint import Endpoint
from callward.sip.events import Event, InviteReceived, ReinviteReceived, RequestReceived
from callward.sip.flow import Admission, Flow, Verdict
from callward.sip.message import Request

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=recvonly\r\n"
)


def loopback(flow: Flow, request: Request | None) -> Admission:
    return Admission(Verdict.ACCEPT if flow.remote[0] in ("127.0.0.1", "::1") else Verdict.REFUSE)


class App:
    """Answers every INVITE with `status` and SDP (after `before`), everything else with 200."""

    def __init__(self, *, admit: Any = loopback, settings: DriverSettings | None = None, **config: Any) -> None:
        config.setdefault("understood", ("siprec",))
        self.endpoint = Endpoint(EndpointConfig(**config), os.urandom, admit)
        self.driver = Driver(self.endpoint, self._on_event, settings)
        self.events: list[Event] = []
        self.keep_events = True
        self.before: Callable[[InviteReceived], bool] = lambda event: True
        """Gives False when it answers itself."""
        self._changed = asyncio.Event()

    def _on_event(self, event: Event) -> None:
        if self.keep_events:
            self.events.append(event)
        self._changed.set()
        now = self.driver.now()
        if isinstance(event, InviteReceived):
            if self.before(event):
                self.endpoint.respond(event.exchange, 200, now, body=SDP)
        elif isinstance(event, ReinviteReceived):
            self.endpoint.respond(event.exchange, 200, now, body=SDP)
        elif isinstance(event, RequestReceived):
            self.endpoint.respond(event.exchange, 200, now, body=SDP if event.request.body else b"")

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], Any], timeout: float = 10.0) -> Any:
        """Wait until something holds, looking again after each event."""
        async with asyncio.timeout(timeout):
            while not (value := condition()):
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 0.05)
                except TimeoutError:
                    pass
        return value


async def sipp(scenario: Path, target: tuple[str, int], folder: Path, *arguments: str, timeout: float = 20.0) -> None:
    """Run one SIPp scenario to its end; a failed call fails the test with SIPp's own words."""
    process = await asyncio.create_subprocess_exec(
        "sipp",
        f"{target[0]}:{target[1]}",
        *(
            "-sf",
            str(scenario),
            "-i",
            "127.0.0.1",
            "-m",
            "1",
            "-nostdin",
            "-timeout",
            str(int(timeout)),
            "-timeout_error",
        ),
        *("-trace_err", "-error_file", str(folder / "sipp.err"), "-recv_timeout", "8000"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "TERM": "dumb"},
    )
    try:
        async with asyncio.timeout(timeout + 5):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    errors = folder / "sipp.err"
    said = errors.read_text() if errors.exists() else output.decode(errors="replace")[-2000:]
    assert process.returncode == 0, f"SIPp ended with {process.returncode}: {said}"
