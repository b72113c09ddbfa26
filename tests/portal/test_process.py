"""`callward portal` as a process of its own: it listens, answers, and stops when asked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_portal_process_serves_and_stops_on_sigterm(database_url: str, tmp_path: Path) -> None:
    port = _free_port()
    environment = os.environ | {
        "CALLWARD_DATA": str(tmp_path),
        "CALLWARD_DATABASE__URL": database_url,
        "CALLWARD_PORTAL__PORT": str(port),
        "CALLWARD_METRICS__PORT": str(_free_port()),
    }
    program = str(Path(sys.executable).with_name("callward"))
    with subprocess.Popen([program, "portal"], env=environment, stderr=subprocess.PIPE) as process:
        try:
            answer = None
            deadline = time.monotonic() + 30
            while answer is None and time.monotonic() < deadline and process.poll() is None:
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
                except httpx.TransportError:
                    time.sleep(0.05)
            assert answer is not None
            assert answer.status_code == 200
            assert httpx.get(f"http://127.0.0.1:{port}/api/v1/session").status_code == 401
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
