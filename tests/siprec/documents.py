"""Documents and messages for the tests, written by hand of the RFC and not by the code under test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from callward.siprec.observation import Observation, observe_body
from callward.siprec.peer import STRICT, PeerProfile
from callward.siprec.session import SessionState, advance, begin

CORPUS = Path(__file__).parents[1] / "data" / "siprec"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def sample(name: str) -> bytes:
    return (CORPUS / name).read_bytes()


def document(inner: str, mode: str = "complete", namespace: str = "urn:ietf:params:xml:ns:recording:1") -> bytes:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<recording xmlns="{namespace}"><dataMode>{mode}</dataMode>{inner}</recording>'
    return text.encode()


def session(id_: str, inner: str = "") -> str:
    return f'<session session_id="{id_}">{inner}</session>'


def participant(id_: str, aor: str, inner: str = "") -> str:
    return f'<participant participant_id="{id_}"><nameID aor="{aor}"/>{inner}</participant>'


def stream(id_: str, session_id: str, label: str, inner: str = "") -> str:
    return f'<stream stream_id="{id_}" session_id="{session_id}"><label>{label}</label>{inner}</stream>'


def member(participant_id: str, session_id: str, left: str = "") -> str:
    end = f"<disassociate-time>{left}</disassociate-time>" if left else ""
    return f'<participantsessionassoc participant_id="{participant_id}" session_id="{session_id}">{end}</participantsessionassoc>'


def heard(participant_id: str, sends: tuple[str, ...] = (), receives: tuple[str, ...] = ()) -> str:
    inner = "".join(f"<send>{id_}</send>" for id_ in sends) + "".join(f"<recv>{id_}</recv>" for id_ in receives)
    return f'<participantstreamassoc participant_id="{participant_id}">{inner}</participantstreamassoc>'


def two_party_call(suffix: str = "", labels: tuple[str, str] = ("1", "2")) -> str:
    """Session S, participants A and B, streams TA and TB."""
    s, a, b, ta, tb = (f"{name}{suffix}" for name in ("S", "A", "B", "TA", "TB"))
    return (
        session(s)
        + participant(a, "sip:+3225550001@example.org")
        + participant(b, "sip:+3225550002@example.org")
        + stream(ta, s, labels[0])
        + stream(tb, s, labels[1])
        + member(a, s)
        + member(b, s)
        + heard(a, (ta,), (tb,))
        + heard(b, (tb,), (ta,))
    )


def sdp(*media: str, connection: str = "c=IN IP4 203.0.113.1\r\n") -> bytes:
    lines = f"v=0\r\no=- 1 1 IN IP4 203.0.113.1\r\ns=-\r\n{connection}t=0 0\r\n" + "".join(media)
    return lines.encode()


def line(label: str, direction: str = "sendonly", port: int = 4000, kind: str = "audio") -> str:
    attribute = f"a={direction}\r\n" if direction else ""
    return f"m={kind} {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n{attribute}a=label:{label}\r\n"


def both(description: bytes, metadata: bytes) -> bytes:
    return (
        b"--x\r\nContent-Type: application/sdp\r\n\r\n"
        + description
        + b"\r\n--x\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n"
        + metadata
        + b"\r\n--x--\r\n"
    )


def seen(description: bytes | None = None, metadata: bytes | None = None) -> Observation:
    if description is not None and metadata is not None:
        return observe_body("multipart/mixed;boundary=x", both(description, metadata))
    if description is not None:
        return observe_body("application/sdp", description)
    return observe_body("application/rs-metadata+xml", metadata or b"")


def told(*observations: Observation, profile: PeerProfile = STRICT) -> SessionState:
    """State after these, one every ten seconds from START."""
    state = begin(profile)
    for number, observation in enumerate(observations):
        state = advance(state, observation, at=at(10 * number))
    return state
