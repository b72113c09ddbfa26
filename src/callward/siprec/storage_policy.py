"""Which metadata is stored (RFC 7865 section 10: no more than policy requires; S41).

What a policy drops or masks is gone before anything is stored: from the model and from the raw document. A document that cannot be read
cannot be filtered, so a policy that drops or masks anything keeps nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from callward.siprec.observation import Observation, RawPart
from callward.siprec.oddity import Oddity, join_oddities
from callward.siprec.reading import read_metadata
from callward.siprec.untrusted_xml import Node, plain_name, read_xml

MASK = "***"

_TIES = frozenset(
    {
        "@id",
        "@groupid",
        "@sessionid",
        "@participantid",
        "@streamid",
        "@session",
        "@participant",
        "@parent",
        "send",
        "recv",
    }
)
"""What ties a document together; without it nobody could tell who is heard."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """Names are compared without case, prefix, `-` and `_`: `name`, `participant/nameID`, `apkt:ucid`, `nameID/@aor`.

    A name with `/` matches the end of the path from the root; `@` stands before the name of an attribute. Dropping an element drops what is
    in it. Ids and associations cannot be dropped or masked by themselves.
    """

    drop: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()

    @classmethod
    def of(cls, drop: Iterable[str] = (), mask: Iterable[str] = ()) -> StoragePolicy:
        return cls(tuple(drop), tuple(mask))

    @property
    def stores_all(self) -> bool:
        return not self.drop and not self.mask


STORE_ALL = StoragePolicy()


def apply_policy(observation: Observation, policy: StoragePolicy) -> Observation:
    """The observation without what may not be stored."""
    if policy.stores_all or not observation.raw_metadata:
        return observation
    rules = _Rules(_paths(policy.drop), _paths(policy.mask))
    raw, metadata, oddities = [], [], []
    for part in observation.raw_metadata:
        root = read_xml(part.body, _charset(part.content_type)).root
        if root is None:
            raw.append(replace(part, body=b""))
            oddities.append(Oddity("metadata_not_stored", "a document that cannot be read was not kept, by policy"))
            continue
        try:
            body = _print(rules.filtered(root, ()))
        except ValueError:  # a name that only a recovering parser lets through
            body = b""
        raw.append(RawPart("application/rs-metadata+xml", body, part.disposition))
        if (reading := read_metadata(body)).metadata is not None:
            metadata.append(reading.metadata)
    return replace(
        observation,
        metadata=tuple(metadata),
        raw_metadata=tuple(raw),
        oddities=join_oddities(observation.oddities, oddities),
    )


@dataclass(frozen=True, slots=True)
class _Rules:
    drop: frozenset[Path]
    mask: frozenset[Path]

    def filtered(self, node: Node, above: Path) -> Node:
        here = (*above, plain_name(node.name))
        attributes = tuple(
            (name, MASK if _matches(path, self.mask) else value)
            for name, value in node.attributes
            if not _matches(path := (*here, "@" + plain_name(name)), self.drop)
        )
        children = tuple(
            self.filtered(child, here)
            for child in node.children
            if not _matches((*here, plain_name(child.name)), self.drop)
        )
        text = MASK if node.text and _matches(here, self.mask) else node.text
        values = {plain_name(name): value for name, value in reversed(attributes)}
        return node._replace(attributes=attributes, values=values, children=children, text=text)


def _matches(path: Path, rules: frozenset[Path]) -> bool:
    return path[-1] not in _TIES and any(path[-length:] in rules for length in range(1, len(path) + 1))


def _paths(names: Iterable[str]) -> frozenset[Path]:
    return frozenset(path for name in names if (path := tuple(_step(step) for step in name.split("/") if step)))


def _step(text: str) -> str:
    mark = "@" if text.startswith("@") else ""
    return mark + plain_name(text.lstrip("@").rpartition(":")[2])


def _charset(content_type: str) -> str:
    _, _, rest = content_type.partition("charset=")
    return rest.partition(";")[0].strip("\"' ")


def _print(node: Node) -> bytes:
    return etree.tostring(_element(node, None), encoding="UTF-8", xml_declaration=True)


def _element(node: Node, parent: etree._Element | None) -> etree._Element:
    tag = f"{{{node.namespace}}}{node.name}" if node.namespace else node.name
    prefixes: Any = {node.prefix or None: node.namespace} if node.namespace else None
    element = etree.Element(tag, nsmap=prefixes) if parent is None else etree.SubElement(parent, tag, nsmap=prefixes)
    element.text = node.text or None
    for name, value in node.attributes:
        element.set(name, value)
    for child in node.children:
        _element(child, element)
    return element
