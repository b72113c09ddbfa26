"""How many two-party calls one core records without loss: Callward, the machine's own limit, and rtpengine, in one run.

A call is two streams of G.711 in packets of 20 ms. The process under test has one core, the generator the other. A run is clean when
every packet that the generator sent is stored: in the journal (acknowledged by fdatasync, and read back), in the limit's file, in
rtpengine's pcap files. All three write to the same disk.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callward.bench.load import TESTED_CPU, Load, Sent, program
from callward.bench.machine import BenchMachine
from callward.bench.ng import Rtpengine
from callward.bench.processor import CpuMeter, pin
from callward.bench.report import Figure
from callward.media.client import MediaClient
from callward.media.program import media_program
from callward.media.protocol import PayloadType, Remote, Srtp, TrackSettings
from callward.platform.ids import new_ulid

SECONDS = 10.0
CALLS = (250, 500, 1000, 1500, 2000, 2500)
SRTP = Srtp("AES_CM_128_HMAC_SHA1_80", base64.b64encode(bytes(range(30))).decode())
"""All streams have this key: what a packet costs does not hang on it."""
PEER_CALLS = (125, 250, 375, 500, 700, 900, 1100)
LATE_MAX_MS = 40.0
"""A generator that was later than this did not send an even load: the run says nothing."""
READ_BACK = 10
"""Tracks that are read back from the journal and counted packet by packet."""


@dataclass(frozen=True, slots=True)
class Run:
    """One load, as the generator and the process under test saw it."""

    calls: int
    sent: int
    stored: int
    cpu_share: float
    latest_ms: float

    @property
    def clean(self) -> bool:
        return self.stored == self.sent

    @property
    def even(self) -> bool:
        return self.latest_ms <= LATE_MAX_MS

    @property
    def cpu_us_per_packet(self) -> float:
        return self.cpu_share * SECONDS * 1e6 / max(1, self.sent)

    @property
    def calls_per_core(self) -> float:
        """Extrapolated from the CPU share."""
        return self.calls / max(1e-9, self.cpu_share)


def measure() -> list[Figure]:
    """Measure and return the figures.

    Raises:
        PeerMissingError: rtpengine or the load generator is missing.
    """
    program("media-load")
    with tempfile.TemporaryDirectory(prefix="callward-bench-") as folder:
        ours = _highest(CALLS, lambda calls: _callward(Path(folder), calls))
        secured = _highest(CALLS, lambda calls: _callward(Path(folder), calls, SRTP))
        limit = _highest(CALLS, lambda calls: _limit(Path(folder), calls))
        peer = _highest(PEER_CALLS, lambda calls: _rtpengine(Path(folder), calls))
    return [
        *_figures("Callward: journal, encryption, checksums", ours),
        *_figures("Callward with SRTP", secured),
        *_figures("limit: receive and write only", limit),
        *_figures("rtpengine, user space, pcap recording", peer),
        Figure(
            "share of the limit",
            limit.cpu_us_per_packet / ours.cpu_us_per_packet * 100,
            "%",
            "CPU per packet, same run",
        ),
        Figure(
            "against rtpengine",
            peer.cpu_us_per_packet / ours.cpu_us_per_packet,
            "times",
            "CPU per packet; rtpengine relays too",
        ),
    ]


def _figures(who: str, run: Run) -> list[Figure]:
    return [
        Figure(f"{who}: calls without loss", run.calls, "calls", f"{run.stored:,} of {run.sent:,} packets stored"),
        Figure(f"{who}: CPU", run.cpu_us_per_packet, "µs per packet", f"{run.cpu_share:.0%} of one core"),
        Figure(f"{who}: calls per core", run.calls_per_core, "calls", "extrapolated from the CPU share"),
    ]


def _highest(loads: tuple[int, ...], run: Callable[[int], Run]) -> Run:
    """The last clean run of growing loads; ends when packets are lost or the generator cannot follow."""
    best: Run | None = None
    for calls in loads:
        found = run(calls)
        if not found.clean or not found.even:
            found = run(calls)  # once more: a shared machine stalls now and then
        if not found.clean or not found.even:
            break
        best = found
    if best is None:
        raise RuntimeError(f"no load of {loads[0]} calls was clean: the machine is too busy to measure")
    return best


def _callward(folder: Path, calls: int, srtp: Srtp | None = None) -> Run:
    """Record with the real media process, commanded as the recorder does it."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        BenchMachine(
            Path(own) / "machine",
            ("media",),
            {"CALLWARD_MEDIA__PORT_MIN": "10000", "CALLWARD_MEDIA__PORT_MAX": str(14_000 + 4 * calls)},
        ) as machine,
    ):
        pin(machine.pid("media"), TESTED_CPU)
        load = Load(Path(own), SECONDS, first_sequence=65_000, srtp=srtp)  # the sequence number wraps in every run
        return asyncio.run(_record(machine, load, calls, srtp))


