"""The database: one PostgreSQL, one transaction per request or job, row-level security as the second lock.

Every connection works as the role `callward_app`, which owns nothing and cannot bypass row-level security. A transaction
says for whom it works (`Scope`); without a scope the policies show no row at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import MetaData, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from callward.platform.ids import Ulid

APPLICATION_ROLE = "callward_app"


class DatabaseUrlError(Exception):
    """`database.url` must look like postgresql://user:password@host:5432/name."""


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a transaction works; made by `organisation()` or `provider()`."""

    organisation_id: Ulid | None
    is_provider: bool

    @classmethod
    def organisation(cls, organisation_id: Ulid) -> Scope:
        """Only the rows of one organisation."""
        return cls(organisation_id, False)

    @classmethod
    def provider(cls) -> Scope:
        """All rows, also those that no organisation matched: for the provider's staff and for our own processes."""
        return cls(None, True)


def driver_url(url: str) -> URL:
    """Turn a PostgreSQL address as people write it into the one for our driver.

    Raises:
        DatabaseUrlError: it is no PostgreSQL address.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUrlError(DatabaseUrlError.__doc__) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseUrlError(DatabaseUrlError.__doc__)
    return parsed.set(drivername="postgresql+psycopg")


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.engine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            pool_timeout=10,
            connect_args={"connect_timeout": 5, "options": "-c timezone=UTC"},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

        @event.listens_for(self.engine.sync_engine, "connect")
        def _become_application(connection, _record) -> None:  # type: ignore[no-untyped-def]
            with connection.cursor() as cursor:
                cursor.execute(f"SET ROLE {APPLICATION_ROLE}")
            connection.commit()

    @asynccontextmanager
    async def begin(self, scope: Scope) -> AsyncIterator[AsyncSession]:
        """One transaction for `scope`: committed at the end, rolled back on an exception."""
        async with self._sessions() as session, session.begin():
            await session.execute(
                text(
                    "SELECT set_config('callward.organisation', :organisation, true),"
                    " set_config('callward.provider', :provider, true)"
                ),
                {"organisation": scope.organisation_id or "", "provider": "on" if scope.is_provider else "off"},
            )
            yield session

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
