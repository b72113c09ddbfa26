"""Tortures the real media process: kills it and pulls its power under load, and compares what is left with what it acknowledged.

The phones and the oracle are processes of their own. Sockets and landing are kept by a small service manager, as `callward up` does; a
power loss takes the landing and what was not synced. As a script this is the long form: `python -m tests.torture.media_torture --kills 50
--calls 200 --seed 1` (make torture); it prints its seed and its figures, and exits with 1 when an acknowledged byte was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from tests.media.media_process import (
    Extracted,
    MediaClient,
    MediaProcess,
    ServiceManager,
    faulty_binary,
    new_id,
    opening,
)
from tests.torture import phones, power_loss

HERE = Path(__file__).parent
RECORD_HEADER_BYTES = 12
OPENED_AT_ONCE = 100


class Torture:
    """A media process under load, its phones, its service manager and its oracle."""

    def __init__(self, folder: Path, streams: int, seed: int, *, poll_s: float = 0.02, **config: Any) -> None:
        self.random = Random(seed)
        self.streams = streams
        self.tracks: list[str] = []
        self.compared = 0
        self.lost = 0
        """Acknowledged bytes that are gone."""
        self.lost_per_kill: list[int] = []
        self.lost_ms_per_power_loss: list[float] = []
        self.power_log = folder / "power.log"
        self.manager = ServiceManager(folder)
        defaults = {"sync_interval_ms": 20, "segment_bytes": 4 << 20, "journal_max_bytes": 32 << 30}
        self.process = MediaProcess(folder, ports=max(80, 2 * streams + 8), **(defaults | config))
        self.process.program = faulty_binary()
        self.client: MediaClient | None = None
        self._phones = _script("phones.py")
        self.source: str = _answer(self._phones)["source"]
        self._oracle = _script("acknowledged.py", str(self.process.control), str(poll_s))

    def start(self, fault: str = "") -> MediaClient:
        """Start (again), with these faults."""
        self.process.environment = {"CALLWARD_FAULT": fault, "CALLWARD_POWER_LOG": str(self.power_log)}
        self.client = self.process.start(self.manager)
        _tell(self._oracle, "connect")
        _answer(self._oracle)
        return self.client

    def open_and_send(self) -> None:
        """Open all tracks and let the phones send."""
        assert self.client is not None
        ports: list[int] = []
        while len(ports) < self.streams:
            asked = []
            for _ in range(min(OPENED_AT_ONCE, self.streams - len(ports))):
                track = new_id()
                self.tracks.append(track)
                fields = opening(track, session=track, remote={"rtp": self.source, "rtcp": None})
                asked.append(self.client.send("open_track", **fields))
            ports += [int(_sound(self.client.reply(number))["rtp_port"]) for number in asked]
        _tell(self._phones, json.dumps(ports))

    def run_for(self, seconds: float) -> None:
        """Let it record; answers nothing, but notices an early end."""
        assert self.process.pid is not None
        with contextlib.suppress(ChildProcessError):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                gone, status = os.waitpid(self.process.pid, os.WNOHANG)
                if gone:
                    self.process.pid = None
                    raise AssertionError(
                        f"it ended with {os.waitstatus_to_exitcode(status)}: {self.process.log.read_text()}"
                    )
                time.sleep(0.005)

    def kill(self) -> float:
        """SIGKILL; the time (monotonic)."""
        self.process.kill()
        self.ended()
        return time.monotonic()

    def ended(self) -> None:
        """The process is gone."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def lose_power(self) -> None:
        """Only what was synced is left, and memory is gone."""
        power_loss.lose_power(self.power_log, self.random)
        self.manager.forget("landing")

    def acked(self) -> dict[str, int]:
        """What the oracle heard before the end."""
        _tell(self._oracle, "report")
        found: dict[str, int] = _answer(self._oracle)
        return found

    def verify(self, acked: dict[str, int], sample: int | None = None) -> list[str]:
        """Compare what was acknowledged with what was recovered, and read some tracks from the files. What is wrong, in sentences."""
        assert self.client is not None
        failures = []
        found = {one["track"]: one for one in self._listed()}
        for track in self.tracks:
            promised, there = acked.get(track, 0), found.get(track, {"acked_bytes": 0, "state": "not there"})
            self.compared += promised
            self.lost += max(0, promised - there["acked_bytes"])
            if there["acked_bytes"] < promised or there["state"] != "open":
                failures.append(
                    f"{track}: {promised} bytes were acknowledged, it is {there['state']} with {there['acked_bytes']}"
                )
        numbers = range(len(self.tracks))
        for stream in numbers if sample is None else self.random.sample(numbers, min(sample, len(numbers))):
            failures += self._read_back(stream, found.get(self.tracks[stream], {}).get("acked_bytes", 0))
        return failures

    def _listed(self) -> Iterator[dict[str, Any]]:
        assert self.client is not None
        after: dict[str, str] = {}
        while True:
            page = self.client.ask("list_tracks", **after)
            yield from page["tracks"]
            if not page["more"]:
                return
            after = {"after": page["tracks"][-1]["track"]}

    def _read_back(self, stream: int, promised: int) -> list[str]:
        """The packets of a stream from the journal's files, byte by byte as they were sent."""
        track = self.tracks[stream]
        output = self.process.folder / "read-back.cwtrack"
        config = self.process.config
        result = self.process.command(
            *("extract", "--journal", config["journal_dir"], "--keys", config["keys_dir"]),
            *("--track", track, "--output", str(output), "--partial"),
        )
        if result.returncode != 0:
            return [f"{track} cannot be read: {result.stderr}"]
        said = json.loads(result.stdout)
        if said["missing_bytes"] or said["malformed_packets"]:
            return [f"{track}: recovery counts bytes that cannot be read: {said}"]
        stored = Extracted.read(output)
        marks = sum(RECORD_HEADER_BYTES + len(json.dumps(one, separators=(",", ":"))) for one in stored.header["marks"])
        size = marks + sum(RECORD_HEADER_BYTES + 12 + len(one["payload"]) for one in stored.packets)
        if size < promised:
            self.lost += promised - size
            return [f"{track}: {promised} bytes were acknowledged, {size} can be read"]
        number = -1
        for packet in stored.packets:
            step = (packet["sequence"] - number) & 0xFFFF
            number += step
            if not 0 < step < 0x8000 or packet["payload"] != phones.payload(stream, number):
                return [f"{track}: packet {packet['sequence']} is not what was sent"]
        return []

    def lost_packets(self) -> int:
        """Packets missing in all tracks, once each of them has heard its phone again."""
        assert self.client is not None
        since_ns = time.time_ns()
        deadline = time.monotonic() + 20
        while True:
            asked = [self.client.send("track_stats", track=track) for track in self.tracks]
            stats = [_sound(self.client.reply(number))["stats"] for number in asked]
            if all((one["last_at_ns"] or 0) > since_ns for one in stats):
                return sum(int(one["lost"]) for one in stats)
            assert time.monotonic() < deadline, "packets do not come any more"
            time.sleep(0.02)

    def close(self) -> None:
        """End everything that was started."""
        self.ended()
        if self.process.pid is not None:
            self.process.kill()
        for child in (self._phones, self._oracle):
            child.kill()
            child.communicate()
        self.manager.close()


