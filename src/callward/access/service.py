"""People: the first administrator of an installation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, text

from callward.access import audit
from callward.access.model import Person
from callward.access.passwords import first_password, hash_password
from callward.platform.database import Database, Scope
from callward.platform.ids import new_ulid

FIRST_USER_NAME = "admin.admin"
_LOCK = 0x61636365737331
"""Advisory lock: two portals that start together make one first administrator."""


@dataclass(frozen=True, slots=True)
class FirstSignIn:
    """User name and first password, known only here and now: the database has the hash."""

    user_name: str
    password: str


async def ensure_first_administrator(db: Database, *, password_known: bool = True) -> FirstSignIn | None:
    """Create the first person when there is none; return the first sign-in, or None when nothing was made.

    `password_known`: False when the caller has no record of an earlier answer (it was killed before it wrote it down): a first
    password that was never changed is then replaced.
    """
    password = first_password()
    stored = await hash_password(password)
    now = datetime.now(UTC)
    async with db.begin(Scope.provider()) as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        people = (await session.execute(select(Person).limit(2))).scalars().all()
        if people:
            first = people[0]
            unused = len(people) == 1 and first.user_name == FIRST_USER_NAME and first.must_change_password
            if password_known or not unused:
                return None
            first.password_hash = stored
            action = "person.password_renew"
        else:
            first = Person(
                id=new_ulid(),
                organisation_id=None,
                user_name=FIRST_USER_NAME,
                display_name="First administrator",
                profiles=["administrator", "recording_administrator"],
                password_hash=stored,
                must_change_password=True,
                language="en",
                created_at=now,
            )
            session.add(first)
            action = "person.create"
        await audit.write_anonymous(
            session, action=action, who="callward up", address="local", now=now, outcome="done", person_id=first.id
        )
    return FirstSignIn(FIRST_USER_NAME, password)
