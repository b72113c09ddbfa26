"""XML from strangers (S19): bounded, without DTD, entities or network, in whatever charset it comes.

The text is decoded here, checked for a document type and for its size, and only then given to libxml2 as UTF-8: what a charset trick could
hide from the check, the parser cannot see either.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from lxml import etree

from callward.siprec.oddity import Oddity
from callward.siprec.plain_text import clean

MAX_BYTES = 1024 * 1024
"""A snapshot of a call with 100 participants is about 60 kB."""
MAX_ELEMENTS = 20_000
MAX_DEPTH = 32
"""Documents of the field are 8 deep."""
MAX_ATTRIBUTES = 128
"""Per element. libxml2 compares each with each: 80,000 in one element cost it 30 s."""
_MAX_USUAL_NAME = 100
"""Characters up to which names are looked up instead of taken apart again: what is remembered of strangers stays small."""

_DECLARATION = re.compile(r"<\?xml\b[^>]{0,500}\?>", re.I)
_DOCUMENT_TYPE = re.compile(r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.I)
_ATTRIBUTE = re.compile(r"=\s*[\"']")
_DECLARED_CHARSET = re.compile(rb"<\?xml\b[^>]{0,500}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']", re.I)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TEXT_CODECS = frozenset(
    {
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-32-le",
        "utf-32-be",
        "ascii",
        "cp1252",
        "gb18030",
        "gbk",
        "big5",
    }
    | {"shift_jis", "euc_jp", "euc_kr", "koi8-r", *(f"iso8859-{n}" for n in range(1, 17))}
    | {f"cp125{n}" for n in range(9)}
)
"""By Python's name. Others (UTF-7, base64, zlib ...) are transformations, not charsets of XML."""


class Node(NamedTuple):
    """An element. `name` is its local name; white space around `text` is gone. A named tuple, as a document makes dozens at once."""

    name: str
    plain: str
    """The name in the form in which names are compared: see `plain_name`."""
    namespace: str
    prefix: str
    attributes: tuple[tuple[str, str], ...]
    """Local name and value, in order."""
    values: Mapping[str, str]
    """Attributes by plain name; of several with one plain name the first."""
    text: str
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class XmlReading:
    root: Node | None
    oddities: tuple[Oddity, ...] = ()


def read_xml(body: bytes, charset: str = "") -> XmlReading:
    """Reads a document. `charset` is the one of the MIME type, which wins over the XML declaration; UTF-8 is always tried. Never raises."""
    if len(body) > MAX_BYTES:
        return _refused("metadata_too_large", f"the document has {len(body)} bytes, more than {MAX_BYTES}")
    text, oddities = _decode(body, charset)
    if text is None:
        return XmlReading(None, oddities)
    if "<!" in text and _DOCUMENT_TYPE.search(text):
        return _refused(
            "metadata_doctype", "the document has a document type declaration, which is never read", oddities
        )
    if text.count("<") > 2 * MAX_ELEMENTS:
        return _refused("metadata_too_large", f"the document has more than {MAX_ELEMENTS} elements", oddities)
    if text.count("=") > MAX_ATTRIBUTES and any(
        tag.count("=") > MAX_ATTRIBUTES and len(_ATTRIBUTE.findall(tag)) > MAX_ATTRIBUTES for tag in text.split("<")
    ):
        return _refused("metadata_too_large", f"an element has more than {MAX_ATTRIBUTES} attributes", oddities)
    if "<?" in text:
        text = _DECLARATION.sub("", text, count=1)
    text = text.strip("\ufeff\x00 \t\r\n")
    if not text:
        return _refused("metadata_empty", "the document is empty", oddities)
    data = text.encode("utf-8", "replace")
    try:
        root = etree.fromstring(data, _parser(recover=False))
    except (etree.XMLSyntaxError, ValueError) as error:
        oddities += (Oddity("metadata_malformed", clean(f"the XML is not well formed: {error}")),)
        root = _recover(data)
    if root is None:
        return XmlReading(None, oddities)
    try:
        return XmlReading(_node(root, root.tag if isinstance(root.tag, str) else "", 1), oddities)
    except _TooDeepError:
        return _refused("metadata_too_deep", f"elements are nested more than {MAX_DEPTH} deep", oddities)


class _TooDeepError(Exception):
    """Elements are nested deeper than `MAX_DEPTH`."""


def _refused(code: str, detail: str, before: tuple[Oddity, ...] = ()) -> XmlReading:
    return XmlReading(None, (*before, Oddity(code, detail)))


