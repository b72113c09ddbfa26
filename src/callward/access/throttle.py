"""Brute force, slowed per account and per address.

Every attempt is counted before the password is looked at, in a transaction of its own: a thousand parallel guesses count a thousand times.
A right password clears its account. An unknown account is slowed exactly like a known one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from callward.access.model import SignInThrottle


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures without delay, then 1 s, doubled with each one, up to `longest`."""

    free: int
    longest: timedelta


ACCOUNT = Limit(free=5, longest=timedelta(minutes=5))
"""Not longer, so that a stranger who guesses at a person's account cannot lock the person out for hours."""
ADDRESS = Limit(free=20, longest=timedelta(minutes=15))
"""More free ones: many people may sit behind one address."""
FORGET_AFTER = timedelta(hours=1)


def delay_after(failures: int, limit: Limit) -> timedelta:
    """How long the next attempt must wait after so many failures in a row."""
    if failures < limit.free:
        return timedelta(0)
    return min(limit.longest, timedelta(seconds=2 ** min(failures - limit.free, 20)))


def account_key(user_name: str) -> str:
    return f"account:{user_name.casefold()[:200]}"


def address_key(address: str) -> str:
    """IPv6 addresses count by their /64: one customer has that many."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address:unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address:{parsed.ipv4_mapped}"
        return f"address:{ipaddress.ip_network((parsed, 64), strict=False)}"
    return f"address:{parsed}"


async def count_attempt(session: AsyncSession, user_name: str, address: str, now: datetime) -> timedelta:
    """Count an attempt; return how long it has to wait (zero: it may go on now, and counts as a failure until cleared)."""
    wait = timedelta(0)
    counted = []
    # Always address first: two transactions that lock in one order cannot wait for each other.
    for key, limit in ((address_key(address), ADDRESS), (account_key(user_name), ACCOUNT)):
        await session.execute(insert(SignInThrottle).values(key=key, failures=0, last_at=now).on_conflict_do_nothing())
        row = (
            await session.execute(select(SignInThrottle).where(SignInThrottle.key == key).with_for_update())
        ).scalar_one()
        if now - row.last_at > FORGET_AFTER:
            row.failures = 0
        wait = max(wait, row.last_at + delay_after(row.failures, limit) - now)
        counted.append(row)
    if wait > timedelta(0):
        return wait
    for row in counted:
        row.failures += 1
        row.last_at = now
    return timedelta(0)


async def clear(session: AsyncSession, user_name: str, address: str) -> None:
    """The password was right: forget the account's failures, and take back this attempt of the address."""
    row = await session.get(SignInThrottle, address_key(address), with_for_update=True)
    if row is not None and row.failures > 0:
        row.failures -= 1
    await session.execute(delete(SignInThrottle).where(SignInThrottle.key == account_key(user_name)))


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Remove counters that no longer count."""
    await session.execute(delete(SignInThrottle).where(SignInThrottle.last_at < now - FORGET_AFTER))
