"""People for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from callward.access.model import Person
from callward.access.passwords import hash_password
from callward.platform.database import Database, Scope
from callward.platform.ids import new_ulid

PASSWORD = "a long and good password"
_HASHES: dict[str, str] = {}


async def add_person(
    database: Database,
    user_name: str,
    *,
    organisation_id: str | None = None,
    profiles: tuple[str, ...] = ("administrator", "recording_administrator"),
    must_change_password: bool = False,
) -> str:
    """Add a person who signs in with `PASSWORD`; return the id."""
    if PASSWORD not in _HASHES:
        _HASHES[PASSWORD] = await hash_password(PASSWORD)
    person = Person(
        id=new_ulid(),
        organisation_id=organisation_id,
        user_name=user_name,
        display_name=user_name.replace(".", " ").title(),
        profiles=list(profiles),
        password_hash=_HASHES[PASSWORD],
        must_change_password=must_change_password,
        language="en",
        created_at=datetime.now(UTC),
    )
    async with database.begin(Scope.provider()) as session:
        session.add(person)
    return person.id
