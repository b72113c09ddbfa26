"""`Headers`: the ordered, case-insensitive multi-map of a message's header fields (RFC 3261 7.3).

Names are normalised when they come in: compact forms are expanded, known names get their usual spelling, spaces before the colon
are gone, and a name must be an ASCII token. So `X-Internal :`, `x-internal` and a look-alike in other letters can neither hide
from `remove` nor pass for the real one. Values are text: UTF-8, and Latin-1 for a line that is not UTF-8; a value never holds a
line end, and never a surrogate, so it can be stored and sent as it is. The octets as they came are in the message's `raw`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callward.sip.grammar import split_list
from callward.sip.header_names import KEYS, LIST_KEYS, canonical_name, key_of

_LINE_ENDS = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


def _one_line(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else text.translate(_LINE_ENDS)


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
        headers = cls.__new__(cls)
        headers._items = items
        headers._index = None
        headers.version = 0
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
        values = (self._index or self._by_key()).get(KEYS.get(name) or key_of(name))
        return values[0] if values else default

    def get_lines(self, name: str) -> list[str]:
        """All values, one a header line, not split."""
        return list((self._index or self._by_key()).get(KEYS.get(name) or key_of(name), ()))

    def get_all(self, name: str) -> list[str]:
        """All values in order; comma lists are split for header fields whose grammar is a list, and only for those."""
        key = KEYS.get(name) or key_of(name)
        values = (self._index or self._by_key()).get(key)
        if not values:
            return []
        if key not in LIST_KEYS:
            return list(values)
        if len(values) == 1:
            return split_list(values[0])
        return [element for value in values for element in split_list(value)]

    def count(self, name: str) -> int:
        """How many header lines of that name there are."""
        return len((self._index or self._by_key()).get(KEYS.get(name) or key_of(name), ()))

    def add(self, name: str, value: object) -> None:
        """Appends a header line. Line ends in the value become spaces: no header can be injected."""
        name = canonical_name(name)
        self._items.append((KEYS.get(name) or name.lower(), name, _one_line(value)))
        self._changed()

    def set(self, name: str, value: object) -> None:
        """Replaces all lines of that name by one, in the place of the first; appends when there was none."""
        name = canonical_name(name)
        key = KEYS.get(name) or name.lower()
        item = (key, name, _one_line(value))
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
        key = KEYS.get(name) or name.lower()
        position = next((at for at, item in enumerate(self._items) if item[0] == key), 0)
        self._items.insert(position, (key, name, _one_line(value)))
        self._changed()

    def remove_first(self, name: str) -> None:
        """Removes the first element of that name: of a list header its first list element (a popped Via or Route)."""
        key = key_of(name)
        for position, (item_key, item_name, value) in enumerate(self._items):
            if item_key == key:
                rest = split_list(value)[1:] if key in LIST_KEYS else []
                if rest:
                    self._items[position] = (item_key, item_name, ", ".join(rest))
                else:
                    del self._items[position]
                self._changed()
                return

    def copy(self) -> Headers:
        return Headers.of_normalised(list(self._items))

    def take(self, source: Headers, names: Iterable[str]) -> None:
        """Appends every line of those names from other headers, as they are and in their order there."""
        keys = {key_of(name) for name in names}
        self._items += [item for item in source._items if item[0] in keys]
        self._changed()

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
