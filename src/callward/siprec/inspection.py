"""What the recorder understands of a file: a SIP message, a body, or a metadata document (`callward siprec inspect`).

Captures come as they are: with LF line ends, with lines before the message, with a wrong Content-Length, cut off. The bytes are
looked at in this order: SIP message, multipart body, SDP, metadata.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from callward.sip.headers import Headers
from callward.sip.limits import FILE, Limits
from callward.sip.message import ParseFailure, parse
from callward.sip.wire import end_of_head, read_head
from callward.siprec.observation import Observation, observe, observe_body, observe_parts
from callward.siprec.oddity import Oddity, join_oddities
from callward.siprec.peer import STRICT
from callward.siprec.picture import Picture, PictureParty, RecordingState
from callward.siprec.picturing import picture
from callward.siprec.session import advance, begin

MAX_FILE_BYTES = 4 * 1024 * 1024
"""More is no SIP message; the rest is not read."""

_ACTIONS = {
    "start-siprec": RecordingState.RECORDING,
    "resume-siprec": RecordingState.RECORDING,
    "pause-siprec": RecordingState.PAUSED,
    "stop-siprec": RecordingState.ENDED,
}
_START_LINE = re.compile(
    rb"(?<![A-Za-z0-9])([A-Z]{3,16} (?:sips?|tel):\S{1,2000} SIP/2\.0|SIP/2\.0 [1-6]\d\d(?: [^\r\n]{0,200})?)[ \t]*\r?$",
    re.MULTILINE,
)
_BOUNDARY_LINE = re.compile(rb"^--([^\r\n]{1,200}?)[ \t]*\r?\n(?=content-)", re.IGNORECASE | re.MULTILINE)
_DOCUMENT = re.compile(rb"<\?xml\b|<(?:[A-Za-z0-9_.-]{1,40}:)?(?:recording|requestsnapshot)\b", re.IGNORECASE)
_HEAD_LIMITS = Limits(headers=1024, head_bytes=256 * 1024)


def inspect(data: bytes, *, at: datetime) -> dict[str, Any]:
    """The findings as plain data for JSON. `at` is the time of reading. Never raises on what a file holds."""
    seen = observe_file(data[:MAX_FILE_BYTES])
    if len(data) > MAX_FILE_BYTES:
        oddity = Oddity("file_too_large", f"only the first {MAX_FILE_BYTES} of {len(data)} bytes were read")
        seen = replace(seen, oddities=join_oddities((oddity,), seen.oddities))
    state = advance(begin(STRICT), seen, at=at)
    if state.streams is None and seen.streams is not None:
        state = replace(state, streams=seen.streams)  # the answer of a recording server, looked at alone
    found = picture(state)
    return as_json(replace(found, state=_state_by_action(seen) or found.state))


def _state_by_action(seen: Observation) -> RecordingState | None:
    """AudioCodes starts and stops recording on demand by a header of an INFO."""
    return _ACTIONS.get(seen.headers.get("x-ac-action", "").strip().lower())


def observe_file(data: bytes) -> Observation:
    """Reads a file as far as it can be understood."""
    start = _START_LINE.search(data[: 256 * 1024])
    if start is not None and not _DOCUMENT.match(data.lstrip()):
        return _observe_message(data[start.start(1) :], junk=bool(data[: start.start(1)].strip()))
    body = data.lstrip(b"\xef\xbb\xbf \t\r\n") if not data.startswith((b"\xff\xfe", b"\xfe\xff")) else data
    boundary = _BOUNDARY_LINE.search(body)
    if boundary is not None:
        return observe_body(f'multipart/mixed;boundary="{boundary[1].decode("latin-1")}"', body[boundary.start() :])
    if body.startswith(b"v=0"):
        return observe_body("application/sdp", body)
    document = _DOCUMENT.search(body)
    if document is not None and document.start() > 0 and not body.startswith(b"<"):
        seen = observe_body("application/rs-metadata", body[document.start() :])
        return _noting(seen, "leading_junk", "there is something before the document")
    seen = observe_body("application/rs-metadata", body)
    if not body.strip():
        return replace(seen, oddities=(Oddity("nothing_understood", "the file is empty"),))
    if seen.metadata:
        return seen
    return _noting(seen, "nothing_understood", "no SIP message, body or metadata document was found in the file")


def _observe_message(data: bytes, *, junk: bool) -> Observation:
    message = parse(data, FILE)
    if isinstance(message, ParseFailure):
        seen = _noting(_observe_refused(data), "sip_malformed", f"the SIP message has a defect: {message.reason}")
    else:
        seen = observe(message)
    return _noting(seen, "leading_junk", "there is something before the message") if junk else seen


def _observe_refused(data: bytes) -> Observation:
    """A message that the SIP layer would refuse: whatever can be read."""
    found = end_of_head(data) or (len(data), len(data))
    head = read_head(data[: found[0]], _HEAD_LIMITS)
    first = head.start_line.split(" ")
    is_response = first[0].upper() == "SIP/2.0"
    status = int(first[1]) if is_response and len(first) > 1 and first[1].isascii() and first[1].isdigit() else 0
    headers: Headers = head.headers
    return observe_parts("" if is_response else first[0], status, headers, data[found[1] :])


def _noting(seen: Observation, code: str, detail: str) -> Observation:
    return replace(seen, oddities=join_oddities(seen.oddities, (Oddity(code, detail),)))


def as_json(found: Picture) -> dict[str, Any]:
    """The object that `callward siprec inspect` prints."""
    parties = {party.id: party for party in found.parties}
    result: dict[str, Any] = {
        "parties": [_party(party) for party in found.parties],
        "streams": [
            {
                "label": stream.label,
                "party": ", ".join(_address(parties[key]) for key in stream.parties if key in parties),
                "direction": stream.direction,
            }
            for stream in found.streams
        ],
        "session_ids": dict(found.session_ids),
        "vendor": found.vendor,
        "extensions": dict(found.extensions),
        "state": found.state.value,
        "warnings": [str(oddity) for oddity in found.oddities],
    }
    if len(found.calls) > 1:
        result["calls"] = [
            {
                "parties": [_address(party) for party in call.parties],
                "session_ids": dict(call.session_ids),
                "state": "ended" if call.ended_at is not None else found.state.value,
            }
            for call in found.calls
        ]
    current = next((call for call in found.calls if call.ended_at is None), None) or next(iter(found.calls), None)
    if current is not None:
        result["direction"] = current.direction.value
    return result


def _party(party: PictureParty) -> dict[str, Any]:
    return {
        "aor": party.aor,
        "name": party.name,
        "number": party.number,
        "role": party.role.value,
        "recorded": party.recorded,
        "present": party.left_at is None,
    }


def _address(party: PictureParty) -> str:
    return party.aor or party.name or party.id
