"""The audit: an access and its entry commit together, or neither happens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from callward.access.decision import ObjectRef
from callward.access.model import AuditEntry
from callward.access.subject import Subject
from callward.platform.ids import new_ulid
from callward.platform.telemetry import logger

Outcome = Literal["done", "refused"]


class AuditUnavailableError(Exception):
    """The audit cannot be written, so the access is refused. Ask an administrator to look at the database."""


async def _add(session: AsyncSession, entry: AuditEntry) -> None:
    session.add(entry)
    try:
        await session.flush()
    except OperationalError:
        raise
    except DBAPIError as error:
        logger.error("audit refused by the database", error=str(error.orig))
        raise AuditUnavailableError(AuditUnavailableError.__doc__) from None


async def write(
    session: AsyncSession,
    *,
    subject: Subject,
    action: str,
    target: ObjectRef,
    now: datetime,
    outcome: Outcome = "done",
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an entry to the caller's transaction. The caller hands the object out only after that transaction has committed."""
    await _add(
        session,
        AuditEntry(
            id=new_ulid(),
            organisation_id=target.organisation_id if target.id else subject.organisation_id,
            at=now,
            person_id=subject.person_id,
            sign_in_id=subject.session_id,
            who=subject.user_name,
            address=subject.address,
            action=action,
            outcome=outcome,
            object_kind=target.kind,
            object_id=target.id,
            detail=detail or {},
        ),
    )


async def write_once(
    session: AsyncSession, *, subject: Subject, action: str, target: ObjectRef, now: datetime, within: timedelta
) -> bool:
    """Add an entry unless the same sign-in has one for the same act within the time.

    A player asks for a recording piece by piece, and an open page asks again and again: that is one act.
    Returns whether an entry was added.
    """
    known = await session.execute(
        select(AuditEntry.id)
        .where(
            AuditEntry.object_id == target.id,
            AuditEntry.object_kind == target.kind,
            AuditEntry.sign_in_id == subject.session_id,
            AuditEntry.action == action,
            AuditEntry.outcome == "done",
            AuditEntry.at > now - within,
        )
        .limit(1)
    )
    if known.first() is not None:
        return False
    await write(session, subject=subject, action=action, target=target, now=now)
    return True


async def write_anonymous(
    session: AsyncSession,
    *,
    action: str,
    who: str,
    address: str,
    now: datetime,
    outcome: Outcome,
    organisation_id: str | None = None,
    person_id: str | None = None,
    sign_in_id: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an entry of somebody who is not signed in (yet)."""
    await _add(
        session,
        AuditEntry(
            id=new_ulid(),
            organisation_id=organisation_id,
            at=now,
            person_id=person_id,
            sign_in_id=sign_in_id,
            who=who[:200].replace("\x00", ""),
            address=address,
            action=action,
            outcome=outcome,
            object_kind="person",
            object_id=person_id or "",
            detail=detail or {},
        ),
    )
