"""Which vendor's dialect a message speaks.

Signs in the metadata count first: they survive proxies, and a client behind another vendor's SBC still writes its own documents. Then come
headers that only one vendor sends, then the product names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from callward.siprec.metadata import NAMESPACE, Extension, Metadata

if TYPE_CHECKING:
    from callward.siprec.observation import Observation

UNKNOWN = "unknown"

VENDORS = (
    "cisco",
    "oracle",
    "ribbon",
    "webex",
    "broadworks",
    "metaswitch",
    "avaya",
    "audiocodes",
    "opensips",
    "frafos",
    "jambonz",
    "phrsite",
    "genesys",
)
"""Short names; `unknown` stands for every other."""

_MAX_EXTENSIONS = 2000

_WEBEX_ID = "Y2lzY29zcGFyaz"
"""Start of the opaque ids of Webex: base64 of `ciscospark`."""

_AVAYA_UCID = re.compile(r"\s*[0-9a-f]{2}fa08[0-9a-f]{16}", re.I)
"""User-to-user data with a UCID of Avaya in it; others pass it on, but name themselves."""

_DRAFT_NAMESPACE = "urn:ietf:params:xml:ns:recording"

_EXTENSION_SIGNS: tuple[tuple[str, Callable[[Extension], bool]], ...] = (
    ("jambonz", lambda e: "jambonz" in e.namespace.lower() or e.prefix.lower() == "jb"),
    ("oracle", lambda e: "acmepacket" in e.namespace.lower() or e.prefix.lower() == "apkt"),
    ("audiocodes", lambda e: "audiocodes" in e.namespace.lower() or e.prefix.lower() == "ac"),
    ("metaswitch", lambda e: "metaswitch" in (e.name + e.namespace).lower()),
    ("broadworks", lambda e: "broadworks" in (e.name + e.namespace).lower() or "broadsoft" in e.namespace.lower()),
    ("broadworks", lambda e: e.name == "extTrackingID"),
    (
        "ribbon",
        lambda e: e.name.lower() == "calldata" or "sonus" in e.namespace.lower() or "ribbon" in e.namespace.lower(),
    ),
    ("genesys", lambda e: "genesys" in e.namespace.lower()),
    ("avaya", lambda e: "avaya" in e.namespace.lower()),
    ("cisco", lambda e: "cisco" in e.namespace.lower()),
    ("frafos", lambda e: "frafos" in e.namespace.lower() or "iptel" in e.namespace.lower()),
    ("opensips", lambda e: "opensips" in e.namespace.lower()),
)

_PRODUCT_NAMES = (
    ("webex", ("webex",)),
    ("broadworks", ("broadworks", "broadsoft")),
    ("cisco", ("cisco", "cube")),
    ("oracle", ("oracle", "acme packet", "acmepacket", "acme-packet")),
    ("ribbon", ("ribbon", "sonus")),
    ("metaswitch", ("metaswitch", "perimeta")),
    ("audiocodes", ("audiocodes", "audio-codes", "mediant")),
    ("avaya", ("avaya", "sipera")),
    ("jambonz", ("jambonz", "drachtio")),
    ("opensips", ("opensips",)),
    ("frafos", ("frafos", "sems", "abc sbc", "abc-sbc", "procomm")),
    ("phrsite", ("phrsite", "siprecclient", "phr site")),
    ("genesys", ("genesys",)),
)

_EVERY_DIGIT = str.maketrans("123456789", "0" * 9)
"""No name of a product has a digit in it."""

_HEADER_SIGNS = (
    ("webex", ("x-cisco-webex", "x-webex")),
    ("broadworks", ("x-broadworks",)),
    ("cisco", ("cisco-guid", "cisco-gucid", "x-cisco-")),
    ("audiocodes", ("x-ac-action", "x-audiocodes", "x-ac-")),
    ("genesys", ("x-genesys-", "x-isrvmdevice")),
    ("jambonz", ("x-jambonz", "x-jb-")),
    ("oracle", ("p-acme-", "x-acme-")),
    ("metaswitch", ("p-metaswitch", "x-metaswitch")),
    ("avaya", ("p-av-message-id", "x-avaya")),
)


def detect(seen: Observation) -> str:
    """Short name of the vendor, or `unknown`."""
    vendor = _of_metadata(seen) or _of_signalling(seen)
    if not vendor and not seen.user_agent:
        vendor = _of_habits(seen)
    if vendor in ("broadworks", "cisco", "") and _is_webex(seen):
        return "webex"
    return vendor or UNKNOWN


def _of_metadata(seen: Observation) -> str:
    for metadata in seen.metadata:
        if metadata.root.lower().replace("-", "_") == "recording_metadata" or "ns:siprec" in metadata.namespace.lower():
            return "broadworks"
        extensions = list(_all_extensions(metadata))
        for vendor, is_sign in _EXTENSION_SIGNS if extensions else ():
            if any(is_sign(extension) for extension in extensions):
                return vendor
        if any("asbce@" in aor.lower() for aor in _aors(metadata)):
            return "avaya"
        if {"a_leg", "b_leg"} & {stream.label.lower() for stream in metadata.streams}:
            return "frafos"
    if {"a_leg", "b_leg"} & {stream.label.lower() for stream in seen.streams or ()}:
        return "frafos"
    return ""


def _of_signalling(seen: Observation) -> str:
    if "+sip-src" in seen.contact_parameters or "+sip-rec" in seen.contact_parameters:
        return "phrsite"
    product = f"{seen.user_agent} {seen.sdp_session_name} {seen.headers.get('organization', '')}"
    if vendor := _of_product(product) or _of_origin(seen.sdp_origin.translate(_EVERY_DIGIT)):
        return vendor
    for vendor, prefixes in _HEADER_SIGNS if seen.headers else ():
        if any(name.startswith(prefixes) for name in seen.headers):
            return vendor
    if "application/gtd" in seen.other_parts:
        return "cisco"
    addresses = f"{seen.from_.uri} {seen.to.uri}".lower()
    if any(sign in addresses for sign in ("x-nearend", "x-farend", "x-refci")):
        return "cisco"
    if "asbce" in addresses:
        return "avaya"
    if not seen.user_agent and _AVAYA_UCID.match(seen.headers.get("user-to-user", "")):
        return "avaya"
    if "src" in seen.contact_parameters and "siprec" not in seen.required:
        return "broadworks"
    return ""


@lru_cache(maxsize=512)  # a peer names itself in the same way in every call
def _of_product(product: str) -> str:
    product = product.lower()
    return next((vendor for vendor, names in _PRODUCT_NAMES if any(name in product for name in names)), "")


@lru_cache(maxsize=512)  # but for its digits an origin is mostly the same
def _of_origin(origin: str) -> str:
    origin = origin.lower()
    for vendor, names in _PRODUCT_NAMES:
        if any(name.replace(" ", "") in origin for name in names if name != "cube"):
            return vendor
    return ""


def _of_habits(seen: Observation) -> str:
    """Signs that the RFCs allow to all: of a client that does not name itself, the vendor that is known for the habit."""
    for metadata in seen.metadata:
        if any(";remote=" in id_.lower() for session in metadata.sessions for id_ in session.sip_session_ids):
            return "cisco"
        if metadata.recording_id and metadata.namespace == NAMESPACE:
            return "metaswitch"
        if metadata.namespace == _DRAFT_NAMESPACE and any(participant.sends for participant in metadata.participants):
            return "oracle"
        if {stream.label for stream in metadata.streams} == {"10", "20"}:
            return "avaya"
    return "opensips" if seen.sdp_origin.endswith("IN IP4 0.0.0.0") else ""


def _is_webex(seen: Observation) -> bool:
    if "webex" in f"{seen.user_agent} {seen.sdp_session_name} {seen.sdp_origin}".lower():
        return True
    aors = [seen.from_.uri, seen.to.uri, *(aor for metadata in seen.metadata for aor in _aors(metadata))]
    if any("webex.com" in aor.lower() or _WEBEX_ID in aor for aor in aors) or any(
        "webex" in name for name in seen.headers
    ):
        return True
    return "x-broadworks-correlation-info" in seen.headers and "session-id" in seen.headers


def _aors(metadata: Metadata) -> Iterable[str]:
    return (name.aor for participant in metadata.participants for name in participant.names)


def _all_extensions(metadata: Metadata) -> Iterable[Extension]:
    stack = [*metadata.extensions]
    for level in (metadata.groups, metadata.sessions, metadata.participants, metadata.streams):
        for element in level:
            stack.extend(element.extensions)
    count = 0
    while stack and count < _MAX_EXTENSIONS:
        extension = stack.pop()
        count += 1
        yield extension
        stack.extend(extension.children)
