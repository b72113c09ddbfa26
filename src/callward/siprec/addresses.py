"""Numbers and names in the addresses of participants: with or without scheme, brackets and parameters, escaped or not."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from callward.siprec.plain_text import clean

_SCHEME = re.compile(r"(sips?|tel|h323|im|xmpp|mailto|callto|unknown):", re.I)
_NUMBER = re.compile(r"\+?[0-9][0-9*#]{0,31}|[*#][0-9*#]{1,31}")
_SEPARATORS = re.compile(r"[\s().\-\u2010-\u2015\u00a0]")


_MAX_USUAL = 128
"""Characters of addresses that are remembered: a picture asks for each address many times."""


def user_of(aor: str) -> str:
    """User part: percent-decoded, without scheme, parameters, password and host. Empty for an address without one."""
    return _usual_user_of(aor) if len(aor) <= _MAX_USUAL else _user_of(aor)


def _user_of(aor: str) -> str:
    text = clean(aor).strip()
    if "<" in text:
        text = text.rpartition("<")[2].partition(">")[0]
    scheme = ""
    if match := _SCHEME.match(text):
        scheme, text = match[1].lower(), text[match.end() :]
    user, at, _ = text.partition("@")
    user = user.partition(";")[0].partition("?")[0]
    if not at and scheme in ("sip", "sips") and not _NUMBER.fullmatch(user):
        return ""  # a host
    if at:
        user = user.partition(":")[0]
    return clean(unquote(user, errors="replace"))


_usual_user_of = lru_cache(maxsize=1024)(_user_of)


def number_of(aor: str) -> str:
    """Digits with a leading + where there is one, without visual separators; empty when the user part is no number."""
    return _usual_number_of(aor) if len(aor) <= _MAX_USUAL else _number_of(aor)


def _number_of(aor: str) -> str:
    user = user_of(aor)
    if "@" not in aor and user.count(".") == 3 and not user.startswith("+"):
        return ""  # an IPv4 address without scheme
    number = _SEPARATORS.sub("", user)
    return number if _NUMBER.fullmatch(number) else ""


_usual_number_of = lru_cache(maxsize=1024)(_number_of)


def same_number(one: str, other: str) -> bool:
    """Whether two spellings can be one number: national or international, with or without + (the last 8 digits decide)."""
    a, b = one.lstrip("+0"), other.lstrip("+0")
    if not a or not b:
        return False
    return a == b or (min(len(a), len(b)) >= 8 and (a.endswith(b) or b.endswith(a)))


def same_address(one: str, other: str) -> bool:
    """Whether two addresses name the same party: same user and host, or the same number."""
    number, other_number = number_of(one), number_of(other)
    if number and other_number:
        return same_number(number, other_number)
    return bool(one) and _bare(one) == _bare(other)


def _bare(aor: str) -> str:
    text = aor.strip("<> ")
    if match := _SCHEME.match(text):
        text = text[match.end() :]
    return unquote(text.partition(";")[0].partition("?")[0]).lower()
