"""Sessions: opened by a password, ended by time, by their person and by a new password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError
from tests.access.people import PASSWORD, add_person

from callward.access.model import AuditEntry, Person, SignIn
from callward.access.passwords import WeakPasswordError
from callward.access.service import FIRST_USER_NAME, ensure_first_administrator
from callward.access.sign_in import (
    Client,
    SessionPolicy,
    SignedIn,
    SignInRefusedError,
    TooManyAttemptsError,
    change_password,
    csrf_token,
    end_session,
    resolve,
    sessions_of,
    sign_in,
    sign_out,
)
from callward.platform.database import Database, Scope

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLIENT = Client("192.0.2.1", "Test")
POLICY = SessionPolicy(idle=timedelta(minutes=60), absolute=timedelta(hours=12))


async def _sign_in(
    database: Database, name: str = "ann.ant", password: str = PASSWORD, now: datetime = NOW
) -> SignedIn:
    return await sign_in(database, user_name=name, password=password, client=CLIENT, policy=POLICY, now=now)


async def _who(database: Database, opened: SignedIn, now: datetime, *, background: bool = False) -> str | None:
    found = await resolve(database, opened.token, client=CLIENT, policy=POLICY, now=now, background=background)
    return found.user_name if found else None


async def test_the_first_administrator_is_made_once_with_a_password_to_change(database: Database) -> None:
    first = await ensure_first_administrator(database)
    assert first is not None
    assert first.user_name == FIRST_USER_NAME
    assert first.password not in repr(await _people(database))
    assert await ensure_first_administrator(database) is None
    opened = await _sign_in(database, first.user_name, first.password)
    assert opened.subject.must_change_password


async def test_a_first_password_that_was_lost_before_use_is_replaced(database: Database) -> None:
    first = await ensure_first_administrator(database)
    again = await ensure_first_administrator(database, password_known=False)
    assert first is not None
    assert again is not None
    with pytest.raises(SignInRefusedError):
        await _sign_in(database, first.user_name, first.password)
    opened = await _sign_in(database, again.user_name, again.password)
    await change_password(
        database, opened.subject, current=again.password, new=PASSWORD, client=CLIENT, policy=POLICY, now=NOW
    )
    assert await ensure_first_administrator(database, password_known=False) is None


async def _people(database: Database) -> list[dict[str, object]]:
    async with database.begin(Scope.provider()) as session:
        rows = (await session.execute(select(Person))).scalars().all()
    return [vars(row) for row in rows]


async def test_wrong_unknown_and_disabled_get_the_same_answer(database: Database) -> None:
    await add_person(database, "ann.ant")
    disabled = await add_person(database, "dis.abled")
    async with database.begin(Scope.provider()) as session:
        (await session.get_one(Person, disabled)).disabled_at = NOW
    answers = set()
    for name, password in (("ann.ant", "wrong"), ("no.body", PASSWORD), ("dis.abled", PASSWORD), ("", "\x00")):
        with pytest.raises(SignInRefusedError) as caught:
            await _sign_in(database, name, password)
        answers.add(str(caught.value))
    assert len(answers) == 1


async def test_brute_force_is_slowed_even_with_the_right_password(database: Database) -> None:
    await add_person(database, "ann.ant")
    for _ in range(5):
        with pytest.raises(SignInRefusedError):
            await _sign_in(database, password="wrong")
    with pytest.raises(TooManyAttemptsError) as caught:
        await _sign_in(database)
    assert caught.value.wait_s == 1
    assert await _sign_in(database, now=NOW + timedelta(seconds=1))


async def test_a_session_ends_without_use_and_at_the_latest(database: Database) -> None:
    await add_person(database, "ann.ant")
    opened = await _sign_in(database)
    assert await _who(database, opened, NOW + timedelta(minutes=59)) == "ann.ant"
    assert await _who(database, opened, NOW + timedelta(minutes=118)) == "ann.ant"
    assert await _who(database, opened, NOW + timedelta(minutes=179)) is None
    busy = await _sign_in(database)
    for minutes in range(0, 720, 50):
        assert await _who(database, busy, NOW + timedelta(minutes=minutes)) == "ann.ant"
    assert await _who(database, busy, NOW + timedelta(hours=12)) is None


async def test_what_a_page_asks_by_itself_does_not_keep_the_session_alive(database: Database) -> None:
    await add_person(database, "ann.ant")
    opened = await _sign_in(database)
    for minutes in range(0, 60, 10):
        assert await _who(database, opened, NOW + timedelta(minutes=minutes), background=True) == "ann.ant"
    assert await _who(database, opened, NOW + timedelta(minutes=61), background=True) is None


async def test_the_cookie_is_stored_hashed_only(database: Database) -> None:
    await add_person(database, "ann.ant")
    opened = await _sign_in(database)
    async with database.begin(Scope.provider()) as session:
        rows = (await session.execute(text("SELECT sign_ins::text FROM sign_ins"))).scalars().all()
    assert rows
    assert not any(opened.token in row or csrf_token(opened.token) in row for row in rows)
    assert len(opened.token) >= 43


async def test_a_person_lists_and_ends_own_sessions_only(database: Database) -> None:
    await add_person(database, "ann.ant")
    await add_person(database, "bob.bee")
    one, two, other = await _sign_in(database), await _sign_in(database), await _sign_in(database, "bob.bee")
    listed = await sessions_of(database, one.subject, POLICY, NOW)
    assert {info.id for info in listed} == {one.subject.session_id, two.subject.session_id}
    assert [info.current for info in listed if info.id == one.subject.session_id] == [True]
    assert not await end_session(database, one.subject, other.subject.session_id, NOW)
    assert await end_session(database, one.subject, two.subject.session_id, NOW)
    assert await _who(database, two, NOW) is None
    assert await _who(database, other, NOW) == "bob.bee"
    await sign_out(database, one.subject, NOW)
    assert await _who(database, one, NOW) is None


async def test_a_new_password_ends_every_session_and_opens_a_new_one(database: Database) -> None:
    await add_person(database, "ann.ant", must_change_password=True)
    one, two = await _sign_in(database), await _sign_in(database)
    with pytest.raises(SignInRefusedError):
        await _change(database, one, current="wrong", new="another long password")
    with pytest.raises(WeakPasswordError):
        await _change(database, one, current=PASSWORD, new=PASSWORD)
    fresh = await _change(database, one, current=PASSWORD, new="another long password")
    assert not fresh.subject.must_change_password
    assert [await _who(database, each, NOW) for each in (one, two, fresh)] == [None, None, "ann.ant"]
    with pytest.raises(SignInRefusedError):
        await _sign_in(database)
    assert await _sign_in(database, password="another long password")


async def _change(database: Database, opened: SignedIn, *, current: str, new: str) -> SignedIn:
    return await change_password(
        database, opened.subject, current=current, new=new, client=CLIENT, policy=POLICY, now=NOW
    )


async def test_a_stolen_session_cannot_guess_the_password_without_being_slowed(database: Database) -> None:
    await add_person(database, "ann.ant")
    opened = await _sign_in(database)
    for _ in range(5):
        with pytest.raises(SignInRefusedError):
            await _change(database, opened, current="guess", new="another long password")
    with pytest.raises(TooManyAttemptsError):
        await _change(database, opened, current=PASSWORD, new="another long password")


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "ö" * 43, "a" * 5000, "' OR 1=1 --' OR 1=1 --'"])
async def test_a_made_up_cookie_is_nobody(database: Database, token: str) -> None:
    await add_person(database, "ann.ant")
    await _sign_in(database)
    assert await resolve(database, token, client=CLIENT, policy=POLICY, now=NOW) is None


async def test_sign_ins_and_refusals_stand_in_the_audit_without_passwords(database: Database) -> None:
    await add_person(database, "ann.ant")
    with pytest.raises(SignInRefusedError):
        await _sign_in(database, password="very wrong secret")
    opened = await _sign_in(database)
    await sign_out(database, opened.subject, NOW)
    async with database.begin(Scope.provider()) as session:
        rows = (await session.execute(select(AuditEntry).order_by(AuditEntry.id))).scalars().all()
        whole = (await session.execute(text("SELECT string_agg(audit::text, ' ') FROM audit"))).scalar_one()
    assert [(row.action, row.outcome, row.who, row.address) for row in rows] == [
        ("sign_in", "refused", "ann.ant", "192.0.2.1"),
        ("sign_in", "done", "ann.ant", "192.0.2.1"),
        ("sign_out", "done", "ann.ant", "192.0.2.1"),
    ]
    assert "secret" not in whole


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_36_the_database_lets_nobody_change_or_remove_an_audit_entry(database: Database, statement: str) -> None:
    await ensure_first_administrator(database)
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        async with database.begin(Scope.provider()) as session:
            await session.execute(text(statement))


async def test_32_people_and_sessions_of_another_organisation_are_invisible_to_any_query(database: Database) -> None:
    a, b = "01J00000000000000000000000", "01J00000000000000000000001"
    await add_person(database, "ann.ant", organisation_id=a)
    await add_person(database, "bob.bee", organisation_id=b)
    opened = await _sign_in(database)
    assert opened.subject.scope == Scope.organisation(a)
    async with database.begin(opened.subject.scope) as session:
        assert (await session.execute(select(Person.user_name))).scalars().all() == ["ann.ant"]
        assert (
            await session.execute(text("SELECT count(*) FROM people WHERE true OR organisation_id = :b"), {"b": b})
        ).scalar_one() == 1
        assert (await session.execute(select(SignIn.person_id))).scalars().all() == [opened.subject.person_id]
        moved = await session.execute(text("UPDATE people SET display_name = 'x' WHERE organisation_id = :b"), {"b": b})
        assert moved.rowcount == 0  # type: ignore[attr-defined]
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.begin(opened.subject.scope) as session:
            await session.execute(text("UPDATE people SET organisation_id = :b"), {"b": b})
