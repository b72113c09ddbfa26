"""SIP requests and responses: the types, printing, and `parse`, which never raises (RFC 3261 7, 18.3, 25).

A message that cannot be accepted comes back as `ParseFailure` with the status code that answers it and the headers read so far, so
that a 400 can still be sent. Liberal where the field is: no Max-Forwards (RFC 2543), a CSeq method that does not match in ACK and
BYE (BroadWorks) and octets after the body (RFC 4475 3.1.1.8) are accepted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from callward.sip.address import parse_address, parse_addresses
from callward.sip.cseq import parse_cseq
from callward.sip.grammar import is_token, without_controls
from callward.sip.headers import Headers
from callward.sip.limits import DATAGRAM, Limits
from callward.sip.reason_phrases import REASON_PHRASES
from callward.sip.typed_headers import MissingHeaderError, TypedHeaders, _first_via
from callward.sip.uri import OpaqueUri, SipUri, TelUri, Uri, parse_uri
from callward.sip.wire import Head, content_length, end_of_head, read_head

__all__ = [
    "Headers",
    "Limits",
    "Message",
    "MissingHeaderError",
    "OpaqueUri",
    "ParseFailure",
    "Request",
    "Response",
    "SipUri",
    "TelUri",
    "parse",
]

DEFAULT = DATAGRAM
_SEQUENCE_LIBERAL = frozenset({"ACK", "BYE"})
_VERSION = re.compile(r"SIP/\d+\.\d+", re.IGNORECASE)
_COPIED = ("Via", "From", "To", "Call-ID", "CSeq")
"""What every response copies from its request (RFC 3261 8.2.6)."""
_SINGLE = ("From", "To", "Call-ID", "CSeq", "Max-Forwards")
TRACE_BYTES = 2_048
"""How much of a refused message is kept for the trace."""

_FORBIDDEN_IN_REASON = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


class Request(TypedHeaders):
    """A SIP request. `method` keeps its case; `uri` is the Request-URI."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: Uri, headers: Headers | None = None, body: bytes = b"", raw: bytes = b""
    ) -> None:
        super().__init__(Headers() if headers is None else headers, body, raw)
        self.method = method
        self.uri = uri

    def to_bytes(self) -> bytes:
        """The message on the wire; Content-Length is always the true one."""
        return _print(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)

    def copy(self) -> Request:
        """An independent copy, to be changed and sent on; without `raw`."""
        return Request(self.method, self.uri, self.headers.copy(), self.body)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri} call_id={self.call_id!r}>"


