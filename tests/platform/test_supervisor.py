"""The supervisor against real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callward.platform.supervisor import ChildFailedError, ChildSpec, Supervisor

SERVER = textwrap.dedent(
    """
    import signal, socket, sys
    from callward.platform.notify import inherited_sockets, notify
    found = inherited_sockets()
    if "udp" in found:
        udp = found["udp"]
    else:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", int(sys.argv[1])))
    notify("FDSTORE=1\\nFDNAME=udp", [udp])
    notify("READY=1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        data, sender = udp.recvfrom(100)
        if data == b"wait":
            signal.pause()
        udp.sendto(data + (b" inherited" if found else b" fresh"), sender)
    """
)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    one = Supervisor(tmp_path)
    yield one
    await one.stop()


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server(port: int) -> ChildSpec:
    return ChildSpec("server", (sys.executable, "-c", SERVER, str(port)))


def ask(port: int, text: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(text, ("127.0.0.1", port))
        return client.recv(100)


async def wait_until(condition: object, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_killed_child_starts_again_with_its_sockets_and_loses_no_packet(
    supervisor: Supervisor, port: int
) -> None:
    one = supervisor.add(server(port))
    await one.wait_ready()
    assert await asyncio.to_thread(ask, port, b"one") == b"one fresh"
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    # sent while nobody reads: the kernel keeps it in the stored socket
    assert await asyncio.to_thread(ask, port, b"two") == b"two inherited"
    assert one.restarts == 1


async def test_a_child_that_ends_at_once_is_restarted_with_growing_waits(supervisor: Supervisor) -> None:
    one = supervisor.add(ChildSpec("broken", (sys.executable, "-c", "raise SystemExit(3)")))
    await wait_until(lambda: one.restarts >= 3)
    assert one._back_off_s >= 0.8
    with pytest.raises(ChildFailedError, match="broken is not ready"):
        await one.wait_ready(0.01)


async def test_stop_ends_every_child_and_leaves_no_orphan(supervisor: Supervisor, port: int) -> None:
    one = supervisor.add(server(port))
    await one.wait_ready()
    pid = one.pid
    assert pid is not None
    await supervisor.stop()
    assert one.state == "stopped"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_program_that_does_not_exist_is_reported_and_retried(supervisor: Supervisor) -> None:
    one = supervisor.add(ChildSpec("absent", ("/nonexistent/program",)))
    await wait_until(lambda: one.restarts >= 1)
    assert one.state in ("backing_off", "starting")


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path, port: int) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio, sys
        from pathlib import Path
        from callward.platform.supervisor import ChildSpec, Supervisor
        async def main():
            supervisor = Supervisor(Path({str(tmp_path)!r}))
            child = supervisor.add(ChildSpec("server", (sys.executable, "-c", {SERVER!r}, "{port}")))
            await child.wait_ready()
            print('pid', child.pid, file=sys.stderr, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    pid = int(process.stderr.readline().split()[1])
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the child outlived its supervisor"
        time.sleep(0.02)
