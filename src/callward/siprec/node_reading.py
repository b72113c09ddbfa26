"""Finding things in a document whatever their spelling: without case, `-` and `_`, in any recording namespace."""

from __future__ import annotations

from callward.siprec.plain_text import clean
from callward.siprec.untrusted_xml import Node

RECORDING_NAMESPACES = ("urn:ietf:params:xml:ns:recording", "urn:ietf:params:xml:ns:siprec")
"""With or without `:1` (RFC 7865 has it; Oracle, Ribbon and AudioCodes leave it out), and the one of BroadWorks."""


def is_recording_namespace(namespace: str) -> bool:
    return namespace.lower().startswith(RECORDING_NAMESPACES)


def attribute(node: Node, *names: str) -> str:
    """The first attribute of these plain names that is not empty; earlier names win."""
    if values := node.values:
        for name in names:
            if name in values and (text := clean(values[name])):
                return text
    return ""


class Spelling:
    """Which elements of one document belong to RFC 7865, by its root."""

    def __init__(self, root: Node) -> None:
        self._namespace = root.namespace
        self._prefix = root.prefix

    def is_ours(self, node: Node) -> bool:
        if namespace := node.namespace:
            return namespace == self._namespace or is_recording_namespace(namespace)
        return node.prefix in ("", self._prefix)

    def children(self, node: Node, *names: str) -> list[Node]:
        """Our children of these plain names."""
        return [child for child in node.children if child.plain in names and self.is_ours(child)]

    def text(self, node: Node, *names: str) -> str:
        """Text of the first such child that has any."""
        for child in node.children:
            if child.plain in names and self.is_ours(child) and (text := clean(child.text)):
                return text
        return ""

    def texts(self, node: Node, *names: str, limit: int = 16) -> tuple[str, ...]:
        found = dict.fromkeys([text for child in self.children(node, *names) if (text := clean(child.text))])
        return tuple(found)[:limit]
