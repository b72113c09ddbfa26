"""Typed access to the headers of a message: each value is parsed when it is first asked for, and kept until the headers change.

On a parsed message the accessors of the mandatory headers (`via`, `from_`, `to`, `cseq`, `call_id`) always have a value, because
`message.parse` refuses a message without them. The others return None or nothing where a header is absent or malformed. None
raises, with one exception: a mandatory header missing from a message that we built ourselves is our bug (`MissingHeaderError`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from callward.sip.address import NameAddr, parse_address, parse_addresses
from callward.sip.cseq import CSeq, RAck, parse_cseq, parse_rack
from callward.sip.grammar import parse_number, split_list
from callward.sip.headers import Headers
from callward.sip.media_type import Disposition, MediaType, parse_disposition, parse_media_type
from callward.sip.reason import Reason, Replaces, parse_reason, parse_replaces
from callward.sip.session_expires import (
    RetryAfter,
    SessionExpires,
    parse_delta,
    parse_retry_after,
    parse_session_expires,
)
from callward.sip.subscription import Event, SubscriptionState, parse_event, parse_subscription_state
from callward.sip.via import Via, parse_via

T = TypeVar("T")


class MissingHeaderError(LookupError):
    """The message that is being built has no such header, or not in a form that can be read; add it before asking for it."""


class TypedHeaders:
    """What Request and Response share: headers, body and the typed view of both."""

    __slots__ = ("_cache", "_cache_version", "body", "headers", "raw")

    def __init__(self, headers: Headers, body: bytes = b"", raw: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self.raw = raw
        """The octets as received, for traces; empty for a message that we built."""
        self._cache: dict[str, object] = {}
        self._cache_version = headers.version

    def typed(self, name: str, parse: Callable[[str], T | None]) -> T | None:
        """The first value of a header through `parse`, cached; None when absent or malformed. One parser per header name."""
        if self._cache_version != self.headers.version:
            self._cache.clear()
            self._cache_version = self.headers.version
        elif name in self._cache:
            return self._cache[name]  # type: ignore[return-value]
        value = self.headers.get(name)
        result = None if value is None else parse(value)
        self._cache[name] = result
        return result

    def _every(self, key: str, parse: Callable[[Headers], T]) -> T:
        if self._cache_version != self.headers.version:
            self._cache.clear()
            self._cache_version = self.headers.version
        elif key in self._cache:
            return self._cache[key]  # type: ignore[return-value]
        result = parse(self.headers)
        self._cache[key] = result
        return result

    def _mandatory(self, name: str, parse: Callable[[str], T | None]) -> T:
        result = self.typed(name, parse)
        if result is None:
            raise MissingHeaderError(f"the message has no valid {name} header")
        return result

    @property
    def call_id(self) -> str:
        return self.headers.get("Call-ID") or ""

    @property
    def cseq(self) -> CSeq:
        return self._mandatory("CSeq", parse_cseq)

    @property
    def via(self) -> Via:
        """The top Via."""
        return self._mandatory("Via", _first_via)

    @property
    def vias(self) -> tuple[Via, ...]:
        """Every Via that can be read, top first."""
        return self._every(
            "vias*", lambda headers: tuple(v for text in headers.get_all("Via") if (v := parse_via(text)) is not None)
        )

    @property
    def from_(self) -> NameAddr:
        return self._mandatory("From", parse_address)

    @property
    def to(self) -> NameAddr:
        return self._mandatory("To", parse_address)

    @property
    def from_tag(self) -> str | None:
        return self.from_.tag

    @property
    def to_tag(self) -> str | None:
        return self.to.tag

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact; empty when absent, malformed or `*`."""
        return self.addresses("Contact")

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact."""
        contacts = self.contacts
        return contacts[0] if contacts else None

    @property
    def wildcard_contact(self) -> bool:
        """True for `Contact: *` (RFC 3261 10.2.2)."""
        return (self.headers.get("Contact") or "").strip() == "*"

    @property
    def route(self) -> tuple[NameAddr, ...]:
        return self.addresses("Route")

    @property
    def record_route(self) -> tuple[NameAddr, ...]:
        return self.addresses("Record-Route")

    def addresses(self, name: str) -> tuple[NameAddr, ...]:
        """Every address of a list header (P-Asserted-Identity, Diversion, History-Info...); empty when absent or malformed."""
        return self._every(name + "*", lambda headers: parse_addresses(headers.get_lines(name)) or ())

    def address(self, name: str) -> NameAddr | None:
        """The one address of Refer-To, Referred-By or Reply-To; None when absent or malformed."""
        return self.typed(name, parse_address)

    def tokens(self, name: str) -> frozenset[str]:
        """The elements of Require, Supported, Unsupported, Proxy-Require or Allow-Events in lower case."""
        return self._every(name + "#", lambda headers: frozenset(token.lower() for token in headers.get_all(name)))

    @property
    def require(self) -> frozenset[str]:
        return self.tokens("Require")

    @property
    def proxy_require(self) -> frozenset[str]:
        return self.tokens("Proxy-Require")

    @property
    def supported(self) -> frozenset[str]:
        return self.tokens("Supported")

    @property
    def unsupported(self) -> frozenset[str]:
        return self.tokens("Unsupported")

    @property
    def allow(self) -> frozenset[str]:
        """The methods of Allow, case kept."""
        return self._every("Allow#", lambda headers: frozenset(headers.get_all("Allow")))

    @property
    def max_forwards(self) -> int | None:
        """0 to 255; None when absent (RFC 2543) or malformed."""
        return self.typed("Max-Forwards", lambda text: parse_number(text, 255))

    @property
    def expires_s(self) -> int | None:
        return self.typed("Expires", parse_delta)

    @property
    def min_expires_s(self) -> int | None:
        return self.typed("Min-Expires", parse_delta)

    @property
    def session_expires(self) -> SessionExpires | None:
        return self.typed("Session-Expires", parse_session_expires)

    @property
    def min_se_s(self) -> int | None:
        return self.typed("Min-SE", parse_delta)

    @property
    def retry_after(self) -> RetryAfter | None:
        return self.typed("Retry-After", parse_retry_after)

    @property
    def rseq(self) -> int | None:
        """The RSeq of a reliable provisional response (RFC 3262 7.1)."""
        return self.typed("RSeq", lambda text: parse_number(text, 2**32 - 1))

    @property
    def rack(self) -> RAck | None:
        return self.typed("RAck", parse_rack)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Every Reason that can be read."""
        return self._every(
            "reasons*",
            lambda headers: tuple(r for text in headers.get_all("Reason") if (r := parse_reason(text)) is not None),
        )

    @property
    def replaces(self) -> Replaces | None:
        return self.typed("Replaces", parse_replaces)

    @property
    def event(self) -> Event | None:
        return self.typed("Event", parse_event)

    @property
    def subscription_state(self) -> SubscriptionState | None:
        return self.typed("Subscription-State", parse_subscription_state)

    @property
    def content_type(self) -> MediaType | None:
        return self.typed("Content-Type", parse_media_type)

    @property
    def content_disposition(self) -> Disposition | None:
        return self.typed("Content-Disposition", parse_disposition)

    @property
    def accept(self) -> tuple[MediaType, ...]:
        """The Accept ranges that can be read; empty when absent, which means `application/sdp` for INVITE (RFC 3261 20.1)."""
        return self._every(
            "accept*",
            lambda headers: tuple(m for text in headers.get_all("Accept") if (m := parse_media_type(text)) is not None),
        )


def _first_via(text: str) -> Via | None:
    if "," not in text:
        return parse_via(text)
    elements = split_list(text)
    return parse_via(elements[0]) if elements else None
