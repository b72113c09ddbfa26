"""How many SIPREC sessions the recorder sets up per second on one core, with SIPp as the recording client.

A session is INVITE with metadata and two m-lines over TCP, 200, ACK, BYE, 200. SIPp counts on the wire: a rate holds when every call
succeeded and none was retransmitted. In the same run SIPp answers itself: the limit of a C program that only answers.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from callward.bench.machine import BenchMachine, free_port
from callward.bench.processor import CpuMeter, pin
from callward.bench.report import Figure, PeerMissingError

SECONDS_PER_RATE = 6
FIRST_RATE = 100
RATE_MAX = 4000
SEARCH_STEPS = 4
RECORDER_CPU = 0
LOAD_CPU = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One rate, as SIPp saw it."""

    rate: int
    succeeded: int
    failed: int
    retransmitted: int
    seconds: float
    cpu_share: float

    @property
    def clean(self) -> bool:
        return self.failed == 0 and self.succeeded >= self.rate * SECONDS_PER_RATE and self.kept_pace

    @property
    def kept_pace(self) -> bool:
        """SIPp waits for a slow recorder: a run that took longer than its time was not at its rate."""
        return self.seconds <= SECONDS_PER_RATE * 1.1 + 0.5

    @property
    def cpu_ms_per_session(self) -> float:
        return self.cpu_share * self.seconds / max(1, self.succeeded) * 1000


def measure() -> list[Figure]:
    """Measure and return the figures.

    Raises:
        PeerMissingError: SIPp is not installed.
    """
    if shutil.which("sipp") is None:
        raise PeerMissingError("SIPp is not installed: apt-get install sip-tester")
    with tempfile.TemporaryDirectory(prefix="callward-bench-") as folder:
        with BenchMachine(Path(folder), ("media", "recorder")) as machine:
            pin(machine.pid("recorder"), RECORDER_CPU)
            pin(machine.pid("media"), LOAD_CPU)
            ours = _highest(machine.sip_port, (machine.pid("recorder"),))
        with _answering_sipp() as (port, pid):
            theirs = _highest(port, (pid,))
    return [
        Figure("SIPREC sessions set up and ended", ours.rate, "per second, one core", "clean: 0 failed"),
        Figure("CPU of the recorder", ours.cpu_ms_per_session, "ms per session"),
        Figure("retransmissions seen by SIPp", ours.retransmitted, "", f"in {ours.succeeded} sessions"),
        Figure(
            "limit: SIPp answering, no recording",
            theirs.rate,
            "per second",
            "highest rate tried" if theirs.rate >= RATE_MAX else "",
        ),
        Figure("CPU of SIPp answering", theirs.cpu_ms_per_session, "ms per session"),
        Figure("share of SIPp's cost", ours.cpu_ms_per_session / max(1e-9, theirs.cpu_ms_per_session), "times"),
    ]


def _highest(port: int, pids: tuple[int, ...]) -> Run:
    """Double the rate until a run is not clean, then halve the interval a few times."""
    best = _run(port, FIRST_RATE, pids)
    low, high = FIRST_RATE, FIRST_RATE
    while best.clean and high < RATE_MAX:
        high = min(RATE_MAX, high * 2)
        found = _run(port, high, pids)
        if not found.clean:
            break
        best, low = found, high
    for _ in range(SEARCH_STEPS):
        if high - low < low * 0.05:
            break
        middle = (low + high) // 2
        found = _run(port, middle, pids)
        if found.clean:
            best, low = found, middle
        else:
            high = middle
    return best


def _run(port: int, rate: int, pids: tuple[int, ...]) -> Run:
    """One run of SIPp as recording client."""
    meter = CpuMeter(pids)
    with tempfile.TemporaryDirectory() as folder:
        statistics = Path(folder) / "statistics.csv"
        scenario = files("callward.bench").joinpath("sipp", "siprec_client.xml")
        command = [
            *("sipp", "-sf", str(scenario), f"127.0.0.1:{port}", "-i", "127.0.0.1", "-t", "t1"),
            *("-r", str(rate), "-m", str(rate * SECONDS_PER_RATE), "-l", str(rate * 10), "-nostdin"),
            *("-timeout", str(SECONDS_PER_RATE * 4), "-timeout_error", "-recv_timeout", "10000"),
            *("-trace_stat", "-stf", str(statistics), "-fd", "1"),
        ]
        meter.start()
        subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            timeout=SECONDS_PER_RATE * 6,
            check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU}),
        )
        share = meter.share()
        last = list(csv.DictReader(statistics.open(), delimiter=";"))[-1]
    elapsed = last["ElapsedTime(C)"].split(":")
    seconds = int(elapsed[0]) * 3600 + int(elapsed[1]) * 60 + float(elapsed[2])
    return Run(
        rate,
        int(last["SuccessfulCall(C)"]),
        int(last["FailedCall(C)"]),
        int(last["Retransmissions(C)"]),
        seconds,
        share,
    )


@contextmanager
def _answering_sipp() -> Iterator[tuple[int, int]]:
    """SIPp that answers each session and does nothing else."""
    port = free_port()
    scenario = files("callward.bench").joinpath("sipp", "siprec_server.xml")
    process = subprocess.Popen(
        ["sipp", "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-t", "t1", "-nostdin"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pin(process.pid, RECORDER_CPU)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()
