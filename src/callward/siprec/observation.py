"""What one SIP message tells a recording server: who, which streams, which metadata, and what was odd.

An observation is plain data, bounded, and says nothing about earlier messages; `session.advance` puts observations together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict

from callward.sip.address import NameAddr, parse_address, parse_addresses
from callward.sip.cseq import parse_cseq
from callward.sip.headers import Headers
from callward.sip.media_type import MediaType
from callward.sip.message import ParseFailure, Request, Response
from callward.sip.multipart import parse_with_defects
from callward.sip.sdp import SdpFailure, SessionDescription
from callward.sip.sdp import parse as parse_sdp
from callward.sip.uri import SipUri
from callward.siprec.dialects.detection import UNKNOWN, detect
from callward.siprec.metadata import Metadata
from callward.siprec.oddity import Oddity, join_oddities
from callward.siprec.offered import OfferedStream, offered_streams
from callward.siprec.plain_text import clean
from callward.siprec.reading import read_metadata

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_METADATA_PARTS = 4
MAX_HEADERS = 64
MAX_HEADER_CHARACTERS = 1024
MAX_OPTION_TAGS = 32
MAX_CONTACT_PARAMETERS = 32

_READ_BY_DIALECTS = frozenset(
    {"session-id", "user-to-user", "diversion", "remote-party-id", "history-info", "organization"}
)
_DEFECTS = {
    "boundary_guessed": "the boundary of the parts is missing or wrong",
    "not_closed": "the last boundary is missing",
    "too_many_parts": "there are too many parts",
    "no_parts": "the multipart body has no parts",
    "bad_part_header": "the headers of a part cannot be read",
    "bad_transfer_encoding": "the transfer encoding of a part cannot be read",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A name-addr or addr-spec of a header."""

    uri: str = ""
    name: str = ""


NO_ADDRESS = Address()


@dataclass(frozen=True, slots=True)
class RawPart:
    """A body as it came, kept for the record (S16) and for export."""

    content_type: str
    body: bytes
    disposition: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One message. Everything is optional: a metadata document alone is an observation too."""

    method: str = ""
    """Of the request, or of the request that a response answers (CSeq)."""
    status: int = 0
    """Of a response; 0 for a request or a bare body."""
    from_: Address = NO_ADDRESS
    to: Address = NO_ADDRESS
    call_id: str = ""
    user_agent: str = ""
    """User-Agent or Server."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers that a dialect reads, by lower-case name; several values are joined by commas."""
    contact_parameters: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    """Option tags of Require, lower case."""
    supported: tuple[str, ...] = ()
    streams: tuple[OfferedStream, ...] | None = None
    """None: the message has no SDP."""
    sdp: SessionDescription | SdpFailure | None = field(default=None, compare=False, repr=False)
    """The same SDP as the SIP layer reads it, for who has to answer it; or why it cannot be read."""
    sdp_origin: str = ""
    sdp_session_name: str = ""
    metadata: tuple[Metadata, ...] = ()
    """Usually one."""
    raw_metadata: tuple[RawPart, ...] = ()
    """Every metadata part as it came, also those that could not be read."""
    other_parts: tuple[str, ...] = ()
    """Media types of the parts that were left alone (S10), e.g. application/gtd of Cisco."""
    vendor: str = "unknown"
    """Short name: see `dialects`."""
    oddities: tuple[Oddity, ...] = ()

    @property
    def ends_session(self) -> bool:
        """The recording session is over after this message: BYE, CANCEL, their success, or a refused INVITE."""
        if self.status < 300 and self.method in ("BYE", "CANCEL"):
            return self.status == 0 or self.status >= 200
        return self.method == "INVITE" and self.status >= 300 and self.status not in (401, 407, 491)


def observe(message: Request | Response | ParseFailure) -> Observation:
    """Reads a SIP message. Of one that the SIP layer refused only the headers that could be read are there. Never raises."""
    headers = message.headers
    if isinstance(message, ParseFailure):
        return observe_parts(message.method or "", 0, headers, b"")
    # What the SIP layer has read already is not read again.
    from_ = _address(headers.get("From"), message.typed("From", parse_address))
    to = _address(headers.get("To"), message.typed("To", parse_address))
    told = _read_body(
        message.content_type or headers.get("Content-Type"), headers.get("Content-Disposition") or "", message.body
    )
    cseq = message.typed("CSeq", parse_cseq)
    method = message.method if isinstance(message, Request) else cseq.method if cseq else ""
    status = message.status if isinstance(message, Response) else 0
    contact = next(iter(message.addresses("Contact")), None)
    return _observation(method, status, headers, from_, to, contact, told)


def observe_parts(method: str, status: int, headers: Headers, body: bytes) -> Observation:
    """Reads a message from its parts, none of which has to be there."""
    cseq = parse_cseq(headers.get("CSeq") or "")
    from_, to = headers.get("From"), headers.get("To")
    return _observation(
        method or (cseq.method if cseq else ""),
        status,
        headers,
        _address(from_, parse_address(from_ or "")),
        _address(to, parse_address(to or "")),
        next(iter(parse_addresses(headers.get_lines("Contact")) or ()), None),
        _read_body(headers.get("Content-Type"), headers.get("Content-Disposition") or "", body),
    )


