"""Endpoints for administrators: can the recorder record, what has happened; and the probes."""

from __future__ import annotations

import asyncio
import json
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import func, select, text, tuple_
from sqlalchemy.exc import SQLAlchemyError

from callward.access.decision import Action, ObjectRef
from callward.platform.database import Scope
from callward.platform.health import fetch
from callward.platform.paths import DataPaths
from callward.portal.current import CurrentSubject, Portal, PortalParts, require
from callward.portal.problems import ProblemError, responses
from callward.records.model import SystemEventRow

router = APIRouter(prefix="/api/v1/system", tags=["system"])
probes = APIRouter(include_in_schema=False)

SERVICES = ("recorder", "seal", "worker")
"""The processes of this host besides the portal itself, in the way of the data. The recorder answers for the media process."""
ALARM_DAYS = 7
_SYSTEM = ObjectRef("system")
_CURSOR: TypeAdapter[tuple[AwareDatetime, str, str, int]] = TypeAdapter(tuple[AwareDatetime, str, str, int])


class CheckView(BaseModel):
    """One part of a process and how it is."""

    name: str
    well: bool
    why: str = Field(description="A sentence when it is not well")


class ServiceView(BaseModel):
    """One process."""

    name: str
    state: Literal["ready", "not_ready", "absent"]
    checks: list[CheckView]


class DiskView(BaseModel):
    total_bytes: int
    free_bytes: int
    reserve_bytes: int = Field(description="New calls are refused when less is free")


class SystemStatus(BaseModel):
    """How this installation is."""

    version: str
    able: bool = Field(description="The recorder takes new calls")
    recorder_address: str = Field(description="Where recording clients send their calls")
    sip_port: int
    tls_port: int
    services: list[ServiceView]
    disk: DiskView | None
    alarms: int = Field(description=f"Alarms of the last {ALARM_DAYS} days")


class SystemEventView(BaseModel):
    """Something that an administrator must be able to see."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    severity: Literal["info", "warning", "alarm"]
    code: str
    detail: str
    host: str
    data: dict[str, Any]


class SystemEventPage(BaseModel):
    items: list[SystemEventView]
    next_cursor: str | None


async def _service(paths: DataPaths, name: str) -> ServiceView:
    status, body = await fetch(paths.runtime / f"health-{name}.sock", "/readyz")
    if status == 0:
        return ServiceView(name=name, state="absent", checks=[])
    try:
        found = json.loads(body)["checks"]
        checks = [CheckView(name=key, well=bool(one["well"]), why=str(one["why"])) for key, one in found.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        checks = []
    return ServiceView(name=name, state="ready" if status == 200 else "not_ready", checks=checks)


def _disk(portal: Portal) -> DiskView | None:
    try:
        usage = shutil.disk_usage(portal.settings.data)
    except OSError:
        return None
    return DiskView(
        total_bytes=usage.total, free_bytes=usage.free, reserve_bytes=portal.settings.media.disk_reserve_bytes
    )


@router.get("/status", responses=responses(401, 403))
async def show_status(portal: PortalParts, subject: CurrentSubject) -> SystemStatus:
    """The processes of this host, disk space, and whether new calls are taken."""
    await require(portal, subject, Action.SYSTEM_VIEW, _SYSTEM)
    now = portal.clock()
    async with portal.database.begin(subject.scope) as session:
        alarms = await session.scalar(
            select(func.count())
            .select_from(SystemEventRow)
            .where(
                SystemEventRow.severity == "alarm",
                SystemEventRow.at > func.to_timestamp(now.timestamp() - ALARM_DAYS * 86400),
            )
        )
    paths = DataPaths(portal.settings.data)
    services = await asyncio.gather(*(_service(paths, name) for name in SERVICES))
    recorder = portal.settings.recorder
    return SystemStatus(
        version=version("callward"),
        able=any(one.name == "recorder" and one.state == "ready" for one in services),
        recorder_address=recorder.advertised_address or recorder.host,
        sip_port=recorder.sip_port,
        tls_port=recorder.tls_port,
        services=list(services),
        disk=_disk(portal),
        alarms=alarms or 0,
    )


@router.get("/events", responses=responses(401, 403))
async def list_events(
    portal: PortalParts,
    subject: CurrentSubject,
    severity: Annotated[Literal["info", "warning", "alarm"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=600)] = None,
) -> SystemEventPage:
    """What has happened, newest first: refused peers, alarms, restarts."""
    await require(portal, subject, Action.SYSTEM_VIEW, _SYSTEM)
    key = (SystemEventRow.at, SystemEventRow.host, SystemEventRow.journal, SystemEventRow.position)
    query = select(SystemEventRow).order_by(*(column.desc() for column in key)).limit(limit + 1)
    if severity is not None:
        query = query.where(SystemEventRow.severity == severity)
    if cursor is not None:
        query = query.where(tuple_(*key) < tuple_(*_read_cursor(cursor)))
    async with portal.database.begin(subject.scope) as session:
        rows = (await session.execute(query)).scalars().all()
    items = [SystemEventView.model_validate(row) for row in rows[:limit]]
    more = _write_cursor(rows[limit - 1]) if len(rows) > limit else None
    return SystemEventPage(items=items, next_cursor=more)


def _write_cursor(row: SystemEventRow) -> str:
    return urlsafe_b64encode(_CURSOR.dump_json((row.at, row.host, row.journal, row.position))).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str, str, int]:
    try:
        at, host, journal, position = _CURSOR.validate_json(urlsafe_b64decode(cursor.encode()))
    except (ValueError, ValidationError):
        position = -1
    if not 0 <= position < 2**63 or "\x00" in host + journal:
        raise ProblemError(
            422, "bad_cursor", "The cursor does not belong to this list.", "Start again without a cursor."
        )
    return at, host, journal, position


@probes.get("/healthz")
async def healthz() -> Response:
    """The process lives."""
    return Response("alive\n", media_type="text/plain")


@probes.get("/readyz")
async def readyz(portal: PortalParts) -> Response:
    """The portal can answer: its database does."""
    try:
        async with asyncio.timeout(5), portal.database.begin(Scope.provider()) as session:
            await session.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, TimeoutError):
        return Response("the database does not answer\n", status_code=503, media_type="text/plain")
    return Response("ready\n", media_type="text/plain")
