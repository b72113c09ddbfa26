"""What of a SIP message is written into the recorder's journal."""

from __future__ import annotations

from callward.recorder.journaled_message import journaled
from callward.sip.limits import STREAM
from callward.sip.message import Request, parse
from callward.siprec.observation import observe
from callward.siprec.storage_policy import STORE_ALL, StoragePolicy, apply_policy
from tests.peers.sip_client import offer
from tests.recorder.recorded_dialog import TWO_PARTIES, TWO_STREAMS, metadata

XML = metadata("call-a", parties=TWO_PARTIES, streams=TWO_STREAMS)


def invite(xml: str = XML, extra: str = "") -> Request:
    body = f"--b\r\nContent-Type: application/sdp\r\n\r\n{offer([40000, 40002])}\r\n"
    body += (
        f"--b\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n{xml}\r\n"
    )
    body += f"{extra}--b--\r\n"
    text = (
        "INVITE sip:r@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK1\r\nFrom: <sip:s@192.0.2.2>;tag=1\r\n"
        "To: <sip:r@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nRequire: siprec\r\n"
        "Contact: <sip:s@192.0.2.2>;+sip.src\r\nContent-Type: multipart/mixed;boundary=b\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
    )
    found = parse(text.encode(), STREAM)
    assert isinstance(found, Request)
    return found


def test_without_a_policy_a_message_is_kept_as_it_came() -> None:
    request = invite()
    assert journaled(request, observe(request), STORE_ALL) == request.raw


def test_s41_what_policy_drops_or_masks_is_not_in_the_kept_message() -> None:
    policy = StoragePolicy.of(["nameID/name"], ["nameID/@aor"])
    request = invite(extra="--b\r\nContent-Type: application/gtd;handling=optional\r\n\r\nalice\r\n")
    observation = apply_policy(observe(request), policy)
    kept = journaled(request, observation, policy)
    assert b"alice" in request.raw
    assert b"alice" not in kept.replace(b"p-alice", b"")  # ids tie the document together
    again = parse(kept, STREAM)
    assert isinstance(again, Request)
    replayed = observe(again)
    assert replayed.metadata == observation.metadata
    assert replayed.streams == observation.streams
    assert replayed.raw_metadata[0].body == observation.raw_metadata[0].body


def test_s41_a_document_that_cannot_be_read_is_not_kept_under_a_policy() -> None:
    policy = StoragePolicy.of(["name"])
    request = invite("no document, but alice")
    kept = journaled(request, apply_policy(observe(request), policy), policy)
    assert b"alice" not in kept
    assert b"m=audio 40000" in kept