class Response(TypedHeaders):
    """A SIP response. `status` is 100 to 699."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str = "", headers: Headers | None = None, body: bytes = b"", raw: bytes = b""
    ) -> None:
        super().__init__(Headers() if headers is None else headers, body, raw)
        self.status = status
        self.reason = reason

    @property
    def is_provisional(self) -> bool:
        return self.status < 200

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_final(self) -> bool:
        return self.status >= 200

    def to_bytes(self) -> bytes:
        """The message on the wire; Content-Length is always the true one."""
        reason = self.reason.translate(_FORBIDDEN_IN_REASON)
        return _print(f"SIP/2.0 {self.status} {reason}", self.headers, self.body)

    def copy(self) -> Response:
        """An independent copy, to be changed and sent on; without `raw`."""
        return Response(self.status, self.reason, self.headers.copy(), self.body)

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason!r} call_id={self.call_id!r}>"


Message = Request | Response


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """What came is no acceptable message. Never sent further; answered with `status` when `answerable`."""

    status: int
    """400, 413 (body too large), 505 (other SIP version), 513 (head too large)."""
    reason: str
    """Reason phrase in our own words, safe to send."""
    headers: Headers = field(default_factory=Headers)
    """Best effort: the header lines that could be read."""
    method: str | None = None
    """The method of a request; None for a response or where nothing could be read."""
    raw: bytes = b""
    """The octets as received, cut to 2 kB, for the trace."""
    fatal: bool = False
    """True on a stream whose framing is lost: answer if possible, then close the connection."""

    @property
    def answerable(self) -> bool:
        """True when a response can and may be sent: a request other than ACK, with all that a response copies."""
        return (
            self.method is not None
            and self.method != "ACK"
            and all(name in self.headers for name in _COPIED)
            and _first_via(self.headers.get("Via") or "") is not None
        )


def _print(start_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers if name != "Content-Length"]
    if not start_line.isprintable():
        start_line = start_line.translate(_FORBIDDEN_IN_REASON)
    return f"{start_line}\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "replace") + body


def response_to(request: Request | ParseFailure, status: int, reason: str = "", to_tag: str | None = None) -> Response:
    """A response with what every response copies: all Via, From, To (with `to_tag` where it has none), Call-ID, CSeq (RFC 3261 8.2.6)."""
    headers = Headers()
    headers.take(request.headers, _COPIED)
    if to_tag is not None:
        text = headers.get("To") or ""
        to = parse_address(text)
        if to is not None and to.tag is None:
            headers.set("To", f"{text};tag={to_tag}" if ">" in text else to.with_tag(to_tag))
    return Response(status, reason or REASON_PHRASES.get(status, ""), headers)


def parse(data: bytes, limits: Limits = DEFAULT) -> Request | Response | ParseFailure:
    """Parses one whole message, as a datagram carries it. Never raises; linear in the size of `data`."""
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")  # RFC 3261 7.5: empty lines before the start line are ignored
    if len(data) > limits.message_bytes:
        found = end_of_head(data[: limits.head_bytes])
        return _refuse(
            read_head(data[: found[0] if found else limits.head_bytes], limits), 513, "Message Too Large", data
        )
    found = end_of_head(data)
    if found is None:
        return _refuse(read_head(data, limits), 400, "No Empty Line After Headers", data)
    head = read_head(data[: found[0]], limits)
    body = data[found[1] :]
    if limits.trust_content_length:
        length = content_length(head.headers)
        if isinstance(length, str):
            head.refuse(400, length)
        elif length is not None:
            if length > len(body):
                head.refuse(400, "Content-Length Larger Than Message")
            body = body[:length]
    if len(body) > limits.body_bytes:
        head.refuse(413, "Request Entity Too Large")
    return assemble(head, body, data)


def assemble(head: Head, body: bytes, raw: bytes) -> Request | Response | ParseFailure:
    """Makes the message of a head that was read and its body, and checks what RFC 3261 8.1.1 makes mandatory."""
    start_line = head.start_line
    if start_line[:8].upper() == "SIP/2.0 ":
        return _response(head, body, raw)
    method, _, rest = start_line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not is_token(method):
        status = 505 if _VERSION.match(start_line) else 400
        return _refuse(head, status, "Version Not Supported" if status == 505 else "Bad Request Line", raw)
    if version.upper() != "SIP/2.0":
        status = 505 if _VERSION.fullmatch(version) else 400
        return _refuse(head, status, "Version Not Supported" if status == 505 else "Bad Request Line", raw, method)
    uri = parse_uri(target)
    if uri is None or " " in target:
        return _refuse(head, 400, "Bad Request-URI", raw, method)
    request = Request(method, uri, head.headers, body, raw)
    _check(request, head)
    cseq = request.typed("CSeq", parse_cseq)
    if cseq is not None and cseq.method != method and method not in _SEQUENCE_LIBERAL:
        head.refuse(400, "CSeq Method Mismatch")
    if request.headers.count("Max-Forwards") and request.max_forwards is None:
        head.refuse(400, "Bad Max-Forwards")
    contacts = request.headers.get_lines("Contact")
    if contacts and not request.contacts and not request.wildcard_contact and parse_addresses(contacts) is None:
        head.refuse(400, "Bad Contact")
    return _refuse(head, head.status, head.reason, raw, method) if head.status else request


def _response(head: Head, body: bytes, raw: bytes) -> Response | ParseFailure:
    code, _, reason = head.start_line[8:].partition(" ")
    if len(code) != 3 or not code.isascii() or not code.isdigit() or not 100 <= int(code) <= 699:
        return _refuse(head, 400, "Bad Status Code", raw)
    response = Response(int(code), without_controls(reason), head.headers, body, raw)
    _check(response, head)
    return _refuse(head, head.status, head.reason, raw) if head.status else response


def _check(message: Request | Response, head: Head) -> None:
    """What every message must have, in a form that can be read, and once where it has one value (RFC 4475 3.3.1, 3.3.8)."""
    headers = message.headers
    for name in _SINGLE:
        if headers.count(name) > 1:
            head.refuse(400, f"More Than One {name}")
    if not headers.get("Call-ID"):
        head.refuse(400, "Missing Call-ID")
    if message.typed("Via", _first_via) is None:
        head.refuse(400, "Missing or Bad Via")
    if message.typed("From", parse_address) is None:
        head.refuse(400, "Missing or Bad From")
    if message.typed("To", parse_address) is None:
        head.refuse(400, "Missing or Bad To")
    if message.typed("CSeq", parse_cseq) is None:
        head.refuse(400, "Missing or Bad CSeq")


def _refuse(head: Head, status: int, reason: str, raw: bytes, method: str | None = None) -> ParseFailure:
    if method is None and status not in (400, 505):
        first = head.start_line.partition(" ")[0]
        method = first if is_token(first) else None
    return ParseFailure(status, reason, head.headers, method, bytes(raw[:TRACE_BYTES]))
