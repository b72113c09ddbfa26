"""Tables of people, their sign-ins and the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from callward.platform.database import Base


class Person(Base):
    """Somebody who can sign in. `organisation_id` NULL: the provider's own people."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    user_name: Mapped[str] = mapped_column(Text)
    """firstname.lastname in lower case; unique in its organisation."""
    display_name: Mapped[str] = mapped_column(Text)
    profiles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    password_hash: Mapped[str | None] = mapped_column(Text)
    must_change_password: Mapped[bool]
    language: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class SignIn(Base):
    """One sign-in (a browser's session). The cookie's value is known to the browser only; its hash stands here."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    person_id: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    address: Mapped[str] = mapped_column(Text)
    browser: Mapped[str] = mapped_column(Text)


class SignInThrottle(Base):
    """Failures in a row of one account or one address; see `throttle`."""

    __tablename__ = "sign_in_throttle"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AuditEntry(Base):
    """Who did what, when, from where. The database lets nobody change or remove an entry."""

    __tablename__ = "audit"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    """Organisation of the object, so that its administrators see the entry."""
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    person_id: Mapped[str | None] = mapped_column(Text)
    sign_in_id: Mapped[str | None] = mapped_column(Text)
    who: Mapped[str] = mapped_column(Text)
    """User name at the time (as typed, for a refused sign-in)."""
    address: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    """`done` or `refused`."""
    object_kind: Mapped[str] = mapped_column(Text)
    object_id: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
