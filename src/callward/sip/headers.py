"""`Headers`: the ordered, case-insensitive multi-map of a message's header fields (RFC 3261 7.3).

Names are normalised when they come in: compact forms are expanded, known names get their usual spelling, spaces before the colon
are gone, and a name must be an ASCII token. So `X-Internal :`, `x-internal` and a look-alike in other letters can neither hide
from `remove` nor pass for the real one. Values are text: UTF-8, and Latin-1 for a line that is not UTF-8; a value never holds a
line end, and never a surrogate, so it can be stored and sent as it is. The octets as they came are in the message's `raw`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callward.sip.grammar import split_list

_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""RFC 3261 20 and the IANA registry of header fields."""

_KNOWN = """
Accept Accept-Contact Accept-Encoding Accept-Language Accept-Resource-Priority Alert-Info Allow Allow-Events Answer-Mode
Authentication-Info Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-ID Content-Language
Content-Length Content-Transfer-Encoding Content-Type CSeq Date Diversion Error-Info Event Expires Feature-Caps Flow-Timer From
Geolocation History-Info Identity Identity-Info In-Reply-To Info-Package Join Max-Breadth Max-Forwards MIME-Version Min-Expires
Min-SE Organization P-Access-Network-Info P-Asserted-Identity P-Asserted-Service P-Called-Party-ID P-Charging-Function-Addresses
P-Charging-Vector P-Early-Media P-Preferred-Identity P-Visited-Network-ID Path Permission-Missing Priority Privacy
Proxy-Authenticate Proxy-Authentication-Info Proxy-Authorization Proxy-Require RAck Reason Record-Route Recv-Info Refer-Sub
Refer-To Referred-By Reject-Contact Remote-Party-ID Replaces Reply-To Request-Disposition Require Resource-Priority Retry-After
Route RSeq Security-Client Security-Server Security-Verify Server Service-Route Session-Expires Session-ID SIP-ETag SIP-If-Match
Subject Subscription-State Suppress-If-Match Supported Target-Dialog Timestamp To Trigger-Consent Unsupported User-Agent
User-to-User Via Warning WWW-Authenticate
""".split()

_LISTS = frozenset(
    name.lower()
    for name in """
    Accept Accept-Contact Accept-Encoding Accept-Language Accept-Resource-Priority Alert-Info Allow Allow-Events Call-Info Contact
    Content-Encoding Content-Language Diversion Error-Info Feature-Caps Geolocation History-Info In-Reply-To P-Access-Network-Info
    P-Asserted-Identity P-Early-Media P-Preferred-Identity P-Visited-Network-ID Path Permission-Missing Proxy-Require Reason
    Record-Route Recv-Info Reject-Contact Remote-Party-ID Request-Disposition Require Resource-Priority Route Security-Client
    Security-Server Security-Verify Service-Route Supported Trigger-Consent Unsupported User-to-User Via Warning
    """.split()
)
"""Header fields whose grammar is a comma list, in lower case; of all others a comma is part of the value."""

_CANONICAL: dict[str, str] = {}
for _name in _KNOWN:
    _CANONICAL[_name] = _CANONICAL[_name.lower()] = _name
for _short, _name in _COMPACT.items():
    _CANONICAL[_short] = _CANONICAL[_short.upper()] = _name

_KEYS: dict[str, str] = {spelling: name.lower() for spelling, name in _CANONICAL.items()}

_LINE_ENDS = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


def canonical_name(name: str) -> str:
    """The usual spelling of a header name; compact forms are expanded, unknown names stay as written (spaces around them gone)."""
    found = _CANONICAL.get(name)
    if found is not None:
        return found
    name = name.strip(" \t")
    return _CANONICAL.get(name) or _CANONICAL.get(name.lower()) or name


def key_of(name: str) -> str:
    """The key under which a name is compared: lower case, compact forms expanded."""
    return _KEYS.get(name) or canonical_name(name).lower()


def is_list(name: str) -> bool:
    """True when the header field's grammar is a comma list (RFC 3261 7.3.1)."""
    return key_of(name) in _LISTS


