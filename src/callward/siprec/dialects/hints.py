"""What only one dialect tells about a call: ids for support and for joining legs, who called whom, and corrections.

`read_hints` is asked for each call; every vendor's reader is a function of the same shape. A hint never overrides what RFC 7865 itself
says; it fills what the dialect put elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from callward.siprec.metadata import Extension, Group, Participant, Session
from callward.siprec.oddity import Oddity


@dataclass(frozen=True, slots=True)
class Told:
    """What a reader may look at for one call."""

    session: Session
    group: Group | None
    participants: Mapping[str, Participant]
    """By identity key, of this call."""
    extensions: tuple[Extension, ...]
    """Of the recording, the group and the session."""
    headers: Mapping[str, str]
    from_uri: str = ""
    from_name: str = ""
    to_uri: str = ""

    @property
    def all_extensions(self) -> tuple[Extension, ...]:
        """With those of the participants."""
        return (*self.extensions, *(e for participant in self.participants.values() for e in participant.extensions))


@dataclass(frozen=True, slots=True)
class Hints:
    """What a reader found. Numbers and names are as the dialect wrote them."""

    session_ids: Mapping[str, str] = field(default_factory=dict)
    direction: str = ""
    """`in`, `out`, `internal` or empty, seen from the recorded line."""
    caller: str = ""
    """Participant key or number of the calling party."""
    called: str = ""
    recorded: str = ""
    """Participant key, address or number of the recorded line."""
    not_parties: frozenset[str] = frozenset()
    """Participant keys that stand for nobody (the dummy of Avaya)."""
    corrections: Mapping[str, Any] = field(default_factory=dict)
    """Extensions to show instead of what the document says, by qualified name."""
    oddities: tuple[Oddity, ...] = ()


Reader = Callable[[Told], Hints]


def given(**ids: str | None) -> dict[str, str]:
    """Only the ids that have a value."""
    return {name: value for name, value in ids.items() if value}


def first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")
