"""Content-Type and Accept (RFC 3261 20.15, 20.1), Content-Disposition (RFC 3261 20.11, RFC 3204 handling)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from callward.sip.grammar import Parameters, find_parameter, is_token, parse_parameters, print_parameters


@dataclass(frozen=True, slots=True)
class MediaType:
    """`type/subtype;params`; type and subtype are in lower case (they compare without case)."""

    type: str
    subtype: str
    params: Parameters = ()

    @property
    def name(self) -> str:
        """`type/subtype` in lower case, without parameters."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        """The value of a parameter, `""` for a flag, None when absent. `name` in lower case."""
        return find_parameter(self.params, name)

    def matches(self, accepted: MediaType) -> bool:
        """True when an Accept range (`*/*`, `application/*`, `application/sdp`) covers this type."""
        return accepted.type in ("*", self.type) and accepted.subtype in ("*", self.subtype)

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}{print_parameters(self.params)}"


@dataclass(frozen=True, slots=True)
class Disposition:
    """Content-Disposition: `session`, `recording-session`, `render`...; lower case."""

    kind: str
    params: Parameters = ()

    @property
    def optional(self) -> bool:
        """True with `handling=optional`: a receiver that does not know the part ignores it (RFC 3261 20.11)."""
        return (find_parameter(self.params, "handling") or "").lower() == "optional"

    def __str__(self) -> str:
        return f"{self.kind}{print_parameters(self.params)}"


def parse_media_type(text: str) -> MediaType | None:
    """Parses a media type or Accept range; None when malformed. Malformed parameters are dropped: a body's type still counts."""
    return _parse_usual(text) if len(text) <= 64 else _parse_media_type(text)


@lru_cache(maxsize=256)
def _parse_usual(text: str) -> MediaType | None:
    return _parse_media_type(text)


def _parse_media_type(text: str) -> MediaType | None:
    head, semicolon, rest = text.partition(";")
    kind, slash, subtype = head.partition("/")
    kind = kind.strip(" \t").lower()
    subtype = subtype.strip(" \t").lower()
    if not slash or not is_token(kind) or not is_token(subtype):
        return None
    return MediaType(kind, subtype, parse_parameters(semicolon + rest) or ())


def parse_disposition(text: str) -> Disposition | None:
    """Parses a Content-Disposition; None when malformed. Malformed parameters are dropped."""
    head, semicolon, rest = text.partition(";")
    kind = head.strip(" \t").lower()
    return Disposition(kind, parse_parameters(semicolon + rest) or ()) if is_token(kind) else None
