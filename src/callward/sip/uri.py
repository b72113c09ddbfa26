"""Addresses: `sip:`, `sips:` (RFC 3261 19.1), `tel:` (RFC 3966) and every other scheme kept as it came.

`parse_uri` never raises: it returns None for text that is no URI. Percent escapes of the user part are resolved (UTF-8, else
Latin-1), except those of control characters (`%00`), which stay as written: a decoded value never holds a control character, so
it can neither break a database nor smuggle a header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

from callward.sip.grammar import Parameters, find_parameter, parse_number, with_parameter, without_parameter

MAX_URI_CHARACTERS = 4096

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
_HOST = re.compile(r"[A-Za-z0-9\-._]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._\-]+)?\]")
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%#:\[\]|{}^`\"\x80-\U0010ffff]*")
_USER_PLAIN = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]*")
_PARAMETER_PLAIN = re.compile(r"[A-Za-z0-9\-_.!~*'()\[\]/:&+$]*")
_USUAL = re.compile(
    r"(sips?):(?:([A-Za-z0-9\-_.!~*'()&=+$,;/]+)@)?([A-Za-z0-9\-._]+)(?::([0-9]{1,5}))?(?:;([A-Za-z0-9\-_.!~*'()\[\]/:&+$=;]+))?"
)
"""What nearly every message has: no escapes, no password, no headers, no IPv6 address. Everything else takes the long way."""
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>]")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_CONTROL_ESCAPE = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")


def _unescape_run(match: re.Match[str]) -> str:
    octets = bytes.fromhex(match.group().replace("%", ""))
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "".join(f"%{o:02X}" for o in c.encode("utf-8")) for c in text)


def unescape(text: str) -> str:
    """Resolves percent escapes; `%` that starts no escape, and escaped control characters, stay as written."""
    return _ESCAPES.sub(_unescape_run, text) if "%" in text else text


def _escape(text: str, plain: re.Pattern[str]) -> str:
    if plain.fullmatch(text) is not None:
        return text
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if plain.fullmatch(character) is not None or (character == "%" and _CONTROL_ESCAPE.match(text, position)):
            parts.append(character)
        else:
            parts.extend(f"%{octet:02X}" for octet in character.encode("utf-8", "replace"))
        position += 1
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` URI (RFC 3261 19.1.1). Equality is by field; `equivalent` compares as 19.1.4 asks.

    `host` has no brackets around an IPv6 address. `user` is unescaped and may hold user parameters (`+3247;phone-context=x`).
    """

    host: str
    user: str | None = None
    port: int | None = None
    params: Parameters = ()
    headers: str = ""
    """The text after `?`, as it came; never acted on (RFC 3261 19.1.5)."""
    password: str | None = None
    scheme: str = "sip"
    raw_user: str | None = field(default=None, compare=False, repr=False)
    """The user part as it came, where it holds escapes: printed again as long as it still means `user`."""

    def param(self, name: str) -> str | None:
        """The value of a parameter, `""` for a flag, None when absent. `name` in lower case."""
        return find_parameter(self.params, name)

    @property
    def transport(self) -> str | None:
        """The `transport` parameter in lower case (`transport=UDP` is common), None when absent."""
        value = find_parameter(self.params, "transport")
        return value.lower() if value else None

    @property
    def loose_routing(self) -> bool:
        """True with `;lr` (RFC 3261 19.1.1), also in the spelling `;lr=on`."""
        return find_parameter(self.params, "lr") is not None

    @property
    def host_port(self) -> str:
        """`host` or `host:port`, with brackets around an IPv6 address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def with_param(self, name: str, value: str | None = None) -> SipUri:
        return replace(self, params=with_parameter(self.params, name, value))

    def without_param(self, name: str) -> SipUri:
        return replace(self, params=without_parameter(self.params, name))

    def equivalent(self, other: Uri) -> bool:
        """Equality of RFC 3261 19.1.4: user exact, host and parameters without case, some parameters must match if in either."""
        if not isinstance(other, SipUri) or self.scheme != other.scheme:
            return False
        if (self.user, self.password, self.port) != (other.user, other.password, other.port):
            return False
        if self.host.lower() != other.host.lower() or sorted(self.headers.split("&")) != sorted(
            other.headers.split("&")
        ):
            return False
        mine = {name.lower(): (value or "").lower() for name, value in self.params}
        theirs = {name.lower(): (value or "").lower() for name, value in other.params}
        for name in mine.keys() | theirs.keys():
            both = name in mine and name in theirs
            if both and mine[name] != theirs[name]:
                return False
            if not both and name in ("user", "ttl", "method", "maddr", "transport"):
                return False
        return True

    def __str__(self) -> str:
        text = self.scheme + ":"
        if self.user is not None:
            if self.raw_user is not None and unescape(self.raw_user) == self.user:
                text += self.raw_user
            else:
                text += _escape(self.user, _USER_PLAIN)
            if self.password is not None:
                text += ":" + _escape(self.password, _USER_PLAIN)
            text += "@"
        text += self.host_port
        if self.params:
            text += _print_uri_parameters(self.params)
        return f"{text}?{self.headers}" if self.headers else text


@dataclass(frozen=True, slots=True)
class TelUri:
    """A `tel:` URI (RFC 3966). `number` is as written, visual separators included; `digits` is without them."""

    number: str
    params: Parameters = ()
    scheme: str = "tel"

    def param(self, name: str) -> str | None:
        """The value of a parameter, `""` for a flag, None when absent. `name` in lower case."""
        return find_parameter(self.params, name)

    @property
    def user(self) -> str:
        """The number without visual separators, so that callers may treat `sip:` and `tel:` alike."""
        return re.sub(r"[\-.()\s]", "", self.number)

    @property
    def phone_context(self) -> str | None:
        """The `phone-context` of a local number (RFC 3966 5.1.5)."""
        return find_parameter(self.params, "phone-context")

    def __str__(self) -> str:
        return f"tel:{_escape(self.number, _USER_PLAIN)}{_print_uri_parameters(self.params)}"


@dataclass(frozen=True, slots=True)
class OpaqueUri:
    """Any other URI (`http:`, `urn:`, `nobodyKnowsThisScheme:`), kept as it came."""

    scheme: str
    rest: str

    @property
    def user(self) -> str | None:
        return None

    def param(self, name: str) -> str | None:
        """Always None: nothing is known of this scheme's parameters."""
        return None

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri: TypeAlias = SipUri | TelUri | OpaqueUri


