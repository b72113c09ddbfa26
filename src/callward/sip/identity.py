"""Who calls whom, as far as a request tells: From, P-Asserted-Identity, Remote-Party-ID, Privacy, Diversion, History-Info.

Facts only: what an untrusted peer asserts is ignored (RFC 3325 4), what is missing stays empty, and nothing here raises. Sources: RFC
3323 and 3325 (privacy, asserted identity), RFC 3966 (`phone-context`), RFC 5806 (Diversion), RFC 7044 and 4244 (History-Info), RFC
4458 (`cause`), draft-ietf-sip-privacy-04 (Remote-Party-ID).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from callward.sip.address import NameAddr
from callward.sip.grammar import find_parameter, parse_number, parse_parameters
from callward.sip.message import Request
from callward.sip.numbers import NO_NUMBER, Number, normalise
from callward.sip.uri import SipUri, TelUri, Uri, unescape

MAX_DIVERSIONS = 32
"""Entries read of Diversion and History-Info; a call forwarded more often is a loop."""

_ANONYMOUS_HOSTS = frozenset({"anonymous.invalid", "unknown.invalid", "unavailable.invalid", "restricted.invalid"})
_ANONYMOUS_USERS = frozenset(
    {"anonymous", "anonyme", "anoniem", "anonym", "restricted", "private", "privat", "withheld", "unavailable", "unknown",
     "nonumber", "no-number", "blocked", "hidden", "asserted-id-anonymous", "callerid-blocked"}
)  # fmt: skip
_ANONYMOUS_NAMES = _ANONYMOUS_USERS | frozenset(
    {"anonymous caller", "private number", "unknown caller", "caller id blocked", "number withheld", "restricted number",
     "no caller id", "appel anonyme", "numéro masqué", "numero masque", "anonieme oproep", "privénummer", "anonymer anruf"}
)  # fmt: skip
_HIDES_IDENTITY = frozenset({"id", "user", "header"})
_CAUSE = re.compile(r"(?:^|;)\s*cause\s*=\s*([0-9]{3})\b", re.IGNORECASE)

Source = Literal["from", "p-asserted-identity", "remote-party-id", "to", "request-uri"]


@dataclass(frozen=True, slots=True)
class Identity:
    """One party as one header shows it. `number` is NO_NUMBER for a name; `aor` is the URI without parameters."""

    source: Source
    aor: str
    name: str = ""
    number: Number = NO_NUMBER


@dataclass(frozen=True, slots=True)
class Diversion:
    """Somebody who forwarded the call. `reason` as in RFC 5806 (`user-busy`, `no-answer`, `unconditional`...) or empty."""

    aor: str
    number: Number
    name: str = ""
    reason: str = ""
    hidden: bool = False
    """The forwarder asked not to be shown."""
    count: int = 1
    """How many forwardings this entry stands for."""


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """The parties of a request."""

    caller: Identity
    """Whom to believe: the asserted identity of a trusted peer, else From."""
    presented: Identity
    """From, what the called party would see."""
    called: Identity
    """The Request-URI where it names a user, else To."""
    anonymous: bool
    """The caller asked not to be shown; `caller` may still be known."""
    diversions: tuple[Diversion, ...] = ()
    """Who forwarded the call, the first one first."""

    @property
    def first_called(self) -> Number:
        """The number that was called before anybody forwarded."""
        return self.diversions[0].number if self.diversions else self.called.number

    @property
    def diversion_count(self) -> int:
        """How often the call was forwarded, for the loop check."""
        return sum(diversion.count for diversion in self.diversions)


def number_of(uri: Uri, region: str | None = None) -> Number:
    """The number of a `tel:` or `sip:` URI, its `phone-context` applied (RFC 3966 5.1.5, RFC 3261 19.1.6)."""
    if isinstance(uri, TelUri):
        return _with_context(uri.number, uri.phone_context, region)
    if isinstance(uri, SipUri) and uri.user:
        digits, _, rest = uri.user.partition(";")
        params = parse_parameters(";" + rest) if rest else ()
        return _with_context(
            digits, find_parameter(params or (), "phone-context") or uri.param("phone-context"), region
        )
    return NO_NUMBER


def _with_context(digits: str, context: str | None, region: str | None) -> Number:
    if context and context[:1] == "+" and digits[:1] != "+":
        joined = normalise(context + digits, region)
        # A local number that is a short code of its own (112;phone-context=+32) is classified before it is made E.164.
        alone = normalise(digits, region)
        return joined if joined.e164 is not None and alone.kind.value != "emergency" else alone
    return normalise(digits, region)


def aor_of(uri: Uri) -> str:
    """The URI without parameters, headers, password and port: what names a party."""
    if isinstance(uri, SipUri):
        return str(SipUri(uri.host.lower(), uri.user, scheme=uri.scheme, raw_user=uri.raw_user))
    return f"tel:{uri.user}" if isinstance(uri, TelUri) else str(uri)


def identity_of(address: NameAddr, source: Source, region: str | None = None) -> Identity:
    """The identity that one address shows."""
    return Identity(source, aor_of(address.uri), address.display_name, number_of(address.uri, region))


def is_anonymous(address: NameAddr) -> bool:
    """True for the anonymous URI of RFC 3323 4.1.1.3 and the spellings of the field, in user, host or display name."""
    uri = address.uri
    if isinstance(uri, SipUri) and uri.host.lower() in _ANONYMOUS_HOSTS:
        return True
    user = (uri.user or "").lower()
    return user in _ANONYMOUS_USERS or address.display_name.strip().casefold() in _ANONYMOUS_NAMES


def call_identity(request: Request, region: str | None = None, *, trusted: bool = False) -> CallIdentity:
    """The parties of a request. `trusted`: the peer is ours or a carrier's, so that its asserted identity counts (RFC 3325 4)."""
    presented = identity_of(request.from_, "from", region)
    anonymous = is_anonymous(request.from_)
    privacy = {item.strip().lower() for value in request.headers.get_lines("Privacy") for item in value.split(";")}
    anonymous = anonymous or bool(privacy & _HIDES_IDENTITY)
    caller = presented
    if trusted:
        asserted = request.addresses("P-Asserted-Identity")
        remote = _remote_party(request)
        if asserted:
            caller = _best(tuple(identity_of(address, "p-asserted-identity", region) for address in asserted[:8]))
        elif remote is not None:
            caller = identity_of(remote, "remote-party-id", region)
        if remote is not None and (remote.param("privacy") or "").lower() not in ("", "off", "none"):
            anonymous = True
    called = Identity("request-uri", aor_of(request.uri), "", number_of(request.uri, region))
    if not request.uri.user:
        called = identity_of(request.to, "to", region)
    return CallIdentity(caller, presented, called, anonymous, diversions_of(request, region))