async def _record(machine: BenchMachine, load: Load, calls: int, srtp: Srtp | None) -> Run:
    client = MediaClient(machine.paths.media_socket)
    client.start()
    try:
        await client.wait_connected(10)
        tracks = [new_ulid() for _ in range(2 * calls)]
        settings = TrackSettings(
            payload_types=(PayloadType(8, "PCMA", 8000),),
            remote=Remote(load.source),
            source_check="strict",
            srtp=srtp,
        )
        ports = []
        for begin in range(0, len(tracks), 200):
            opened = await asyncio.gather(
                *(client.open_track(t, t, "127.0.0.1", settings) for t in tracks[begin : begin + 200])
            )
            ports += [one.rtp_port for one in opened]
        meter = CpuMeter((machine.pid("media"),))
        sent = await asyncio.to_thread(load.send, ports, meter.start)
        share = meter.share()
        stored = 0
        for begin in range(0, len(tracks), 200):
            closed = await asyncio.gather(*(client.close_track(t) for t in tracks[begin : begin + 200]))
            stored += sum(int(one.stats["packets"]) for one in closed)
        per_stream = sent.packets // len(tracks)
        for track in random.sample(tracks, READ_BACK):
            found = await asyncio.to_thread(_read_back, machine, track)
            if found != per_stream:
                stored -= per_stream - found
        return Run(calls, sent.packets, stored, share, sent.latest_ms)
    finally:
        await client.close()


def _read_back(machine: BenchMachine, track: str) -> int:
    """Packets of a track that can be read from the journal's files."""
    output = machine.paths.root / f"{track}.cwtrack"
    subprocess.run(
        [
            *(str(media_program()), "extract", "--journal", str(machine.paths.journal_audio)),
            *("--keys", str(machine.paths.journal_keys), "--track", track, "--output", str(output)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    data = output.read_bytes()
    output.unlink()
    header = struct.unpack_from("<I", data, 8)[0]
    at = (12 + header + 7) // 8 * 8
    return int(struct.unpack_from("<Q", data, at)[0])


def _limit(folder: Path, calls: int) -> Run:
    """Receive and write with nothing else."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        load = Load(Path(own), SECONDS)
        process = subprocess.Popen(
            [
                *(program("media-limit"), "--streams", str(2 * calls), "--seconds", str(SECONDS + 3)),
                *("--output", str(Path(own) / "packets"), "--cpu", str(TESTED_CPU)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {TESTED_CPU}),
        )
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())["ports"]
        meter = CpuMeter((process.pid,))
        sent = load.send(ports, meter.start)
        share = meter.share()
        found = json.loads(process.stdout.readline())
        process.wait(20)
        return Run(calls, sent.packets, int(found["packets"]), share, sent.latest_ms)


def _rtpengine(folder: Path, calls: int) -> Run:
    """rtpengine relays and records each call into a pcap file."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        Rtpengine(Path(own), port_min=30_000, port_max=30_000 + 8 * calls + 200) as engine,
    ):
        load = Load(Path(own), SECONDS)
        ports: list[int] = []
        for number in range(calls):
            ports += engine.call(number, load.source_port, load.source_port, record=True)
        pin(engine.pid, TESTED_CPU)
        meter = CpuMeter((engine.pid,))
        sent: Sent = load.send(ports, meter.start)
        share = meter.share()
        for number in range(calls):
            engine.command("delete", call_id=f"bench-{number}", from_tag="a", delete_delay=0)
        stored = sum(_count_packets(path) for path in Path(own).rglob("*.pcap"))
        return Run(calls, sent.packets, stored, share, sent.latest_ms)


def _count_packets(path: Path) -> int:
    """Records of a pcap file (libpcap format: 24 bytes, then 16 bytes before each packet)."""
    data = path.read_bytes()
    count, at = 0, 24
    while at + 16 <= len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        count += at <= len(data)
    return count