def _print_uri_parameters(params: Parameters) -> str:
    return "".join(
        f";{_escape(name, _PARAMETER_PLAIN)}"
        if value is None
        else f";{_escape(name, _PARAMETER_PLAIN)}={_escape(value, _PARAMETER_PLAIN)}"
        for name, value in params
    )


def _parse_uri_parameters(text: str) -> Parameters | None:
    if text.count(";") > 64:
        return None
    parameters: list[tuple[str, str | None]] = []
    for part in text.split(";"):
        if not part:
            continue
        name, equals, value = part.partition("=")
        if not name:
            return None
        parameters.append((unescape(name), unescape(value) if equals else None))
    return tuple(parameters)


def parse_host_port(text: str) -> tuple[str, int | None] | None:
    """Parses `host[:port]` into host (no brackets) and port; None when malformed. Ports 0 to 65535."""
    found = _HOST.match(text)
    if found is None:
        return None
    host = found.group()
    rest = text[found.end() :]
    if host[0] == "[":
        host = host[1:-1]
    if not rest:
        return host, None
    if rest[0] != ":":
        return None
    port = parse_number(rest[1:], 65535)
    return None if port is None else (host, port)


def parse_uri(text: str) -> Uri | None:
    """Parses an absolute URI without surrounding brackets or spaces; None when it is none. Never raises."""
    return _parse_short(text) if len(text) <= MAX_URI_CHARACTERS else None


@lru_cache(maxsize=2048)  # the messages of a dialog repeat their URIs
def _parse_short(text: str) -> Uri | None:
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        name, account, host, port, below = usual.groups()
        number = int(port) if port else None
        if number is None or number <= 65535:
            params = _parse_uri_parameters(below) if below else ()
            return None if params is None else SipUri(host, account, number, params, "", None, name)
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or _FORBIDDEN.search(text) is not None:
        return None
    if scheme == "sip" or scheme == "sips" or (scheme := scheme.lower()) in ("sip", "sips"):
        return _parse_sip(scheme, rest)
    if scheme == "tel":
        digits, _, parameters = rest.partition(";")
        params = _parse_uri_parameters(parameters)
        return None if params is None or not digits else TelUri(unescape(digits), params)
    if _SCHEME.fullmatch(scheme) is None:
        return None
    return OpaqueUri(text.partition(":")[0], rest)


def _parse_sip(scheme: str, rest: str) -> SipUri | None:
    # The user part may hold `;`, `?` and `/` (RFC 3261 25.1 user-unreserved), so the last `@` before any header part decides.
    user: str | None = None
    password: str | None = None
    raw_user: str | None = None
    at = rest.rfind("@")
    if at >= 0 and 0 <= rest.find("@") < at:
        at = rest.find("@")  # a second `@` belongs to parameters or headers, and is not legal in them unescaped
    if at >= 0:
        raw, colon, secret = rest[:at].partition(":")
        if not raw or _USER.fullmatch(raw) is None or _USER.fullmatch(secret) is None:
            return None
        user = raw
        if "%" in raw:
            raw_user, user = raw, unescape(raw)
        password = unescape(secret) if colon else None
        rest = rest[at + 1 :]
    headers = ""
    if "?" in rest:
        rest, _, headers = rest.partition("?")
    params: Parameters = ()
    if ";" in rest:
        rest, _, parameters = rest.partition(";")
        parsed = _parse_uri_parameters(parameters)
        if parsed is None:
            return None
        params = parsed
    host_port = parse_host_port(rest)
    if host_port is None:
        return None
    return SipUri(host_port[0], user, host_port[1], params, headers, password, scheme, raw_user)
