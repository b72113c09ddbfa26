"""Times of RFC 7865 section 6.9 (RFC 3339), read with patience (S21)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[Tt\s]\s*(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"\s*([Zz]|[+-]\d\d:?\d\d|[+-]\d\d)?"
)

EARLIEST_TRUSTED = datetime(2010, 1, 1, tzinfo=UTC)
"""Before SIPREC existed: the clock of the peer was never set (Ribbon says 1970)."""


def read_time(text: str) -> datetime | None:
    """Aware UTC time, or None when it cannot be read. A missing zone is taken as UTC."""
    return read_zoned_time(text)[0]


def has_zone(text: str) -> bool:
    return read_zoned_time(text)[1]


def read_zoned_time(text: str) -> tuple[datetime | None, bool]:
    """As `read_time`, and whether a zone is told."""
    return _read(text.strip()[:64])


@lru_cache(maxsize=256)  # all times of a document are often the same
def _read(text: str) -> tuple[datetime | None, bool]:
    match = _TIME.fullmatch(text)
    if match is None:
        return None, False
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        local = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            min(int(second or 0), 59),  # a leap second is 59, as POSIX time has no 60
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=_zone(zone),
        )
        return local.astimezone(UTC), zone is not None
    except (ValueError, OverflowError):
        return None, zone is not None


def plausible(at: datetime | None) -> bool:
    """Whether a peer's clock can be believed."""
    return at is not None and at >= EARLIEST_TRUSTED


def write_time(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
