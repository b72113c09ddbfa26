"""ULIDs: the names of everything that Callward stores (files and objects are never named by a peer's text)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

Ulid = str
"""26 characters of Crockford's base 32: 48 bits of milliseconds since 1970, then 80 random bits; sorts by time."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = frozenset(_ALPHABET)
ULID_LENGTH = 26


def ulid_at(at: datetime, entropy: bytes) -> Ulid:
    """Make the ULID of an instant (`at`: aware) from 10 bytes of entropy."""
    if len(entropy) != 10:
        raise ValueError("a ULID takes 10 bytes of entropy")
    value = int(at.timestamp() * 1000) << 80 | int.from_bytes(entropy, "big")
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def new_ulid() -> Ulid:
    """Make a ULID of now."""
    return ulid_at(datetime.now(UTC), secrets.token_bytes(10))


def is_ulid(text: str) -> bool:
    """Say whether a text has the form of a ULID; nothing else may become part of a path or an object key."""
    return len(text) == ULID_LENGTH and text[0] in "01234567" and _CHARACTERS.issuperset(text)