def _best(identities: tuple[Identity, ...]) -> Identity:
    """Of a `sip:` and a `tel:` identity (RFC 3325 9.1 allows both) the one with a number, with the other's name where it has none."""
    first = next((identity for identity in identities if identity.number.digits), identities[0])
    if first.name:
        return first
    name = next((identity.name for identity in identities if identity.name), "")
    return Identity(first.source, first.aor, name, first.number)


def _remote_party(request: Request) -> NameAddr | None:
    for address in request.addresses("Remote-Party-ID"):
        if (address.param("party") or "calling").lower() == "calling":
            return address
    return None


def diversions_of(request: Request, region: str | None = None) -> tuple[Diversion, ...]:
    """Who forwarded the call, the first one first; of Diversion and History-Info the one that tells more (RFC 7544)."""
    diverted = _from_diversion(request, region)
    history = _from_history(request, region)
    return history if len(history) > len(diverted) else diverted


def _from_diversion(request: Request, region: str | None) -> tuple[Diversion, ...]:
    # RFC 5806 3: the latest forwarder is on top.
    return tuple(
        Diversion(
            aor_of(address.uri),
            number_of(address.uri, region),
            address.display_name,
            (address.param("reason") or "").lower(),
            (address.param("privacy") or "off").lower() not in ("off", "none", ""),
            max(1, parse_number(address.param("counter") or "", 100) or 1),
        )
        for address in reversed(request.addresses("Diversion")[:MAX_DIVERSIONS])
    )


_REASON_OF_CAUSE = {
    302: "unconditional",
    404: "unknown",
    408: "no-answer",
    480: "deflection",
    486: "user-busy",
    487: "deflection",
    503: "unavailable",
}
"""RFC 7544 7: cause of RFC 4458 to reason of RFC 5806."""


def _from_history(request: Request, region: str | None) -> tuple[Diversion, ...]:
    """Every target but the last one forwarded the call; the next entry's `cause` says why (RFC 7044 10, RFC 4458 2)."""
    entries = sorted(request.addresses("History-Info")[:MAX_DIVERSIONS], key=_index)
    found: list[Diversion] = []
    for entry, following in pairwise(entries):
        headers = unescape(entry.uri.headers) if isinstance(entry.uri, SipUri) else ""
        cause = parse_number(following.uri.param("cause") or "", 699)
        if cause is None:
            in_reason = _CAUSE.search(headers)
            cause = int(in_reason.group(1)) if in_reason is not None else None
        if cause is None and entry.uri.user == following.uri.user:
            continue  # retargeted to a contact of the same user, not forwarded
        hidden = "privacy=" in headers.lower() and "privacy=none" not in headers.lower()
        reason = "" if cause is None else _REASON_OF_CAUSE.get(cause, "unknown")
        found.append(Diversion(aor_of(entry.uri), number_of(entry.uri, region), entry.display_name, reason, hidden))
    return tuple(found)


def _index(address: NameAddr) -> tuple[int, ...]:
    return tuple(parse_number(part, 9_999) or 0 for part in (address.param("index") or "0").split(".")[:MAX_DIVERSIONS])
