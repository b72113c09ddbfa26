"""Brute force is slowed per account and per address, also in parallel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from callward.access.throttle import ACCOUNT, ADDRESS, address_key, clear, count_attempt, delay_after
from callward.platform.database import Database, Scope

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.integers(0, 10_000))
def test_the_delay_never_shrinks_and_never_exceeds_its_limit(failures: int) -> None:
    for limit in (ACCOUNT, ADDRESS):
        assert delay_after(failures, limit) <= delay_after(failures + 1, limit) <= limit.longest
    assert delay_after(ACCOUNT.free - 1, ACCOUNT) == timedelta(0) < delay_after(ACCOUNT.free, ACCOUNT)


def test_ipv6_counts_by_its_64_and_mapped_ipv4_as_ipv4() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1")
    assert address_key("nonsense") == "address:unknown"


async def _attempt(database: Database, name: str, address: str, now: datetime) -> timedelta:
    async with database.begin(Scope.provider()) as session:
        return await count_attempt(session, name, address, now)


async def test_parallel_attempts_count_each(database: Database) -> None:
    waits = await asyncio.gather(*(_attempt(database, "ann.ant", "192.0.2.1", NOW) for _ in range(12)))
    assert sum(wait == timedelta(0) for wait in waits) == ACCOUNT.free


async def test_another_address_does_not_free_the_account_and_another_account_not_the_address(
    database: Database,
) -> None:
    for number in range(ACCOUNT.free):
        assert await _attempt(database, "ann.ant", f"192.0.2.{number}", NOW) == timedelta(0)
    assert await _attempt(database, "ANN.ant", "198.51.100.1", NOW) > timedelta(0)
    for number in range(ADDRESS.free):
        assert await _attempt(database, f"guess.{number}", "203.0.113.9", NOW) == timedelta(0)
    assert await _attempt(database, "one.more", "203.0.113.9", NOW) > timedelta(0)


async def test_waiting_frees_one_attempt_and_an_hour_forgets_all(database: Database) -> None:
    for _ in range(ACCOUNT.free):
        await _attempt(database, "ann.ant", "192.0.2.1", NOW)
    wait = await _attempt(database, "ann.ant", "192.0.2.1", NOW)
    assert wait == timedelta(seconds=1)
    assert await _attempt(database, "ann.ant", "192.0.2.1", NOW + wait) == timedelta(0)
    assert await _attempt(database, "ann.ant", "192.0.2.1", NOW + wait) == timedelta(seconds=2)
    later = NOW + timedelta(hours=2)
    for _ in range(ACCOUNT.free):
        assert await _attempt(database, "ann.ant", "192.0.2.1", later) == timedelta(0)


async def test_a_right_password_clears_the_account(database: Database) -> None:
    for _ in range(ACCOUNT.free):
        await _attempt(database, "ann.ant", "192.0.2.1", NOW)
    async with database.begin(Scope.provider()) as session:
        await clear(session, "ann.ant", "192.0.2.1")
    assert await _attempt(database, "ann.ant", "192.0.2.1", NOW) == timedelta(0)
