"""Sign-in sessions: opened by a password, carried by a cookie, ended by time, by their person or by a new password."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from callward.access import audit, throttle
from callward.access.decision import ObjectRef
from callward.access.model import Person, SignIn
from callward.access.passwords import check_new_password, hash_password, verify_password
from callward.access.subject import Subject
from callward.platform.database import Database, Scope
from callward.platform.ids import new_ulid

TOUCH_EVERY = timedelta(minutes=1)
"""`used_at` is written at most this often: reading a page is not worth a write for each request."""
KEEP_ENDED = timedelta(days=30)


class SignInRefusedError(Exception):
    """User name or password is not right. Check both; passwords are case-sensitive."""


class TooManyAttemptsError(Exception):
    """Too many attempts: wait before the next one."""

    def __init__(self, wait: timedelta) -> None:
        self.wait_s = max(1, int(wait.total_seconds() + 0.999))
        super().__init__(f"Too many attempts. Try again in {self.wait_s} seconds.")


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long a sign-in lasts: without use, and at the latest."""

    idle: timedelta = timedelta(minutes=60)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, bounded for storage."""

    address: str
    browser: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. `token` goes into the cookie and is stored nowhere."""

    token: str
    subject: Subject
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignInInfo:
    """One session, for the person's own list."""

    id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    address: str
    browser: str
    current: bool


def token_hash(token: str) -> str:
    """What the database knows of a cookie. The token is 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_token(token: str) -> str:
    """The value that a page must send in X-CSRF-Token; bound to the session, of no use without its cookie."""
    return hmac.new(token.encode(), b"callward csrf", hashlib.sha256).hexdigest()


async def sign_in(
    db: Database, *, user_name: str, password: str, client: Client, policy: SessionPolicy, now: datetime
) -> SignedIn:
    """Open a session.

    Raises:
        SignInRefusedError: wrong, unknown or disabled; the same answer and the same time for each.
        TooManyAttemptsError: this account or address has to wait.
    """
    name = user_name.strip().casefold()[:200].replace("\x00", "")
    async with db.begin(Scope.provider()) as session:
        wait = await throttle.count_attempt(session, name, client.address, now)
    if wait > timedelta(0):
        raise TooManyAttemptsError(wait)
    async with db.begin(Scope.provider()) as session:
        found = (await session.execute(select(Person).where(Person.user_name == name).limit(2))).scalars().all()
    person = found[0] if len(found) == 1 else None
    right = await verify_password(person.password_hash if person else None, password)
    async with db.begin(Scope.provider()) as session:
        if person is None or not right or person.disabled_at is not None:
            await audit.write_anonymous(
                session,
                action="sign_in",
                who=name,
                address=client.address,
                now=now,
                outcome="refused",
                organisation_id=person.organisation_id if person else None,
                person_id=person.id if person else None,
            )
            refused = True
        else:
            await throttle.clear(session, name, client.address)
            await throttle.forget_old(session, now)
            await session.execute(delete(SignIn).where(SignIn.expires_at < now - KEEP_ENDED))
            opened = _open(session, person, client, policy, now)
            await audit.write(
                session, subject=opened.subject, action="sign_in", target=_person_ref(opened.subject), now=now
            )
            refused = False
    if refused:
        raise SignInRefusedError(SignInRefusedError.__doc__)
    return opened


def _open(session: AsyncSession, person: Person, client: Client, policy: SessionPolicy, now: datetime) -> SignedIn:
    token = secrets.token_urlsafe(32)
    row = SignIn(
        id=new_ulid(),
        organisation_id=person.organisation_id,
        person_id=person.id,
        token_hash=token_hash(token),
        created_at=now,
        used_at=now,
        expires_at=now + policy.absolute,
        address=client.address,
        browser=client.browser[:300].replace("\x00", ""),
    )
    session.add(row)
    return SignedIn(token, _subject(person, row, client.address), row.expires_at)


def _subject(person: Person, row: SignIn, address: str) -> Subject:
    return Subject(
        person_id=person.id,
        organisation_id=person.organisation_id,
        user_name=person.user_name,
        display_name=person.display_name,
        profiles=frozenset(person.profiles),
        session_id=row.id,
        address=address,
        must_change_password=person.must_change_password,
    )


def _person_ref(subject: Subject) -> ObjectRef:
    return ObjectRef("person", subject.person_id, subject.organisation_id)


async def resolve(
    db: Database, token: str, *, client: Client, policy: SessionPolicy, now: datetime, background: bool = False
) -> Subject | None:
    """Return who a cookie belongs to, or None when its session has ended.

    `background`: a page asked by itself (live update); that does not count as use, so an abandoned page still signs out.
    """
    if not 20 <= len(token) <= 100 or not token.isascii():
        return None
    async with db.begin(Scope.provider()) as session:
        found = (
            await session.execute(
                select(SignIn, Person)
                .join(Person, Person.id == SignIn.person_id)
                .where(SignIn.token_hash == token_hash(token), SignIn.ended_at.is_(None), SignIn.expires_at > now)
            )
        ).first()
        if found is None:
            return None
        row, person = found
        if row.used_at < now - policy.idle or person.disabled_at is not None:
            return None
        if not background and row.used_at < now - TOUCH_EVERY:
            row.used_at = now
        return _subject(person, row, client.address)


async def sign_out(db: Database, subject: Subject, now: datetime) -> None:
    """End the subject's own session."""
    await end_session(db, subject, subject.session_id, now)


