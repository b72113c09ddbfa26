"""Text of strangers made fit to keep and to show: bounded, without control characters and without direction tricks."""

from __future__ import annotations

MAX_FIELD_CHARACTERS = 255
"""Names, addresses, ids: what the archive's columns hold."""

MAX_TEXT_CHARACTERS = 4096
"""Free text of extensions."""


def clean(text: str | None, limit: int = MAX_FIELD_CHARACTERS) -> str:
    """One line of at most `limit` characters: white space collapsed; controls, surrogates and invisible characters removed.

    Among the invisible ones are those that turn the direction of writing, which make `exe.lac` read `cal.exe` in a list of calls.
    """
    if not text:
        return ""
    # Most values are clean: printable text has no white space but the space.
    if len(text) <= limit and text.isprintable() and (" " not in text or " ".join(text.split()) == text):
        return text
    # Four times the limit bounds the work; no sane field has that much white space to collapse.
    bounded = text[: limit * 4]
    if not bounded.isprintable():
        bounded = "".join(" " if c.isspace() else c for c in bounded if c.isprintable() or c.isspace())
    return " ".join(bounded.split())[:limit].rstrip()
