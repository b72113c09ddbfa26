"""The load generator and the machine's own limit: small programs built beside the product, for benchmarks only (`make bench`)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from callward.bench.report import PeerMissingError
from callward.media.protocol import Srtp

LOAD_CPU = 1
TESTED_CPU = 0


def program(name: str) -> str:
    """The path of `media-load` or `media-limit`.

    Raises:
        PeerMissingError: not built.
    """
    target = Path(os.environ.get("CARGO_TARGET_DIR", "rust/target"))
    path = target / "release" / "examples" / name
    if not os.access(path, os.X_OK):
        raise PeerMissingError(f"{path} is not built: run make bench (or scripts/build-load)")
    return str(path)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the generator really sent."""

    packets: int
    seconds: float
    latest_ms: float
    """How late it ever was: beyond a packet time the generator itself was the bottleneck."""


class Load:
    """A generator; all its packets come from `source`. With `srtp` they are protected under that key."""

    def __init__(self, folder: Path, seconds: float, first_sequence: int = 0, srtp: Srtp | None = None) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.source_port = int(probe.getsockname()[1])
        self._ports = folder / "ports"
        self._seconds = seconds
        self._first_sequence = first_sequence
        self._srtp = srtp

    @property
    def source(self) -> str:
        return f"127.0.0.1:{self.source_port}"

    def send(self, ports: Sequence[int], begin: Callable[[], None] = lambda: None) -> Sent:
        """Send to the ports until the time is over; `begin` is called when the first packet is about to go."""
        self._ports.write_text("".join(f"{port}\n" for port in ports))
        command = [
            *(program("media-load"), "--ports", str(self._ports), "--seconds", str(self._seconds)),
            *("--cpu", str(LOAD_CPU), "--source-port", str(self.source_port), "--wait"),
            *("--start-sequence", str(self._first_sequence)),
            *(("--srtp", self._srtp.suite, "--srtp-key", self._srtp.key) if self._srtp else ()),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
            assert generator.stdout is not None
            generator.stdout.readline()  # its address: all packets are made, it waits for a line
            begin()
            try:
                printed, _ = generator.communicate("\n", timeout=self._seconds * 3 + 10)
            except subprocess.TimeoutExpired:
                generator.kill()
                raise
        found = json.loads(printed.splitlines()[-1])
        return Sent(found["packets"], found["seconds"], found["latest_ms"])
