"""Messages as we send them, written straight to octets: an answer copies lines of the request, a request comes from a dialog.

No line end can come in through a value: `clean` replaces them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .flow import Flow
from .message import ParseFailure, Request
from .reason_phrases import REASON_PHRASES

HeaderList = Sequence[tuple[str, str]]

_LINE_ENDS = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


def clean(value: str) -> str:
    """The value without line ends."""
    return value.translate(_LINE_ENDS) if "\n" in value or "\r" in value or "\0" in value else value


def lines_of(headers: HeaderList) -> str:
    return "".join([f"{clean(name)}: {clean(value)}\r\n" for name, value in headers])


def has_header(headers: HeaderList, name: str) -> bool:
    """`name` in lower case."""
    return any(key.lower() == name for key, _ in headers)


def echo_of(request: Request, flow: Flow, to_tag: str) -> str:
    """The lines each answer copies (8.2.6.2): Via with received and rport (18.2.1, RFC 3581), From, To with our tag, Call-ID, CSeq."""
    headers = request.headers
    vias = headers.get_all("Via")
    vias[0] = _with_source(vias[0], request, flow)
    to = headers.get("To") or ""
    if to_tag and request.to_tag is None:
        to = f"{to};tag={to_tag}"
    via_lines = "\r\nVia: ".join(vias)
    return (
        f"Via: {via_lines}\r\nFrom: {headers.get('From')}\r\nTo: {to}\r\n"
        f"Call-ID: {headers.get('Call-ID')}\r\nCSeq: {headers.get('CSeq')}\r\n"
    )


def _with_source(text: str, request: Request, flow: Flow) -> str:
    """The top Via with received and rport; by text where that is unambiguous, which is ten times as fast."""
    host, port = flow.remote
    via = request.via
    if "received" not in text:
        if not via.wants_rport:
            if via.host == host:
                return text
        elif text.count(";rport") == 1 and text.find(";rport=") < 0:
            before, _, after = text.partition(";rport")
            if not after or after[0] == ";":
                return f"{before};rport={port};received={host}{after}"
    return str(via.with_source(host, port))


def echo_of_failure(failure: ParseFailure, flow: Flow, to_tag: str) -> str:
    """The same for a request that could not be parsed, from what could be read. The Vias are copied as they came."""
    headers = failure.headers
    lines = "".join([f"Via: {clean(value)}\r\n" for value in headers.get_lines("Via")])
    to = headers.get("To") or ""
    if ";tag=" not in to.lower():
        to = f"{to};tag={to_tag}"
    lines += f"From: {clean(headers.get('From') or '')}\r\nTo: {clean(to)}\r\n"
    return lines + f"Call-ID: {clean(headers.get('Call-ID') or '')}\r\nCSeq: {clean(headers.get('CSeq') or '')}\r\n"


def answer(status: int, reason: str, echo: str, lines: str, body: bytes = b"", content_type: str = "") -> bytes:
    """A response. `lines` are whole header lines."""
    reason = clean(reason) or REASON_PHRASES.get(status) or "Unknown"
    if not body:
        return f"SIP/2.0 {status} {reason}\r\n{echo}{lines}Content-Length: 0\r\n\r\n".encode("utf-8", "replace")
    head = (
        f"SIP/2.0 {status} {reason}\r\n{echo}{lines}"
        f"Content-Type: {clean(content_type)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("utf-8", "replace") + body


def request(
    method: str,
    uri: str,
    *,
    via: str,
    from_: str,
    to: str,
    call_id: str,
    cseq: int,
    routes: Iterable[str],
    lines: str,
    body: bytes = b"",
    content_type: str = "",
    cseq_method: str = "",
    max_forwards: int = 70,
) -> bytes:
    """A request. `lines` are whole header lines; the other values are cleaned here."""
    route_lines = "".join([f"Route: {clean(route)}\r\n" for route in routes])
    head = (
        f"{method} {clean(uri)} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: {max_forwards}\r\n{route_lines}"
        f"From: {clean(from_)}\r\nTo: {clean(to)}\r\nCall-ID: {clean(call_id)}\r\nCSeq: {cseq} {cseq_method or method}\r\n{lines}"
    )
    if body:
        head += f"Content-Type: {clean(content_type)}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "replace") + body


def trying(request: Request, echo: str) -> bytes:
    """The 100 Trying of a request, with its Timestamp (8.2.6.1)."""
    stamp = request.headers.get("Timestamp")
    return answer(100, "", echo, f"Timestamp: {clean(stamp)}\r\n" if stamp else "")


def holds_sdp(content_type: str, body: bytes) -> bool:
    """True when the body is, or has as a part, a session description: an offer or an answer."""
    if not body:
        return False
    kind = content_type.lower()
    if kind.startswith("application/sdp"):
        return True
    return kind.startswith("multipart/") and b"application/sdp" in body.lower()
