"""Fault 4's driver: runs the sealer in child processes that kill themselves at the n-th step; prints JSON.

python -m tests.archive.killed_sealer FOLDER
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from callward.archive.sealer import Sealer
from callward.media.codec_process import CodecPool
from tests.archive.platform import Platform


def seal(root: Path, kill_at: int) -> None:
    """One life of the sealer: killed at step `kill_at` (0: never), else until nothing is left to be done."""
    step = 0

    def checkpoint(name: str) -> None:
        nonlocal step
        step += 1
        if step == kill_at:
            (root / "killed-at").open("a").write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    class Noted(Platform):
        async def release(self, track: str) -> None:
            with (root / "released").open("a") as file:
                file.write(f"{track}\n")

    async def work() -> None:
        pool = CodecPool(1)
        platform = Noted(root, pool)
        ingest = replace(platform.ingest, checkpoint=checkpoint)
        sealer = Sealer(platform.recorder, platform.seal, ingest, platform, 1)
        stopping = asyncio.Event()
        task = asyncio.create_task(sealer.run(stopping))
        idle = asyncio.create_task(sealer.idle.wait())
        await asyncio.wait({task, idle}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await task
        pool.close()

    asyncio.run(work())


def life(root: Path, kill_at: int) -> bool:
    """Run one life in a child; returns whether it was killed."""
    child = os.fork()
    if not child:
        try:
            seal(root, kill_at)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> None:
    base = Path(sys.argv[1])
    results = []
    for kill_at in range(1, 60):
        root = base / str(kill_at)
        shutil.copytree(base / "template", root)
        killed = life(root, kill_at)
        life(root, 0)
        results.append({"root": str(root), "killed": killed})
        if not killed:
            break
    print(json.dumps(results))


if __name__ == "__main__":
    main()
