"""A whole Callward on loopback: `callward up` with ports and folders of its own, seen from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

from callward.platform.postgres import locate

START_TIMEOUT_S = 90.0
FIRST_USER = "admin.admin"
NEW_PASSWORD = "a-long-password-of-the-tests-7"


def rtp_port(number: int) -> int:
    """An RTP port for this process: tests run side by side (pytest-xdist) have ports of their own."""
    return number + 10_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """One running Callward. `prefix`: a command that runs `callward` in another way."""

    def __init__(
        self,
        folder: Path,
        rtp_from: int,
        environment: dict[str, str] | None = None,
        demo: bool = False,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.data = folder / "var"
        self.sip_port, self.tls_port, self.portal_port, self.metrics_port = (free_port() for _ in range(4))
        self.log = folder / "log"
        self._demo = demo
        self._prefix = prefix
        self.environment = {
            **os.environ,
            "CALLWARD_DATA": str(self.data),
            "CALLWARD_PORTAL__PORT": str(self.portal_port),
            "CALLWARD_RECORDER__SIP_PORT": str(self.sip_port),
            "CALLWARD_RECORDER__TLS_PORT": str(self.tls_port),
            "CALLWARD_METRICS__PORT": str(self.metrics_port),
            "CALLWARD_MEDIA__PORT_MIN": str(rtp_port(rtp_from)),
            "CALLWARD_MEDIA__PORT_MAX": str(rtp_port(rtp_from) + 998),
            "CALLWARD_MEDIA__SEGMENT_BYTES": str(8 << 20),
            "CALLWARD_MEDIA__DISK_RESERVE_BYTES": str(64 << 20),
            "CALLWARD_LOG__FORMAT": "json",
            **(environment or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.ready_line = ""

    def start(self) -> Machine:
        """Start and wait for the READY line."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *self._prefix,
                    str(Path(sys.executable).with_name("callward")),
                    "up",
                    *(["--demo"] if self._demo else []),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                text=True,
            )
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        os.set_blocking(self.process.stdout.fileno(), False)
        while not self.ready_line.startswith("READY"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"callward up is not ready:\n{self.log.read_text()[-4000:]}")
            self.ready_line = self.process.stdout.readline() or ""
            time.sleep(0.05)
        return self

    def stop(self) -> int:
        """Stop as a user would; returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return int(self.process.returncode)

    def remove_database(self) -> None:
        """As root the database lies outside of the data folder, where its user can reach it."""
        folder = locate(self.data).data
        if self.data not in folder.parents:
            shutil.rmtree(folder.parent, ignore_errors=True)

    def kill_all(self) -> None:
        """SIGKILL the supervisor: its children must end by themselves."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive, f"outlived the supervisor: {alive}"

    def child(self, name: str) -> psutil.Process:
        """A child process by its name (media, recorder, seal, worker, portal, postgres)."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                line = child.cmdline()
                if name == "media" and line and line[0].endswith("callward-media"):
                    return child
                if name == "postgres" and line and Path(line[0]).name == "postgres":
                    return child
                if len(line) > 2 and line[1].endswith("/callward") and line[2] == name:
                    return child
        raise AssertionError(f"no child {name}")

    def kill(self, name: str) -> int:
        """SIGKILL one child and return its old pid."""
        found = self.child(name)
        found.kill()
        return int(found.pid)

    def wait_restarted(self, name: str, old_pid: int) -> None:
        def again() -> bool:
            with contextlib.suppress(AssertionError):
                return self.child(name).pid != old_pid
            return False

        wait_until(again, f"{name} restarted")

    def command(self, *arguments: str) -> str:
        """Run a `callward` command as the operator of this machine; returns what it printed."""
        program = str(Path(sys.executable).with_name("callward"))
        done = subprocess.run(
            [program, *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"callward {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def provision(self, *commands: str) -> None:
        """Commands that change peers or organisations, side by side; waits until the recorder works by them.

        Each is one string, as a shell would take it.
        """
        with ThreadPoolExecutor(len(commands)) as threads:
            list(threads.map(lambda line: self.command(*shlex.split(line)), commands))
        number = json.loads((self.data / "snapshot" / "current.json").read_text())["number"]

        def in_force() -> bool:
            lines = (line for line in self.log.read_text().splitlines() if '"snapshot_in_force"' in line)
            return any(json.loads(line)["number"] >= number for line in lines)

        wait_until(in_force, f"snapshot {number} is in force")

    def wait_able(self, able: bool = True) -> None:
        """Wait until the recorder takes new calls (or takes none)."""
        wait_until(
            lambda: f'callward_recorder_able{{process="recorder"}} {float(able)}' in self.metrics(), f"able is {able}"
        )

    def metric(self, name: str) -> float:
        """The sum of a metric's values over its labels and processes."""
        lines = [line for line in self.metrics().splitlines() if line.startswith((name + " ", name + "{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def wait_portal(self) -> None:
        """Wait until the portal answers (again)."""

        def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.portal}/healthz", timeout=5).status_code == 200
            return False

        wait_until(answers, "the portal answers")

    @property
    def portal(self) -> str:
        return f"http://127.0.0.1:{self.portal_port}"

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).text

    def readiness(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=10).json()
        return found


class Browser:
    """The API as a signed-in person uses it."""

    def __init__(self, machine: Machine) -> None:
        self.client = httpx.Client(base_url=machine.portal, timeout=30)
        words = machine.ready_line.split()
        signed_in = self._sign_in(FIRST_USER, words[3] if len(words) > 3 else NEW_PASSWORD)
        if signed_in.status_code == 401:
            signed_in = self._sign_in(FIRST_USER, NEW_PASSWORD)
        signed_in.raise_for_status()
        self._token = signed_in.json()["csrf_token"]
        if signed_in.json()["must_change_password"]:
            changed = self.post(
                "/api/v1/session/password", {"current_password": words[3], "new_password": NEW_PASSWORD}
            )
            changed.raise_for_status()
            self._token = changed.json().get("csrf_token", self._token)

    def _sign_in(self, user: str, password: str) -> httpx.Response:
        return self.client.post("/api/v1/session", json={"user_name": user, "password": password})

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.client.post(path, json=body, headers={"X-CSRF-Token": self._token})

    def conversations(self, **query: str) -> list[dict[str, Any]]:
        answer = self.client.get("/api/v1/conversations", params=query)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], what: str, timeout_s: float = 30.0
    ) -> dict[str, Any]:
        """Wait until a conversation fulfils `condition`; returns its detail."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            with contextlib.suppress(httpx.HTTPError):  # the portal or the database may be coming back
                found[:] = [c for c in self.conversations() if condition(c)]
            return bool(found)

        wait_until(look, what, timeout_s)
        return self.detail(found[0]["id"])

    def system_events(self, code: str = "") -> list[dict[str, Any]]:
        """What an administrator sees, newest first; only those with a code when it is given."""
        answer = self.client.get("/api/v1/system/events", params={"limit": 200})
        answer.raise_for_status()
        return [event for event in answer.json()["items"] if code in ("", event["code"])]

    def detail(self, conversation_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/v1/conversations/{conversation_id}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def download(self, conversation: dict[str, Any], audio_format: str = "wav", recording: int = 0) -> bytes:
        one = conversation["recordings"][recording]["id"]
        answer = self.client.get(
            f"/api/v1/conversations/{conversation['id']}/recordings/{one}/download", params={"format": audio_format}
        )
        answer.raise_for_status()
        return answer.content


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout_s:.0f} s: {what}"
        time.sleep(0.1)


def running(machine: Machine) -> Iterator[Machine]:
    """Start a machine for a fixture and stop it afterwards."""
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()
        machine.remove_database()
