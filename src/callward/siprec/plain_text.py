"""Text of strangers made fit to keep and to show: bounded, without control characters and without direction tricks."""

from __future__ import annotations

import unicodedata

MAX_FIELD_CHARACTERS = 255
"""Names, addresses, ids: what the archive's columns hold."""

MAX_TEXT_CHARACTERS = 4096
"""Free text of extensions."""

_DIRECTION_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""They can make `exe.lac` read `cal.exe` in a list of calls."""


def clean(text: str | None, limit: int = MAX_FIELD_CHARACTERS) -> str:
    """One line: white space collapsed, control and direction characters and lone surrogates removed, at most `limit` characters."""
    if not text:
        return ""
    # Four times the limit bounds the work; no sane field has that much white space to collapse.
    bounded = text[: limit * 4]
    if not bounded.isascii() or not bounded.isprintable():
        bounded = "".join(" " if c in "\t\r\n" else c for c in bounded if c in "\t\r\n" or _shown(c))
    return " ".join(bounded.split())[:limit]


def _shown(character: str) -> bool:
    return character not in _DIRECTION_CONTROLS and unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn")
