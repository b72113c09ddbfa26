"""Finding conversations by what vendors call them: values of session ids and extensions (UCID, extTrackingID, Call-ID)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from callward.records.apply import storable

FOUND_BY = "found_by"
"""Kind of `ConversationKey` that is searched but relates no legs."""
IDENTIFIERS_MAX = 64
"""Of a conversation."""
IDENTIFIER_LENGTH_MAX = 255
DEPTH_MAX = 8


def normalised(text: str) -> str:
    """As identifiers are compared: without case and outer spaces, at most 255 characters."""
    return str(storable(text)).strip().lower()[:IDENTIFIER_LENGTH_MAX]


def identifiers(*sources: Any) -> list[str]:
    """All values in the sources at any depth, in their order and each once, up to the limit."""
    found: dict[str, None] = {}
    for source in sources:
        for value in _values(source, 0):
            if text := normalised(value):
                found.setdefault(text)
            if len(found) >= IDENTIFIERS_MAX:
                return list(found)
    return list(found)


def _values(source: Any, depth: int) -> Iterator[str]:
    if isinstance(source, str):
        yield source
    elif isinstance(source, int | float) and not isinstance(source, bool):
        yield str(source)
    elif depth < DEPTH_MAX and isinstance(source, dict | list):
        for entry in source.values() if isinstance(source, dict) else source:
            yield from _values(entry, depth + 1)