async def end_session(db: Database, subject: Subject, session_id: str, now: datetime) -> bool:
    """End one of the subject's sessions; False when there is no such one."""
    async with db.begin(Scope.provider()) as session:
        ended = await session.execute(
            update(SignIn)
            .where(SignIn.id == session_id, SignIn.person_id == subject.person_id, SignIn.ended_at.is_(None))
            .values(ended_at=now)
            .returning(SignIn.id)
        )
        if ended.first() is None:
            return False
        action = "sign_out" if session_id == subject.session_id else "session.end"
        await audit.write(
            session,
            subject=subject,
            action=action,
            target=_person_ref(subject),
            now=now,
            detail={"sign_in": session_id},
        )
        return True


async def sessions_of(db: Database, subject: Subject, policy: SessionPolicy, now: datetime) -> list[SignInInfo]:
    """The subject's sessions that are alive, newest first."""
    async with db.begin(Scope.provider()) as session:
        rows = (
            (
                await session.execute(
                    select(SignIn)
                    .where(
                        SignIn.person_id == subject.person_id,
                        SignIn.ended_at.is_(None),
                        SignIn.expires_at > now,
                        SignIn.used_at > now - policy.idle,
                    )
                    .order_by(SignIn.created_at.desc())
                    .limit(100)
                )
            )
            .scalars()
            .all()
        )
    return [
        SignInInfo(r.id, r.created_at, r.used_at, r.expires_at, r.address, r.browser, r.id == subject.session_id)
        for r in rows
    ]


async def change_password(
    db: Database, subject: Subject, *, current: str, new: str, client: Client, policy: SessionPolicy, now: datetime
) -> SignedIn:
    """Set a new password, end every session of the person and open a new one.

    Raises:
        SignInRefusedError: the current password is wrong.
        TooManyAttemptsError: too many wrong current passwords.
        WeakPasswordError: the new password breaks a rule.
    """
    async with db.begin(Scope.provider()) as session:
        wait = await throttle.count_attempt(session, subject.user_name, client.address, now)
        person = await session.get_one(Person, subject.person_id)
    if wait > timedelta(0):
        raise TooManyAttemptsError(wait)
    if not await verify_password(person.password_hash, current):
        raise SignInRefusedError("The current password is not right. Type it as you did to sign in.")
    check_new_password(new, user_name=subject.user_name, current=current)
    stored = await hash_password(new)
    async with db.begin(Scope.provider()) as session:
        person = await session.get_one(Person, subject.person_id, with_for_update=True)
        person.password_hash = stored
        person.must_change_password = False
        await session.execute(
            update(SignIn).where(SignIn.person_id == person.id, SignIn.ended_at.is_(None)).values(ended_at=now)
        )
        await throttle.clear(session, person.user_name, client.address)
        opened = _open(session, person, client, policy, now)
        await audit.write(
            session, subject=opened.subject, action="password.change", target=_person_ref(subject), now=now
        )
    return opened