class Headers:
    """Ordered multi-map. Names are compared without case; a compact name means its long form."""

    __slots__ = ("_index", "_items", "version")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[tuple[str, str, str]] = []
        self._index: dict[str, list[str]] | None = None
        self.version = 0
        """Grows with every change; caches of typed values compare it."""
        for name, value in items:
            self.add(name, value)

    @classmethod
    def of_normalised(cls, items: list[tuple[str, str, str]]) -> Headers:
        """Takes over `(key, name, value)` triples that a parser has already normalised."""
        headers = cls()
        headers._items = items
        return headers

    def _by_key(self) -> dict[str, list[str]]:
        index = self._index
        if index is None:
            index = {}
            for key, _, value in self._items:
                if key in index:
                    index[key].append(value)
                else:
                    index[key] = [value]
            self._index = index
        return index

    def _changed(self) -> None:
        self._index = None
        self.version += 1

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value as it came (a comma list is not split), or `default`."""
        values = (self._index or self._by_key()).get(_KEYS.get(name) or key_of(name))
        return values[0] if values else default

    def get_lines(self, name: str) -> list[str]:
        """All values, one a header line, not split."""
        return list((self._index or self._by_key()).get(_KEYS.get(name) or key_of(name), ()))

    def get_all(self, name: str) -> list[str]:
        """All values in order; comma lists are split for header fields whose grammar is a list, and only for those."""
        key = _KEYS.get(name) or key_of(name)
        values = (self._index or self._by_key()).get(key)
        if not values:
            return []
        if key not in _LISTS:
            return list(values)
        if len(values) == 1:
            return split_list(values[0])
        return [element for value in values for element in split_list(value)]

    def count(self, name: str) -> int:
        """How many header lines of that name there are."""
        return len((self._index or self._by_key()).get(_KEYS.get(name) or key_of(name), ()))

    def add(self, name: str, value: object) -> None:
        """Appends a header line. Line ends in the value become spaces: no header can be injected."""
        name = canonical_name(name)
        self._items.append((_KEYS.get(name) or name.lower(), name, str(value).translate(_LINE_ENDS)))
        self._changed()

    def set(self, name: str, value: object) -> None:
        """Replaces all lines of that name by one, in the place of the first; appends when there was none."""
        name = canonical_name(name)
        key = _KEYS.get(name) or name.lower()
        item = (key, name, str(value).translate(_LINE_ENDS))
        for position, old in enumerate(self._items):
            if old[0] == key:
                self._items[position] = item
                self._items[position + 1 :] = [old for old in self._items[position + 1 :] if old[0] != key]
                break
        else:
            self._items.append(item)
        self._changed()

    def remove(self, name: str) -> None:
        """Removes all lines of that name."""
        key = key_of(name)
        self._items = [item for item in self._items if item[0] != key]
        self._changed()

    def prepend(self, name: str, value: object) -> None:
        """Puts a line before the first of that name (a new top Via, Route or Record-Route); first of all when there is none."""
        name = canonical_name(name)
        key = _KEYS.get(name) or name.lower()
        position = next((at for at, item in enumerate(self._items) if item[0] == key), 0)
        self._items.insert(position, (key, name, str(value).translate(_LINE_ENDS)))
        self._changed()

    def remove_first(self, name: str) -> None:
        """Removes the first element of that name: of a list header its first list element (a popped Via or Route)."""
        key = key_of(name)
        for position, (item_key, item_name, value) in enumerate(self._items):
            if item_key == key:
                rest = split_list(value)[1:] if key in _LISTS else []
                if rest:
                    self._items[position] = (item_key, item_name, ", ".join(rest))
                else:
                    del self._items[position]
                self._changed()
                return

    def copy(self) -> Headers:
        return Headers.of_normalised(list(self._items))

    def names(self) -> list[str]:
        """Every name once, in the order of first appearance."""
        return list(dict.fromkeys(name for _, name, _ in self._items))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and key_of(name) in (self._index or self._by_key())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for _, name, value in self._items:
            yield name, value

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        mine = [(key, value) for key, _, value in self._items]
        return mine == [(key, value) for key, _, value in other._items]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"

    def to_text(self) -> str:
        """The lines as sent, each with its CRLF."""
        return "".join([f"{name}: {value}\r\n" for _, name, value in self._items])
