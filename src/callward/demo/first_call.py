"""The demo call of `callward up --demo`: placed once, and waited for until it can be heard in the portal."""

from __future__ import annotations

import asyncio

from sqlalchemy import ColumnElement, func, select

from callward.archive.model import Conversation
from callward.demo.recording_client import DemoCall, RecordingClient
from callward.platform.database import Database, Scope
from callward.platform.settings import Settings
from callward.platform.telemetry import logger

ARCHIVED_TIMEOUT_S = 60.0


class DemoNotHeardError(Exception):
    """The demo call was placed, but did not come to the archive in time."""


async def place_and_wait(settings: Settings, database: Database, seconds: float | None = None) -> DemoCall | None:
    """Place the demo call when the archive is empty, and wait until its conversation can be played.

    Returns None when there are conversations already.

    Raises:
        DemoCallError: the recorder did not take it.
        DemoNotHeardError: it was not archived in time.
    """
    if await _count(database):
        return None
    logger.info("demo_call", state="speaking")
    call = await RecordingClient(settings.recorder.host, settings.recorder.sip_port).place(seconds)
    try:
        async with asyncio.timeout(ARCHIVED_TIMEOUT_S):
            while not await _count(database, Conversation.state == "ready"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # another process fills the table: there is nothing to wait on
    except TimeoutError:
        raise DemoNotHeardError(f"the demo call was not archived in {ARCHIVED_TIMEOUT_S:.0f} s: see the log") from None
    logger.info("demo_call", state="archived", seconds=call.seconds)
    return call


async def _count(database: Database, *conditions: ColumnElement[bool]) -> int:
    async with database.begin(Scope.provider()) as session:
        return (await session.execute(select(func.count()).select_from(Conversation).where(*conditions))).scalar_one()
