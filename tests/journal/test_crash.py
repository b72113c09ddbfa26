"""A process that dies: by SIGKILL, or by itself because a sync failed. What it had acknowledged is there afterwards.

The child tells each acknowledged record over a pipe, which is the oracle.
A broken build (acknowledge before the sync) must fail the same test.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from callward.journal import EventJournal, JournalReader
from callward.journal.segment import list_segments
from callward.journal.writer import EXIT_STATUS

CHILD = """
import asyncio, errno, os, sys
from pathlib import Path
from callward.journal import EventJournal
from callward.journal import segment

class Broken(EventJournal):
    syncs = 0

    def _sync(self, descriptor):
        if mode == "lost":        # power fails: nothing of this group reaches the disk
            self.syncs += 1
            if self.syncs == 20:
                os.ftruncate(descriptor, self.kept)
                os._exit(9)
        if mode == "eio":
            self.syncs += 1
            if self.syncs > 20:
                os.write(1, b"sync failed\\n")
                raise OSError(errno.EIO, "Input/output error")
        super()._sync(descriptor)
        self.kept = os.fstat(descriptor).st_size

class Mutant(Broken):
    # Acknowledges before the sync: the deliberately broken build.
    def _write_group(self, group):
        end = self.end_offset
        with self._changed:
            self._durable = end
        for _, _, future, loop in self._waiters:
            loop.call_soon_threadsafe(lambda f=future: f.done() or f.set_result(None))
        import time
        time.sleep(0.02)
        super()._write_group(group)

folder, mode, build = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

async def main():
    journal = (Mutant if build == "mutant" else Broken).open(folder, segment_bytes=4000, gather_s=0)
    async def work(worker):
        for number in range(1_000_000):
            payload = f"{worker}-{number}-".encode() + b"x" * (number % 200)
            await journal.append_durable(payload)
            sys.stdout.write(f"{worker}-{number}\\n")
            sys.stdout.flush()
    await asyncio.gather(*[work(n) for n in range(5)])

asyncio.run(main())
"""


def run_child(folder: Path, mode: str, build: str = "good", kill_after: int | None = None) -> tuple[int, list[str]]:
    """Run until it dies, or kill it after so many acknowledged records; returns its status and what it acknowledged."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), mode, build], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = []
    for line in child.stdout:
        acknowledged.append(line.strip())
        if kill_after is not None and len(acknowledged) == kill_after:
            os.kill(child.pid, signal.SIGKILL)
    return child.wait(timeout=20), acknowledged


def names_in(folder: Path) -> list[str]:
    return ["-".join(record.payload.decode().split("-")[:2]) for record in JournalReader(folder).read(1_000_000)]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        _, acknowledged = run_child(tmp_path, "kill", kill_after=chance.randint(1, 400))
        # Power loss on top: a random part of what was not synced, then garbage.
        last = list_segments(tmp_path)[-1]
        with last.path.open("ab") as file:
            file.write(chance.randbytes(chance.randint(0, 300)))
        journal = EventJournal.open(tmp_path)
        await journal.close()
        assert journal.recovered.damage == []
        assert set(acknowledged) <= set(names_in(tmp_path))
        for part in list_segments(tmp_path):
            part.path.unlink()
        (tmp_path / "durable").unlink()


async def test_power_loss_during_a_sync_loses_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    status, acknowledged = run_child(tmp_path, "lost")
    assert status == 9
    await EventJournal.open(tmp_path).close()
    assert acknowledged
    assert set(acknowledged) <= set(names_in(tmp_path))


async def test_the_broken_build_that_acknowledges_before_the_sync_is_caught(tmp_path: Path) -> None:
    _, acknowledged = run_child(tmp_path, "lost", "mutant")
    await EventJournal.open(tmp_path).close()
    assert not set(acknowledged) <= set(names_in(tmp_path))


async def test_a_failed_sync_ends_the_process_and_is_never_tried_again(tmp_path: Path) -> None:
    status, lines = run_child(tmp_path, "eio")
    assert status == EXIT_STATUS
    assert lines.count("sync failed") == 1
    # What was acknowledged by the syncs before may still be told while the process goes down.
    acknowledged = [line for line in lines if re.fullmatch(r"\d-\d+", line)]
    assert any("journal_failed" in line for line in lines)
    await EventJournal.open(tmp_path).close()
    assert set(acknowledged) <= set(names_in(tmp_path))
