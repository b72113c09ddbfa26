"""Work of sessions that waits for something: it runs beside the events, and a defect in one session ends no other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from callward.media.protocol import MediaError
from callward.platform.telemetry import logger


class Background:
    """Runs work until it is done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin; errors are logged."""
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the work under way, at most so long; the rest is cancelled."""
        if self._tasks:
            _, waiting = await asyncio.wait(list(self._tasks), timeout=timeout_s)
            for task in waiting:
                task.cancel()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except MediaError as error:
        logger.error("media_work_failed", error=str(error))
    except Exception:
        logger.exception("session_work_failed")
