"""What was odd about something a peer sent. An oddity never costs audio: it is noted, shown, and the session goes on (S16)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_ODDITIES = 100
"""Kept per document or session; a hostile document could else make thousands."""


HARMLESS = frozenset(
    {
        "body_not_closed",
        "clock_not_set",
        "dummy_party",
        "metadata_namespace",
        "no_sip_src_feature_tag",
        "no_siprec_option_tag",
        "swapped_numbers",
        "time_without_zone",
    }
)
"""Habits of known products that every message of theirs has, and by which nothing is lost: shown, but no reason to flag a recording."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """One finding. `code` is stable (lower case, digits, `_`, at most 40 characters); `detail` is a bounded sentence for people."""

    code: str
    detail: str

    @property
    def harmless(self) -> bool:
        """Known, understood, and nothing is lost by it."""
        return self.code in HARMLESS

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def join_oddities(*groups: Iterable[Oddity]) -> tuple[Oddity, ...]:
    """All oddities once, in order of first appearance, at most `MAX_ODDITIES`."""
    seen: dict[Oddity, None] = {}
    for group in groups:
        for oddity in group:
            seen.setdefault(oddity)
            if len(seen) >= MAX_ODDITIES:
                return tuple(seen)
    return tuple(seen)
