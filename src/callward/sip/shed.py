"""503 for a request that nobody had time to parse: found by its lines, at about a tenth of the cost of the real parser.

Under overload every message that waits too long is refused like this, so that its sender fails over at once instead of repeating it.
"""

from __future__ import annotations

from .compose import answer
from .flow import Flow, Transmit
from .refusal import answer_address
from .via import parse_via

_MOST_BYTES = 65_535
_MOST_LINES = 300
_COPIED = {
    b"via": "Via",
    b"v": "Via",
    b"from": "From",
    b"f": "From",
    b"to": "To",
    b"t": "To",
    b"call-id": "Call-ID",
    b"i": "Call-ID",
    b"cseq": "CSeq",
}
_ONCE = ("From", "To", "Call-ID", "CSeq")


def is_newcomer(data: bytes) -> bool:
    """True for a request that belongs to no dialog: it may wait, and be refused, under load. By the start and the To tag only."""
    if data.startswith((b"SIP/2.0", b"ACK ", b"BYE ", b"CANCEL ", b"PRACK ", b"UPDATE ")):
        return False
    at = data.find(b"\nTo:")
    if at < 0:
        at = data.find(b"\nt:")
    if at < 0:
        return True
    end = data.find(b"\n", at + 1)
    return b"tag=" not in data[at : end if end >= 0 else None].lower()


def refuse_unparsed(data: bytes, flow: Flow, tag: str, retry_after_s: int) -> Transmit | None:
    """The 503, or None when the octets are no request that can be answered."""
    if data.startswith((b"SIP/", b"ACK ")) or len(data) > _MOST_BYTES:
        return None
    head = data.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    values: dict[str, str] = {}
    vias: list[str] = []
    for line in head.split(b"\r\n", _MOST_LINES)[1:]:
        name, colon, value = line.partition(b":")
        known = _COPIED.get(name.strip(b" \t").lower()) if colon else None
        if known == "Via":
            vias.append(value.strip().decode("utf-8", "replace"))
        elif known is not None:
            values.setdefault(known, value.strip().decode("utf-8", "replace"))
    top = parse_via(vias[0].partition(",")[0]) if vias else None
    if top is None or len(values) != len(_ONCE):
        return None
    first, comma, rest = vias[0].partition(",")
    del first
    vias[0] = str(top.with_source(*flow.remote)) + comma + rest
    via_lines = "\r\nVia: ".join(vias)
    echo = (
        f"Via: {via_lines}\r\nFrom: {values['From']}\r\nTo: {values['To']};tag={tag}\r\n"
        f"Call-ID: {values['Call-ID']}\r\nCSeq: {values['CSeq']}\r\n"
    )
    target = flow if flow.reliable else flow.towards(answer_address(flow, top))
    return Transmit(target, answer(503, "", echo, f"Retry-After: {retry_after_s}\r\n"))