def _observation(
    method: str, status: int, headers: Headers, from_: Address, to: Address, contact: NameAddr | None, told: _Body
) -> Observation:
    return _with_vendor(
        Observation(
            method=clean(method, 32),
            status=status,
            from_=from_,
            to=to,
            call_id=clean(headers.get("Call-ID")),
            user_agent=clean(headers.get("User-Agent") or headers.get("Server")),
            headers=_further_headers(headers),
            contact_parameters=_contact_parameters(contact),
            required=_tags(headers, "Require"),
            supported=_tags(headers, "Supported"),
            **told,
        )
    )


def observe_body(content_type: str, body: bytes) -> Observation:
    """Reads a body without a SIP message around it: SDP, metadata or multipart."""
    return _with_vendor(Observation(**_read_body(content_type, "", body)))


def _with_vendor(seen: Observation) -> Observation:
    vendor = detect(seen)
    return seen if vendor == UNKNOWN else replace(seen, vendor=vendor)


class _Body(TypedDict, total=False):
    """The fields of an observation that a body fills."""

    streams: tuple[OfferedStream, ...]
    sdp: SessionDescription | SdpFailure
    sdp_origin: str
    sdp_session_name: str
    metadata: tuple[Metadata, ...]
    raw_metadata: tuple[RawPart, ...]
    other_parts: tuple[str, ...]
    oddities: tuple[Oddity, ...]


def _read_body(content_type: MediaType | str | None, disposition: str, body: bytes) -> _Body:
    told: _Body = {}
    if not body:
        return told
    oddities: list[Oddity] = []
    metadata: list[Metadata] = []
    raw: list[RawPart] = []
    others: list[str] = []
    if len(body) > MAX_BODY_BYTES:
        oddities.append(Oddity("body_too_large", f"the body has {len(body)} bytes; only the headers were read"))
        body = b""
    parts = parse_with_defects(content_type or None, body)
    oddities += (Oddity(f"body_{defect}", _DEFECTS.get(defect, "the body is odd")) for defect in parts.defects)
    for part in parts.parts:
        name = part.content_type.name
        whole = len(parts.parts) == 1 and part.disposition is None
        kind = (
            part.disposition.kind
            if part.disposition
            else (disposition.partition(";")[0].strip().lower() if whole else "")
        )
        if name == "application/sdp":
            if "streams" in told:
                oddities.append(Oddity("second_sdp", "the body has more than one SDP; the first one counts"))
                continue
            _read_sdp(part.body, told, oddities)
        elif _is_metadata(name, part.body, kind):
            if len(raw) >= MAX_METADATA_PARTS:
                oddities.append(Oddity("metadata_too_many", f"more than {MAX_METADATA_PARTS} metadata parts"))
                break
            raw.append(RawPart(clean(str(part.content_type)), part.body, kind))
            reading = read_metadata(part.body, part.content_type.param("charset") or "")
            oddities += reading.oddities
            if reading.metadata is not None:
                metadata.append(reading.metadata)
        else:
            others.append(clean(name, 100))
    told["metadata"], told["raw_metadata"], told["other_parts"] = tuple(metadata), tuple(raw), tuple(others)
    told["oddities"] = join_oddities(oddities)
    return told


def _read_sdp(body: bytes, told: _Body, oddities: list[Oddity]) -> None:
    sdp = parse_sdp(body)
    told["sdp"] = sdp
    if isinstance(sdp, SdpFailure):
        oddities.append(Oddity("sdp_unreadable", sdp.reason))
        return
    origin = sdp.origin
    told["streams"] = offered_streams(sdp)
    told["sdp_origin"] = clean(str(origin)) if origin else ""
    told["sdp_session_name"] = clean(next((value for kind, value in sdp.lines if kind == "s"), ""))


def _is_metadata(name: str, body: bytes, disposition: str) -> bool:
    if name.startswith("application/rs-metadata"):
        return True
    is_xml = body[:512].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n").startswith(b"<")
    return is_xml and (disposition == "recording-session" or name.endswith(("xml", "/octet-stream")))


def _address(value: str | None, parsed: NameAddr | None) -> Address:
    if parsed is None:
        return Address(clean((value or "").partition("<")[2].partition(">")[0] or value))
    return Address(clean(str(parsed.uri)), clean(parsed.display_name))


def _contact_parameters(contact: NameAddr | None) -> dict[str, str]:
    if contact is None:
        return {}
    found = {clean(name, 60).lower(): clean(value) for name, value in contact.params[:MAX_CONTACT_PARAMETERS]}
    if isinstance(contact.uri, SipUri):
        for name, value in contact.uri.params[:MAX_CONTACT_PARAMETERS]:
            if not name.startswith("+"):  # a feature tag counts only where RFC 3840 puts it
                found.setdefault(clean(name, 60).lower(), clean(value))
    return found


def _tags(headers: Headers, name: str) -> tuple[str, ...]:
    tags = (clean(tag, 60).lower() for tag in headers.get_all(name)[:MAX_OPTION_TAGS])
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def _further_headers(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if (key.startswith(("x-", "cisco-", "p-")) or key in _READ_BY_DIALECTS) and len(found) < MAX_HEADERS:
            key = clean(key, 100)
            found[key] = clean(f"{found[key]}, {value}" if key in found else value, MAX_HEADER_CHARACTERS)
    return found
