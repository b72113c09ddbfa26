"""SIPp as the recording client: runs a scenario of `tests/peers/sipp` with parties of its own, so that its call can be found."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from tests.peers.audio import linear_to_alaw, tone

SCENARIOS = Path(__file__).parent / "sipp"
TONE_HZ = 440.0
"""What is heard on the stream on which a scenario plays audio."""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_MEDIA_PORTS = itertools.cycle(range(31_000 + 600 * _WORKER, 31_600 + 600 * _WORKER, 12))
"""Below the ports that the kernel gives to others; those of each process that tests side by side are its own."""


@dataclass(frozen=True, slots=True)
class SippCalls:
    """What a run of SIPp placed: the caller's address, unique to it, in each of the calls."""

    caller: str
    count: int


async def place(
    folder: Path,
    scenario: str,
    port: int,
    *arguments: str,
    transport: str = "u1",
    count: int = 1,
    rate: int = 10,
) -> SippCalls:
    """Run a scenario to its end against 127.0.0.1:`port`; SIPp itself checks each answer.

    The caller `alice@example.com` gets a name of this run's own.
    """
    run = folder / f"sipp-{scenario}-{secrets.token_hex(4)}"
    run.mkdir(parents=True)
    caller = f"alice-{secrets.token_hex(4)}"
    audio = run / "tone.al"
    audio.write_bytes(linear_to_alaw(tone(TONE_HZ, 5.0)))
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    text = text.replace("AUDIO", str(audio)).replace("alice@example.com", f"{caller}@example.com")
    text = text.replace('session_id="call-', f'session_id="{caller}-')
    (run / "scenario.xml").write_text(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        local = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "sipp",
        *("-sf", "scenario.xml", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(local)),
        *("-mp", str(next(_MEDIA_PORTS)), "-t", transport, "-m", str(count), "-r", str(rate)),
        *("-nostdin", "-timeout", "30", "-trace_err", *arguments, f"127.0.0.1:{port}"),
        cwd=run,
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
    errors = "".join(path.read_text() for path in run.glob("*_errors.log"))
    assert process.returncode == 0, f"{scenario}: {process.returncode}\n{errors}\n{output[-3000:].decode()}"
    return SippCalls(caller, count)
