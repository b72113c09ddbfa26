"""A recorder and a media process of a test's own, as processes; the clients are SIPp and plain sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callward.journal import JournalReader
from callward.media.program import media_program, write_configuration
from callward.platform.settings import load_settings
from callward.records.events import EVENT, Event, RecordingEnded

SCENARIOS = Path(__file__).parent.parent / "peers" / "sipp"
BIN = Path(sys.executable).parent
START_S = 20.0
RECORDER = """
from callward.cli.recorder import run_recorder
from callward.platform.settings import load_settings

run_recorder(load_settings())
"""
_SIPP_MEDIA_PORTS = itertools.cycle(range(32_400, 32_760, 12))
"""Below the ports that the kernel gives to others."""


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Packet:
    arrival_ns: int
    timestamp: int
    sequence: int
    payload_type: int
    payload: bytes


@dataclass(frozen=True)
class Track:
    """An extracted track (docs/reference/media-protocol.md)."""

    header: dict[str, Any]
    packets: list[Packet]


def read_track(path: Path) -> Track:
    data = path.read_bytes()
    assert data[:8] == b"CWTRACK1"
    (length,) = struct.unpack_from("<I", data, 8)
    header = json.loads(data[12 : 12 + length])
    position = -(-(12 + length) // 8) * 8
    (count,) = struct.unpack_from("<Q", data, position)
    position += 8
    payloads = position + 32 * count
    packets = []
    for number in range(count):
        arrival, offset, timestamp, _, sequence, size, payload_type, _, _ = struct.unpack_from(
            "<qQIIHHBBH", data, position + 32 * number
        )
        start = payloads + offset
        packets.append(Packet(arrival, timestamp, sequence, payload_type, data[start : start + size]))
    return Track(header, packets)


@dataclass
class Pair:
    """One data folder with its two processes."""

    folder: Path
    rtp_from: int
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sip_port = free_port(socket.SOCK_STREAM)
        self.tls_port = free_port(socket.SOCK_STREAM)
        self.metrics_port = free_port(socket.SOCK_STREAM)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def journal(self) -> Path:
        return self.folder / "var" / "journal" / "recorder"

    def start(self, name: str) -> None:
        """Start `media` or `recorder`."""
        environment = {
            **os.environ,
            "CALLWARD_DATA": str(self.folder / "var"),
            "CALLWARD_RECORDER__SIP_PORT": str(self.sip_port),
            "CALLWARD_RECORDER__TLS_PORT": str(self.tls_port),
            "CALLWARD_METRICS__PORT": str(self.metrics_port),
            "CALLWARD_MEDIA__PORT_MIN": str(self.rtp_from),
            "CALLWARD_MEDIA__PORT_MAX": str(self.rtp_from + 399),
            "CALLWARD_MEDIA__SYNC_INTERVAL_MS": "20",
            "CALLWARD_MEDIA__SEGMENT_BYTES": str(1 << 20),
            "CALLWARD_MEDIA__DISK_RESERVE_BYTES": str(1 << 20),
            "CALLWARD_LOG__FORMAT": "json",
            **self.environment,
        }
        if name == "media":
            configuration = write_configuration(load_settings(environment=environment))
            command = [str(media_program()), "serve", "--config", str(configuration)]
        else:
            # As `callward recorder`, without loading the rest of the command line.
            command = [sys.executable, "-c", RECORDER]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    async def started(self) -> Pair:
        """Start both and wait until new sessions are taken."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start("media")
        self.start("recorder")
        await self.until_able()
        return self

    async def until_able(self) -> None:
        deadline = time.monotonic() + START_S
        while await self.options() != 200:
            assert time.monotonic() < deadline, self.logs()
            await asyncio.sleep(0.05)

    async def options(self) -> int:
        """Ask over UDP whether it is able; 0 without an answer."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.bind(("127.0.0.1", 0))
            port = asking.getsockname()[1]
            text = (
                f"OPTIONS sip:127.0.0.1:{self.sip_port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}"
                f"\r\nFrom: <sip:t@127.0.0.1>;tag=1\r\nTo: <sip:r@127.0.0.1>\r\nCall-ID: {port}-{time.monotonic_ns()}\r\n"
                "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
            try:
                await loop.sock_sendto(asking, text.encode(), ("127.0.0.1", self.sip_port))
                async with asyncio.timeout(0.5):
                    answer = await loop.sock_recv(asking, 4000)
            except OSError:
                return 0
            return int(answer.split(b" ", 2)[1])

    def kill(self, name: str) -> None:
        process = self.processes[name]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self) -> str:
        return "\n".join(path.read_text()[-4000:] for path in sorted(self.folder.glob("*.log")))

    def events(self) -> list[Event]:
        return [EVENT.validate_json(record.payload) for record in JournalReader(self.journal).read(1_000_000)]

    async def ended(self, count: int = 1, *, of: str = "", timeout_s: float = 10.0) -> list[RecordingEnded]:
        """Wait for so many ended recordings; `of`: whose communication session begins so."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = [
                event
                for event in self.events()
                if isinstance(event, RecordingEnded)
                and any(call.session_ids.get("communication_session", "").startswith(of) for call in event.calls)
            ]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} ended\n{self.logs()}"
            await asyncio.sleep(0.05)

    def extract(self, track: str) -> Track:
        output = self.folder / f"{track}.track"
        journal = self.folder / "var" / "journal"
        subprocess.run(
            [
                str(BIN / "callward-media"),
                "extract",
                "--journal",
                str(journal / "audio"),
                "--keys",
                str(journal / "keys"),
                "--track",
                track,
                "--output",
                str(output),
            ],
            check=True,
            capture_output=True,
            timeout=20,
        )
        return read_track(output)

    async def sipp(self, scenario: str, *arguments: str, call: str = "", transport: str = "u1", count: int = 1) -> None:
        """Run a SIPp scenario to its end. `call`: prefix of the communication session ids."""
        text = (SCENARIOS / f"{scenario}.xml").read_text()
        audio = self.folder / "audio.al"
        if not audio.exists():
            audio.write_bytes(bytes((0x55 + n * 7) & 0xFF for n in range(8000)))
        text = text.replace("AUDIO", str(audio)).replace('session_id="call-', f'session_id="{call or scenario}-')
        place = self.folder / f"sipp-{scenario}-{free_port()}"
        place.mkdir()
        (place / "scenario.xml").write_text(text)
        port, media_port = free_port(), next(_SIPP_MEDIA_PORTS)
        process = await asyncio.create_subprocess_exec(
            "sipp",
            *("-sf", "scenario.xml", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(port), "-mp", str(media_port)),
            *("-t", transport, "-m", str(count), "-nostdin", "-timeout", "20", "-trace_err"),
            *arguments,
            f"127.0.0.1:{self.sip_port}",
            cwd=place,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "TERM": "dumb"},
        )
        try:
            async with asyncio.timeout(40):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        errors = "".join(path.read_text() for path in place.glob("*_errors.log"))
        assert process.returncode == 0, f"{scenario}: {process.returncode}\n{errors}\n{output[-3000:].decode()}"
