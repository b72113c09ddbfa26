"""WWW-Authenticate, Proxy-Authenticate, Authorization, Proxy-Authorization (RFC 3261 20.7, 20.27, 20.28, 20.44; RFC 7616 3.3, 3.4).

One header line holds one challenge or one set of credentials (RFC 3261 7.3.1: these headers are no comma lists).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from callward.sip.grammar import find_parameter, is_token, quote, split_list, unquote, without_controls

MAX_AUTH_PARAMETERS = 32

_QOP_SPLIT = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """`Digest realm="...", nonce="...", ...`. `algorithm` is as written; absent means MD5 (RFC 7616 3.3)."""

    realm: str
    nonce: str
    algorithm: str | None = None
    qop: tuple[str, ...] = ()
    """`auth`, `auth-int` in lower case; empty for a server of RFC 2069."""
    opaque: str | None = None
    stale: bool = False
    domain: str | None = None

    def __str__(self) -> str:
        parts = [f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}"]
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        if self.domain is not None:
            parts.append(f"domain={quote(self.domain)}")
        if self.stale:
            parts.append("stale=TRUE")
        if self.algorithm is not None:
            parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts.append(f'qop="{",".join(self.qop)}"')
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Credentials:
    """`Digest username="...", realm="...", nonce="...", uri="...", response="...", ...`."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str | None = None
    qop: str | None = None
    cnonce: str | None = None
    nonce_count: int | None = None
    opaque: str | None = None

    def __str__(self) -> str:
        parts = [f"{name}={quote(getattr(self, name))}" for name in ("username", "realm", "nonce", "uri", "response")]
        if self.algorithm is not None:
            parts.append(f"algorithm={self.algorithm}")
        if self.cnonce is not None:
            parts.append(f"cnonce={quote(self.cnonce)}")
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        if self.qop is not None:
            parts.append(f"qop={self.qop}")
        if self.nonce_count is not None:
            parts.append(f"nc={self.nonce_count:08x}")
        return "Digest " + ", ".join(parts)


def _parameters(text: str) -> tuple[tuple[str, str | None], ...] | None:
    """The parameters after `Digest`; None for another scheme or malformed text."""
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    elements = split_list(rest)
    if len(elements) > MAX_AUTH_PARAMETERS:
        return None
    found: list[tuple[str, str | None]] = []
    for element in elements:
        name, equals, value = element.partition("=")
        name = name.strip(" \t").lower()
        value = value.strip(" \t")
        if not equals or not is_token(name) or value.count('"') == 1:
            return None
        found.append((name, without_controls(unquote(value))))
    names = [name for name, _ in found]
    return tuple(found) if len(set(names)) == len(names) else None


def parse_challenge(text: str) -> Challenge | None:
    """Parses a Digest challenge; None for another scheme (`Basic`, `NoOneKnowsThisScheme`) or when malformed. Never raises."""
    params = _parameters(text)
    if params is None:
        return None
    realm, nonce = find_parameter(params, "realm"), find_parameter(params, "nonce")
    if realm is None or not nonce:
        return None
    algorithm = find_parameter(params, "algorithm")
    return Challenge(
        realm,
        nonce,
        algorithm if algorithm is not None and is_token(algorithm) else None,
        tuple(item for item in _QOP_SPLIT.split((find_parameter(params, "qop") or "").lower()) if item),
        find_parameter(params, "opaque"),
        (find_parameter(params, "stale") or "").lower() == "true",
        find_parameter(params, "domain"),
    )


def parse_credentials(text: str) -> Credentials | None:
    """Parses Digest credentials; None for another scheme or when malformed. Never raises."""
    params = _parameters(text)
    if params is None:
        return None
    values = {name: value or "" for name, value in params}
    if not all(name in values for name in ("username", "realm", "nonce", "uri", "response")):
        return None
    count: int | None = None
    if "nc" in values:
        text = values["nc"]
        if re.fullmatch(r"[0-9A-Fa-f]{8}", text) is None:
            return None
        count = int(text, 16)
    algorithm = values.get("algorithm")
    if algorithm is not None and not is_token(algorithm):
        return None
    return Credentials(
        values["username"],
        values["realm"],
        values["nonce"],
        values["uri"],
        values["response"].lower(),
        algorithm,
        values["qop"].lower() if "qop" in values else None,
        values.get("cnonce"),
        count,
        values.get("opaque"),
    )


def parse_nextnonce(text: str) -> str | None:
    """The `nextnonce` of Authentication-Info (RFC 7616 3.5)."""
    for element in split_list(text):
        name, _, value = element.partition("=")
        if name.strip().lower() == "nextnonce":
            return without_controls(unquote(value.strip())) or None
    return None
