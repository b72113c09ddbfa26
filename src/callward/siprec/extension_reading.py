"""Elements that RFC 7865 does not define: kept, bounded, and put where they belong (S20)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import Extension, Group, Metadata, Participant, Session, Stream
from callward.siprec.plain_text import MAX_TEXT_CHARACTERS, clean
from callward.siprec.untrusted_xml import Node

MAX_EXTENSION_CHARACTERS = 64 * 1024
"""Names, texts and attributes of one document's extensions. The raw document keeps what goes beyond."""
MAX_EXTENSION_ELEMENTS = 2000

_Level = TypeVar("_Level", Group, Session, Participant, Stream)


class ExtensionBudget:
    """Reads extension elements until the document's share is spent."""

    def __init__(self) -> None:
        self._characters = MAX_EXTENSION_CHARACTERS
        self._elements = MAX_EXTENSION_ELEMENTS

    @property
    def exhausted(self) -> bool:
        return self._characters <= 0 or self._elements <= 0

    def read(self, nodes: Iterable[Node]) -> tuple[Extension, ...]:
        """These elements with all that is in them."""
        return tuple(extension for node in nodes if (extension := self._read(node)) is not None)

    def _read(self, node: Node) -> Extension | None:
        if self.exhausted:
            return None
        name, prefix, text = clean(node.name), clean(node.prefix, 60), clean(node.text, MAX_TEXT_CHARACTERS)
        attributes = {clean(key, 100): clean(value, MAX_TEXT_CHARACTERS) for key, value in node.attributes}
        self._elements -= 1
        self._characters -= len(name) + len(text) + sum(len(key) + len(value) for key, value in attributes.items())
        return Extension(name, prefix, clean(node.namespace), text, attributes, self.read(node.children))


def attach_by_parent(metadata: Metadata) -> Metadata:
    """Moves `<extensiondata parent="id">` of the recording level to the element it names (the form before the RFC: Oracle, BroadWorks)."""
    if not metadata.extensions:
        return metadata
    by_parent: dict[str, list[Extension]] = {}
    own: list[Extension] = []
    known = {
        identity_key(element.id)
        for level in (metadata.groups, metadata.sessions, metadata.participants, metadata.streams)
        for element in level
    }
    for extension in metadata.extensions:
        parent = identity_key(extension.attributes.get("parent", ""))
        if parent in known:
            by_parent.setdefault(parent, []).append(extension)
        else:
            own.append(extension)
    if not by_parent:
        return metadata
    return replace(
        metadata,
        extensions=tuple(own),
        groups=_attach(metadata.groups, by_parent),
        sessions=_attach(metadata.sessions, by_parent),
        participants=_attach(metadata.participants, by_parent),
        streams=_attach(metadata.streams, by_parent),
    )


def _attach(elements: tuple[_Level, ...], by_parent: dict[str, list[Extension]]) -> tuple[_Level, ...]:
    def attach(element: _Level) -> _Level:
        more: list[Extension] = by_parent.pop(identity_key(element.id), [])
        return replace(element, extensions=(*element.extensions, *more)) if more else element

    return tuple(attach(element) for element in elements)


def as_tree(extensions: Iterable[Extension]) -> dict[str, Any]:
    """Plain data for the archive and for JSON: qualified name -> text, tree, or a list where a name comes more than once.

    Wrappers that only hold others (`extensiondata`, `broadWorksRecordingMetadata` ...) are left out. Attributes have an `@` before
    the name.
    """
    tree: dict[str, Any] = {}
    for extension in extensions:
        if _is_wrapper(extension):
            for key, value in as_tree(extension.children).items():
                put(tree, key, value)
            if version := extension.attributes.get("schemaVersion"):
                put(tree, "@schemaVersion", version)
        else:
            put(tree, extension.qualified_name, _value(extension))
    return tree


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Adds a value; the same value is not repeated, a second one makes a list."""
    if key not in tree:
        tree[key] = value
    elif tree[key] != value:
        there = tree[key] if isinstance(tree[key], list) else [tree[key]]
        if value not in there:
            tree[key] = [*there, value]


def find_all(extensions: Iterable[Extension], *names: str) -> list[Extension]:
    """Extension elements of these local names at any depth, compared without case, in document order."""
    wanted = {name.lower() for name in names}
    found: list[Extension] = []
    stack = list(extensions)[::-1]
    while stack:
        extension = stack.pop()
        if extension.name.lower() in wanted:
            found.append(extension)
        stack.extend(reversed(extension.children))
    return found


def find_text(extensions: Iterable[Extension], *names: str) -> str:
    """Text of the first of these elements that has any; else the first attribute of such a name, at any depth."""
    return next((found.text for found in find_all(extensions, *names) if found.text), "") or _attribute(
        extensions, names
    )


def _attribute(extensions: Iterable[Extension], names: tuple[str, ...]) -> str:
    wanted = {name.lower() for name in names}
    stack = list(extensions)[::-1]
    while stack:
        extension = stack.pop()
        for name, value in extension.attributes.items():
            if name.lower() in wanted and value:
                return value
        stack.extend(reversed(extension.children))
    return ""


def _is_wrapper(extension: Extension) -> bool:
    name = extension.name.lower()
    return name in ("extensiondata", "extension") or name.endswith("recordingmetadata")


def _value(extension: Extension) -> Any:
    tree: dict[str, Any] = {
        f"@{key}": value for key, value in extension.attributes.items() if key not in ("id", "parent")
    }
    for key, value in as_tree(extension.children).items():
        put(tree, key, value)
    if not tree:
        return extension.text
    if extension.text:
        tree["text"] = extension.text
    return tree
