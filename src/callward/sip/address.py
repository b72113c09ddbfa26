"""The name-addr of From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity and their kin (RFC 3261 20.10, 25.1).

Liberal where RFC 4475 3.1.2.14 and 3.1.2.15 allow it: an unquoted display name of any characters and spaces next to the brackets
are accepted, and printed as they should have been. Refused: an unterminated quote, a URI with parameters and `?` outside brackets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from callward.sip.grammar import (
    Parameters,
    end_of_quoted,
    find_parameter,
    parse_parameters,
    print_parameters,
    quote,
    split_list,
    unquote,
    with_parameter,
    without_controls,
    without_parameter,
)
from callward.sip.uri import SipUri, Uri, parse_uri


@dataclass(frozen=True, slots=True)
class NameAddr:
    """`"Display name" <uri>;params` (RFC 3261 25.1). `display_name` is unquoted and free of control characters."""

    uri: Uri
    display_name: str = ""
    params: Parameters = ()

    def param(self, name: str) -> str | None:
        """The value of a header parameter, `""` for a flag, None when absent. `name` in lower case."""
        return find_parameter(self.params, name)

    @property
    def tag(self) -> str | None:
        """The dialog tag of From and To (RFC 3261 19.3); None when absent (RFC 2543) or empty."""
        return find_parameter(self.params, "tag") or None

    @property
    def sip_uri(self) -> SipUri | None:
        """The URI when it is `sip:` or `sips:`."""
        return self.uri if isinstance(self.uri, SipUri) else None

    def with_tag(self, tag: str) -> NameAddr:
        return replace(self, params=with_parameter(self.params, "tag", tag))

    def with_param(self, name: str, value: str | None = None) -> NameAddr:
        return replace(self, params=with_parameter(self.params, name, value))

    def without_param(self, name: str) -> NameAddr:
        return replace(self, params=without_parameter(self.params, name))

    def __str__(self) -> str:
        name = quote(self.display_name) + " " if self.display_name else ""
        return f"{name}<{self.uri}>{print_parameters(self.params)}"


def parse_address(text: str) -> NameAddr | None:
    """Parses one name-addr or addr-spec with its parameters; None when malformed. Never raises."""
    text = text.strip(" \t")
    display_name = ""
    if text[:1] == '"':
        end = end_of_quoted(text, 0)
        if end < 0:
            return None
        display_name = without_controls(unquote(text[:end]))
        text = text[end:].lstrip(" \t")
        if text[:1] != "<":
            return None
        opening = 0
    else:
        opening = text.find("<")
        if opening > 0:
            display_name = without_controls(text[:opening].rstrip(" \t"))
            if '"' in display_name:
                return None
    if opening < 0:
        return _parse_bare(text)
    closing = text.find(">", opening)
    if closing < 0:
        return None
    uri = parse_uri(text[opening + 1 : closing].strip(" \t"))
    params = parse_parameters(text[closing + 1 :].strip(" \t"))
    if uri is None or params is None:
        return None
    return NameAddr(uri, display_name, params)


def _parse_bare(text: str) -> NameAddr | None:
    # RFC 3261 20: without brackets every parameter belongs to the header; a `?` or `,` in the URI then needs brackets.
    address, semicolon, rest = text.partition(";")
    address = address.rstrip(" \t")
    if "?" in address or "," in address:
        return None
    uri = parse_uri(address)
    params = parse_parameters(semicolon + rest)
    if uri is None or params is None:
        return None
    return NameAddr(uri, "", params)


def parse_addresses(values: list[str], maximum: int = 128) -> tuple[NameAddr, ...] | None:
    """Parses header values, each a comma list of addresses; None when one is malformed or there are more than `maximum`."""
    addresses: list[NameAddr] = []
    for value in values:
        for element in split_list(value):
            address = parse_address(element)
            if address is None or len(addresses) >= maximum:
                return None
            addresses.append(address)
    return tuple(addresses)