def _parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        recover=recover,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _recover(data: bytes) -> etree._Element | None:
    """What can be saved of a broken document: cut off, an undeclared prefix, a bare ampersand."""
    try:
        return etree.fromstring(data, _parser(recover=True))
    except (etree.XMLSyntaxError, ValueError):
        return None


def _decode(body: bytes, charset: str) -> tuple[str | None, tuple[Oddity, ...]]:
    oddities: list[Oddity] = []
    for candidate in _charsets(body, charset):
        try:
            name = codecs.lookup(candidate).name
        except LookupError:
            name = ""
        if name not in _TEXT_CODECS:
            oddities.append(Oddity("metadata_charset", f"the charset {clean(candidate, 40)!r} is not known"))
            continue
        if name.startswith(("utf-16", "utf-32")) and b"\x00" not in body[:4]:
            oddities.append(Oddity("metadata_charset", f"the document is said to be {name}, but is not"))
            continue
        try:
            return body.decode(name), tuple(oddities)
        except (UnicodeDecodeError, ValueError):
            oddities.append(Oddity("metadata_charset", f"the document is not valid {name}"))
    if b"\x00" in body[:256]:  # some UTF-16 or UTF-32 without a mark
        return None, (*oddities, Oddity("metadata_charset", "the charset of the document cannot be found"))
    # The names of elements are ASCII in every charset left: only the names of people may come out wrong.
    return body.decode("iso8859-1"), tuple(oddities)


def _charsets(body: bytes, charset: str) -> list[str]:
    candidates = [charset.strip().strip("\"'")] if charset.strip() else []
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            # A mark is proof, whatever the labels say.
            return [codec, *candidates]
    if declared := _DECLARED_CHARSET.search(body[:600]):
        candidates.append(declared[1].decode("ascii"))
    if body[:4] == b"<\x00?\x00":
        candidates.append("utf-16-le")
    elif body[:4] == b"\x00<\x00?":
        candidates.append("utf-16-be")
    if "utf-8" not in (candidate.lower() for candidate in candidates):
        candidates.append("utf-8")
    return candidates


def plain_name(name: str) -> str:
    """The form in which names of elements and attributes are compared: without case, `-` and `_`."""
    return _usual_plain_name(name) if len(name) <= _MAX_USUAL_NAME else _plain_name(name)


def _plain_name(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


_usual_plain_name = lru_cache(maxsize=1024)(_plain_name)


def _node(element: etree._Element, tag: str, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise _TooDeepError
    name, plain, namespace, prefix = _usual_names(tag) if len(tag) <= _MAX_USUAL_NAME else _names(tag)
    text = element.text or ""
    children: list[Node] = []
    if len(element):
        for child in element:
            child_tag = child.tag
            if isinstance(child_tag, str):  # not what stands for a reference to an entity
                children.append(_node(child, child_tag, depth + 1))
            if tail := child.tail:
                text += tail
    attributes: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, str] = _NO_VALUES
    if items := element.items():
        named = [(_attribute_names(key), str(value)) for key, value in items]
        attributes = tuple([(names[0], value) for names, value in named])
        values = {names[1]: value for names, value in reversed(named)}
    prefix = prefix or element.prefix or ""
    return _make(Node, (name, plain, namespace, prefix, attributes, values, text.strip(), tuple(children)))


_NO_VALUES: Mapping[str, str] = MappingProxyType({})


_make = tuple.__new__
"""As `Node(...)`, in a third of the time."""


def _names(tag: str) -> tuple[str, str, str, str]:
    """Local name, plain name, namespace, and the prefix when it was not declared (then a recovering parser leaves it in the name)."""
    namespace, _, name = tag.rpartition("}")
    prefix, colon, rest = name.partition(":")
    if colon:
        name = rest
    else:
        prefix = ""
    return name, plain_name(name), namespace.lstrip("{"), prefix


_usual_names = lru_cache(maxsize=1024)(_names)


def _attribute_names(key: str | bytes) -> tuple[str, str]:
    """Local and plain name of an attribute."""
    return _usual_attribute_names(key) if len(key) <= _MAX_USUAL_NAME else _read_attribute_names(key)


def _read_attribute_names(key: str | bytes) -> tuple[str, str]:
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
    local = text.rpartition("}")[2].rpartition(":")[2]
    return local, plain_name(local)


_usual_attribute_names = lru_cache(maxsize=1024)(_read_attribute_names)
