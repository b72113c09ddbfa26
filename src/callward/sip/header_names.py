"""The names of header fields: compact forms, usual spellings, and which fields are comma lists (RFC 3261 7.3, 20)."""

from __future__ import annotations

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

_KNOWN = [
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Resource-Priority",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Answer-Mode",
    "Authentication-Info",
    "Authorization",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-ID",
    "Content-Language",
    "Content-Length",
    "Content-Transfer-Encoding",
    "Content-Type",
    "CSeq",
    "Date",
    "Diversion",
    "Error-Info",
    "Event",
    "Expires",
    "Feature-Caps",
    "Flow-Timer",
    "From",
    "Geolocation",
    "History-Info",
    "Identity",
    "Identity-Info",
    "In-Reply-To",
    "Info-Package",
    "Join",
    "Max-Breadth",
    "Max-Forwards",
    "MIME-Version",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Asserted-Identity",
    "P-Asserted-Service",
    "P-Called-Party-ID",
    "P-Charging-Function-Addresses",
    "P-Charging-Vector",
    "P-Early-Media",
    "P-Preferred-Identity",
    "P-Visited-Network-ID",
    "Path",
    "Permission-Missing",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "Reason",
    "Record-Route",
    "Recv-Info",
    "Refer-Sub",
    "Refer-To",
    "Referred-By",
    "Reject-Contact",
    "Remote-Party-ID",
    "Replaces",
    "Reply-To",
    "Request-Disposition",
    "Require",
    "Resource-Priority",
    "Retry-After",
    "Route",
    "RSeq",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Server",
    "Service-Route",
    "Session-Expires",
    "Session-ID",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Subscription-State",
    "Suppress-If-Match",
    "Supported",
    "Target-Dialog",
    "Timestamp",
    "To",
    "Trigger-Consent",
    "Unsupported",
    "User-Agent",
    "User-to-User",
    "Via",
    "Warning",
    "WWW-Authenticate",
]

LIST_KEYS = frozenset(
    name.lower()
    for name in [
        "Accept",
        "Accept-Contact",
        "Accept-Encoding",
        "Accept-Language",
        "Accept-Resource-Priority",
        "Alert-Info",
        "Allow",
        "Allow-Events",
        "Call-Info",
        "Contact",
        "Content-Encoding",
        "Content-Language",
        "Diversion",
        "Error-Info",
        "Feature-Caps",
        "Geolocation",
        "History-Info",
        "In-Reply-To",
        "P-Access-Network-Info",
        "P-Asserted-Identity",
        "P-Early-Media",
        "P-Preferred-Identity",
        "P-Visited-Network-ID",
        "Path",
        "Permission-Missing",
        "Proxy-Require",
        "Reason",
        "Record-Route",
        "Recv-Info",
        "Reject-Contact",
        "Remote-Party-ID",
        "Request-Disposition",
        "Require",
        "Resource-Priority",
        "Route",
        "Security-Client",
        "Security-Server",
        "Security-Verify",
        "Service-Route",
        "Supported",
        "Trigger-Consent",
        "Unsupported",
        "User-to-User",
        "Via",
        "Warning",
    ]
)
"""Header fields whose grammar is a comma list, in lower case; of all others a comma is part of the value."""

CANONICAL: dict[str, str] = {}
for _name in _KNOWN:
    CANONICAL[_name] = CANONICAL[_name.lower()] = _name
for _short, _name in _COMPACT.items():
    CANONICAL[_short] = CANONICAL[_short.upper()] = _name

KEYS: dict[str, str] = {spelling: name.lower() for spelling, name in CANONICAL.items()}

KEY_AND_NAME: dict[str, tuple[str, str]] = {spelling: (name.lower(), name) for spelling, name in CANONICAL.items()}
"""Both for every usual spelling: one look-up per header line."""


def canonical_name(name: str) -> str:
    """The usual spelling of a header name; compact forms are expanded, unknown names stay as written (spaces around them gone)."""
    found = CANONICAL.get(name)
    if found is not None:
        return found
    name = name.strip(" \t")
    return CANONICAL.get(name) or CANONICAL.get(name.lower()) or name


def key_of(name: str) -> str:
    """The key under which a name is compared: lower case, compact forms expanded."""
    return KEYS.get(name) or canonical_name(name).lower()
