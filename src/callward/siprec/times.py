"""Times of RFC 7865 section 6.9 (RFC 3339), read with patience (S21)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_TIME = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)[Tt\s]\s*(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d\d:?\d\d|[+-]\d\d)?"
)

EARLIEST_TRUSTED = datetime(2010, 1, 1, tzinfo=UTC)
"""Before SIPREC existed: the clock of the peer was never set (Ribbon says 1970)."""


def read_time(text: str) -> datetime | None:
    """Aware UTC time, or None when it cannot be read. A missing zone is taken as UTC."""
    match = _TIME.fullmatch(text.strip()[:64])
    if match is None:
        return None
    parts = match.groupdict()
    second = int(parts["second"] or 0)
    try:
        local = datetime(
            int(parts["year"]),
            int(parts["month"]),
            int(parts["day"]),
            int(parts["hour"]),
            int(parts["minute"]),
            min(second, 59),  # a leap second is 59, as POSIX time has no 60
            int((parts["fraction"] or "0")[:6].ljust(6, "0")),
            tzinfo=_zone(parts["zone"]),
        )
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def has_zone(text: str) -> bool:
    match = _TIME.fullmatch(text.strip()[:64])
    return match is not None and match["zone"] is not None


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
