"""Runs the media process for tests: its own folders and ports, a client of its socket, RTP senders, a tiny service manager."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOME = "127.0.0.1"
_ports = itertools.count(0)
_ids = itertools.count(1)


# Stored descriptors get numbers from here on, so that the ones below stay free for the hand-over.
STORED_FROM = 3_000


def binary() -> str:
    """The program under test: CALLWARD_MEDIA_BINARY, else the one installed beside the interpreter."""
    return os.environ.get("CALLWARD_MEDIA_BINARY") or str(Path(sys.executable).parent / "callward-media")


def faulty_binary() -> str:
    """The same program with planted faults (scripts/build-faults): `CALLWARD_FAULT` says which."""
    rust = Path(__file__).resolve().parents[2] / "rust"
    path = Path(os.environ.get("CARGO_TARGET_DIR", rust / "target")) / "faults" / "callward-media"
    assert os.access(path, os.X_OK), f"{path} is missing: run scripts/build-faults (make test does)"
    return str(path)


def new_id() -> str:
    """A ULID that no other test of this run uses."""
    number = (int(time.time() * 1000) << 80) | (os.getpid() << 32) | next(_ids)
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(alphabet[(number >> (5 * place)) & 31] for place in range(25, -1, -1))


def opening(track: str, **changes: Any) -> dict[str, Any]:
    """The fields of `open_track` for a PCMA stream."""
    return {
        "track": track,
        "session": new_id(),
        "address": HOME,
        "payload_types": [
            {"payload_type": 8, "codec": "PCMA", "clock_hz": 8000, "channels": 1, "fmtp": ""},
            {"payload_type": 101, "codec": "telephone-event", "clock_hz": 8000, "channels": 1, "fmtp": "0-16"},
        ],
        "remote": None,
        "rtcp_mux": False,
        "srtp": None,
        "srtp_send": None,
        "state": "recording",
        "source_check": "strict",
        "meta": {"label": "1"},
    } | changes


class MediaClient:
    """A blocking client of the control socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        self._replies: dict[int, dict[str, Any]] = {}
        self.hello = self.read()

    def read(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            chunk = self.socket.recv(1 << 20)
            if not chunk:
                raise EOFError("the media process closed the connection")
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def send(self, op: str, **fields: Any) -> int:
        number = next(_ids)
        self.socket.sendall(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
        return number

    def reply(self, number: int) -> dict[str, Any]:
        """The reply to this request; replies come in any order."""
        while number not in self._replies:
            message = self.read()
            if "event" in message:
                self.events.append(message)
            else:
                self._replies[message["id"]] = message
        return self._replies.pop(number)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The reply; fails when the operation did."""
        reply = self.reply(self.send(op, **fields))
        assert reply["ok"], reply
        return reply

    def refused(self, op: str, **fields: Any) -> tuple[str, str]:
        reply = self.reply(self.send(op, **fields))
        assert not reply["ok"], reply
        return reply["error"]["code"], reply["error"]["message"]

    def event(self, name: str) -> dict[str, Any]:
        """The first event of this name, waiting for it."""
        while True:
            for at, message in enumerate(self.events):
                if message["event"] == name:
                    return self.events.pop(at)
            message = self.read()
            assert "event" in message, message
            self.events.append(message)

    def open(self, **fields: Any) -> tuple[str, int]:
        """Opens a PCMA track; returns its id and RTP port."""
        track = fields.pop("track", None) or new_id()
        reply = self.ask("open_track", **opening(track, **fields))
        assert reply["rtcp_port"] == reply["rtp_port"] + 1
        return track, reply["rtp_port"]

    def stats(self, track: str) -> dict[str, Any]:
        stats: dict[str, Any] = self.ask("track_stats", track=track)["stats"]
        return stats

    def wait_for(self, track: str, counter: str, value: int) -> dict[str, Any]:
        """The statistics once this counter has reached the value."""
        deadline = time.monotonic() + 5
        while True:
            stats = self.stats(track)
            if stats[counter] >= value:
                return stats
            assert time.monotonic() < deadline, f"{counter} is {stats[counter]}, not {value}: {stats}"
            time.sleep(0.005)

    def close(self) -> None:
        self.socket.close()


def rtp(
    sequence: int,
    timestamp: int | None = None,
    *,
    ssrc: int = 0x1234,
    payload_type: int = 8,
    payload: bytes | None = None,
    marker: bool = False,
) -> bytes:
    """An RTP packet whose payload says which one it is."""
    stamp = (sequence * 160 if timestamp is None else timestamp) & 0xFFFFFFFF
    body = struct.pack("!HL", sequence & 0xFFFF, ssrc) * 26 + b"abcd" if payload is None else payload
    head = struct.pack("!BBHLL", 0x80, payload_type | (0x80 if marker else 0), sequence & 0xFFFF, stamp, ssrc)
    return head + body


@dataclass
class Sender:
    """A phone that sends from one address."""

    host: str = HOME
    socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((self.host, 0))
        self.socket.settimeout(10)

    @property
    def address(self) -> str:
        port = self.socket.getsockname()[1]
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    @property
    def remote(self) -> dict[str, Any]:
        return {"rtp": self.address, "rtcp": None}

    def send(self, port: int, *packets: bytes) -> None:
        for packet in packets:
            self.socket.sendto(packet, (self.host, port))

    def close(self) -> None:
        self.socket.close()


@dataclass
class Extracted:
    """A CWTRACK1 file, read by the rules of docs/reference/media-protocol.md."""

    header: dict[str, Any]
    packets: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Extracted:
        data = path.read_bytes()
        assert data[:8] == b"CWTRACK1"
        (length,) = struct.unpack_from("<L", data, 8)
        header = json.loads(data[12 : 12 + length])
        at = 12 + length
        assert at % 8 == 0
        (count,) = struct.unpack_from("<Q", data, at)
        table = at + 8
        area = table + 32 * count
        assert hashlib.sha256(data[table:]).hexdigest() == header["sha256"]
        packets = []
        for number in range(count):
            arrival, offset, stamp, ssrc, sequence, size, payload_type, flags, _ = struct.unpack_from(
                "<qQLLHHBBH", data, table + 32 * number
            )
            packets.append(
                {
                    "arrival_ns": arrival,
                    "timestamp": stamp,
                    "ssrc": ssrc,
                    "sequence": sequence,
                    "payload": data[area + offset : area + offset + size],
                    "payload_type": payload_type,
                    "marker": bool(flags & 1),
                }
            )
        return cls(header, packets)

    @property
    def sequences(self) -> list[int]:
        return [packet["sequence"] for packet in self.packets]

    def marks(self, kind: str) -> list[dict[str, Any]]:
        return [mark for mark in self.header["marks"] if mark["kind"] == kind]


class ServiceManager:
    """Keeps the descriptors that the process stores (sd_notify), as systemd and `callward up` do."""

    def __init__(self, folder: Path) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 1 << 16, hard))
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(str(self.path))
        self.stored: dict[str, int] = {}
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                text, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 250)
            except OSError:
                return
            fields = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
            if "FDSTORE" in fields:
                for descriptor in descriptors:
                    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, STORED_FROM)
                    os.close(descriptor)
                    self.stored[fields["FDNAME"]] = high
            if fields.get("READY") == "1":
                self.ready.set()

    def forget(self, name: str) -> None:
        """What a power loss does to a descriptor."""
        with contextlib.suppress(KeyError):
            os.close(self.stored.pop(name))

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)
        for descriptor in self.stored.values():
            os.close(descriptor)


class MediaProcess:
    """The program, started with its own folders and a range of ports of its own."""

    def __init__(self, folder: Path, receive: str = "auto", ports: int = 40, **config: Any) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {
            "runtime_dir": str(folder / "run"),
            "journal_dir": str(folder / "audio"),
            "keys_dir": str(folder / "keys"),
            "addresses": [HOME, "::1"],
            "sync_interval_ms": 20,
            "segment_bytes": 1 << 20,
            "journal_max_bytes": 1 << 30,
            "disk_reserve_bytes": 1 << 20,
            "cpu": None,
            "receive": receive,
            "quarantine_ms": 150,
        }
        # Workers of a parallel run take ranges far apart; other runs on this machine begin elsewhere.
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
        first = 40_000 + 2_000 * (worker % 8) + (ports * next(_ports) + 2 * (os.getpid() % 900)) % 1_900
        self.config |= {"port_min": first, "port_max": first + ports - 1} | config
        self.pid: int | None = None
        self.log = folder / "log"
        self.program = binary()
        self.environment: dict[str, str] = {}

    @property
    def control(self) -> Path:
        return Path(self.config["runtime_dir"]) / "media.sock"

    def start(self, manager: ServiceManager | None = None) -> MediaClient:
        file = self.folder / "media.json"
        file.write_text(json.dumps(self.config))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LISTEN_", "NOTIFY_"))}
        environment |= self.environment
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, log, 2)]
        if manager is not None:
            manager.ready.clear()
            environment["NOTIFY_SOCKET"] = str(manager.path)
            stored = sorted(manager.stored.items())
            environment["LISTEN_FDS"] = str(len(stored))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in stored)
            actions += [(os.POSIX_SPAWN_DUP2, descriptor, 3 + at) for at, (_, descriptor) in enumerate(stored)]
        command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', self.program, "serve", "--config", str(file)]
        self.pid = os.posix_spawn("/bin/sh", command, environment, file_actions=actions)
        os.close(log)
        return self.connect()

    def connect(self) -> MediaClient:
        deadline = time.monotonic() + 10
        while True:
            if self.control.exists():
                with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                    client = MediaClient(self.control)
                    if client.hello["pid"] == self.pid:
                        return client
                    client.close()
            assert self.pid is not None
            gone, status = os.waitpid(self.pid, os.WNOHANG)
            if gone:
                self.pid = None
                raise AssertionError(f"the media process ended with {status}: {self.log.read_text()}")
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.pid is not None
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = None

    def stop(self) -> int:
        """Ends it with SIGTERM; returns the exit code."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits for its end; returns the exit code, negative for a signal."""
        assert self.pid is not None
        deadline = time.monotonic() + 10
        while True:
            gone, status = os.waitpid(self.pid, os.WNOHANG)
            if gone:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "it does not stop"
            time.sleep(0.005)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=20)

    def extract(self, track: str, *, partial: bool = False) -> Extracted:
        output = self.folder / f"{track}.cwtrack"
        result = self.command(
            "extract",
            *("--journal", self.config["journal_dir"], "--keys", self.config["keys_dir"]),
            *("--track", track, "--output", str(output), *(["--partial"] if partial else [])),
        )
        assert result.returncode == 0, result.stderr
        return Extracted.read(output)


@contextlib.contextmanager
def running(receive: str = "auto", **config: Any) -> Iterator[tuple[MediaProcess, MediaClient]]:
    """A process for one test or module, ended by its pid afterwards."""
    with tempfile.TemporaryDirectory(prefix="cw-media-") as folder:
        process = MediaProcess(Path(folder), receive, **config)
        client = process.start()
        try:
            yield process, client
        finally:
            client.close()
            if process.pid is not None:
                process.stop()
