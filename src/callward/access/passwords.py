"""Passwords: argon2id, rules that a person can follow, random first passwords."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MINIMUM_CHARACTERS = 12
MAXIMUM_CHARACTERS = 256
"""Longer input is refused before it is hashed: hashing a megabyte is work for an attacker to ask for."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=64 * 1024, parallelism=1)
"""argon2id, 64 MiB, 2 passes (above OWASP's minimum of 19 MiB): about 0.1 s on one core."""
_AT_ONCE = 2
"""Hashes computed at the same time, so that a flood of sign-ins cannot take all memory (2 x 64 MiB)."""
_ABSENT = _HASHER.hash("an account that does not exist")
"""Verified for unknown users, so that the answer takes as long as for known ones."""
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without the characters that people confuse (i, l, o, 0, 1)."""
_OBVIOUS = frozenset(
    {
        "passwordpassword",
        "password1234",
        "password12345",
        "123456789012",
        "1234567890123",
        "qwertyuiop12",
        "qwertyuiop123",
        "administrator",
        "administrator1",
        "changemechangeme",
        "letmeinletmein",
        "welcomewelcome",
    }
)


class WeakPasswordError(ValueError):
    """The new password breaks a rule; the text says which and what to do."""


_semaphores: dict[int, asyncio.Semaphore] = {}


def _slots() -> asyncio.Semaphore:
    loop = id(asyncio.get_running_loop())
    if loop not in _semaphores:
        _semaphores.clear()
        _semaphores[loop] = asyncio.Semaphore(_AT_ONCE)
    return _semaphores[loop]


def _normal(password: str) -> str:
    """One spelling of a character that has several (NIST SP 800-63B section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def first_password() -> str:
    """Make a random password of 20 characters in four groups (99 bits)."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


async def hash_password(password: str) -> str:
    """Hash a password for storage."""
    async with _slots():
        return await asyncio.to_thread(_HASHER.hash, _normal(password))


async def verify_password(stored: str | None, password: str) -> bool:
    """Compare; takes as long for an account that does not exist (`stored` None)."""
    async with _slots():
        right = await asyncio.to_thread(_matches, stored or _ABSENT, _normal(password[:MAXIMUM_CHARACTERS]))
    return right and stored is not None


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def check_new_password(password: str, *, user_name: str, current: str) -> None:
    """Refuse a password that breaks a rule.

    Raises:
        WeakPasswordError: with the rule as a sentence.
    """
    plain = _normal(password)
    if min(len(plain), len(password)) < MINIMUM_CHARACTERS:
        raise WeakPasswordError(
            f"Use at least {MINIMUM_CHARACTERS} characters. A few words in a row are easy to remember."
        )
    if len(plain) > MAXIMUM_CHARACTERS:
        raise WeakPasswordError(f"Use at most {MAXIMUM_CHARACTERS} characters.")
    if plain == _normal(current):
        raise WeakPasswordError("Choose a password that differs from the current one.")
    lowered = plain.casefold()
    if len(set(lowered)) < 5 or lowered in _OBVIOUS:
        raise WeakPasswordError("This password is easy to guess. Choose one with more different characters.")
    if user_name and user_name.casefold() in lowered:
        raise WeakPasswordError("Do not use your user name inside the password.")