def _script(name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / name), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _answer(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    answer: dict[str, Any] = json.loads(child.stdout.readline())
    return answer


def _sound(reply: dict[str, Any]) -> dict[str, Any]:
    assert reply["ok"], reply
    return reply


@contextlib.contextmanager
def tortured(streams: int, seed: int, **config: Any) -> Iterator[Torture]:
    """A torture with a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="cw-torture-") as folder:
        torture = Torture(Path(folder), streams, seed, **config)
        try:
            yield torture
        finally:
            torture.close()


def campaign(
    torture: Torture, kills: int, sample: int | None = None, run_s: tuple[float, float] = (0.4, 1.5)
) -> list[str]:
    """Kill again and again, every other time with a power loss; prints the figures, returns what is wrong."""
    torture.start()
    torture.open_and_send()
    before = torture.lost_packets()
    by_kill, by_power, down = torture.lost_per_kill, torture.lost_ms_per_power_loss, []
    for kill in range(kills):
        torture.run_for(torture.random.uniform(*run_s))
        ended = torture.kill()
        acked = torture.acked()
        if kill % 2:
            torture.lose_power()
        torture.start()
        down.append(time.monotonic() - ended)
        failures = torture.verify(acked, sample)
        lost = torture.lost_packets()
        if kill % 2:
            by_power.append(20 * (lost - before) / torture.streams)
        else:
            by_kill.append(lost - before)
        before = lost
        if failures:
            print(f"kill {kill + 1}: {failures[:5]}")
            return failures
    print(
        f"kills {kills} of {torture.streams} streams, down {statistics.median(down):.2f} s (p50), {max(down):.2f} s (max)"
    )
    print(f"packets lost per SIGKILL: p50 {statistics.median(by_kill):.0f}, max {max(by_kill)}, of all streams")
    if by_power:
        print(
            f"lost per power loss: p50 {statistics.median(by_power):.0f} ms, max {max(by_power):.0f} ms of each stream"
        )
    print(f"acknowledged bytes compared {torture.compared}, lost {torture.lost}")
    return []


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(
        f"media process: seed {options.seed}, {options.calls} calls, {2 * options.calls} streams, {options.kills} kills",
        flush=True,
    )
    config = {"sync_interval_ms": 100, "segment_bytes": 64 << 20, "poll_s": 0.1}
    with tortured(2 * options.calls, options.seed, **config) as torture:
        failures = campaign(torture, options.kills, sample=4)
    return 1 if failures or torture.lost else 0


if __name__ == "__main__":
    sys.exit(main())
