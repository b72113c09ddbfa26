"""Finding numbers by any part of their digits, without a database extension and under row-level security.

Row-level security lets PostgreSQL use an index only for leakproof comparisons, which the trigram and array operators are not. So for each
distinct number of an organisation a row is kept for each of its positions, with the next six digits as one integer; any part of a number
is then a range of integers, which a plain B-tree finds. The rest of a longer query is compared afterwards.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

PART_DIGITS = 6
DIGITS_MAX = 32
INTERNATIONAL_DIGITS_MIN = 10
_BASE = 11
"""Ten digits and the end of the number."""
_NUMBER = re.compile(r"[+0-9][0-9 ()./-]*")

_INTERNATIONAL = re.compile(r"\+[0-9]{7,15}")


def digits_of(text: str) -> str:
    """Only the digits, at most 32; the `00` before a whole international number counts as `+`."""
    digits = "".join(character for character in text if character in "0123456789")[:DIGITS_MAX]
    return digits[2:] if text.strip().startswith("00") and len(digits) >= INTERNATIONAL_DIGITS_MIN else digits


def is_number(text: str) -> bool:
    """Say whether a user part looks like a number rather than a name."""
    return _NUMBER.fullmatch(text.strip()) is not None and any(c.isdigit() for c in text)


@lru_cache(maxsize=4096)
def display(number: str) -> str:
    """An international number as its country writes it (`+32 2 202 22 21`); anything else as it came."""
    if _INTERNATIONAL.fullmatch(number) is None:
        return number
    try:
        found = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_possible_number(found):
        return number
    shown = phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return shown if digits_of(shown) == digits_of(number) else number


def parts(digits: str) -> list[int]:
    """For each position of a number the next six digits as an integer."""
    return sorted({_encode(digits[start : start + PART_DIGITS], 0) for start in range(len(digits))})


def part_range(digits: str) -> tuple[int, int]:
    """Least and greatest part that begins with the first six of these digits."""
    head = digits[:PART_DIGITS]
    return _encode(head, 0), _encode(head, _BASE - 1)


def _encode(digits: str, filler: int) -> int:
    value = 0
    for position in range(PART_DIGITS):
        value = value * _BASE + (int(digits[position]) + 1 if position < len(digits) else filler)
    return value
