"""Session descriptions: RFC 8866, 3264 8.4, 3605, 4566, 4568, 4574, 5761, 7866 and the dialects of siprec.md."""

from __future__ import annotations

import base64

import pytest

from callward.sip import sdp
from callward.sip.sdp import MediaDescription, SdpFailure, SessionDescription
from callward.sip.sdp_fields import Codec, Connection, Crypto, Direction, Origin, RtcpAddress, parse_crypto


def parse(*lines: str, end: str = "\r\n") -> SessionDescription:
    found = sdp.parse(end.join(lines).encode() + end.encode())
    assert isinstance(found, SessionDescription), found
    return found


HEAD = ("v=0", "o=SRC 2890844526 2890844526 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")
KEY = base64.b64encode(bytes(range(30))).decode()


def test_a_recording_offer() -> None:
    offer = parse(
        *HEAD, "m=audio 12240 RTP/AVP 0 4 8 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=sendonly", "a=label:1",
        "m=video 22456 RTP/AVP 98", "a=rtpmap:98 H264/90000", "a=fmtp:98 profile-level-id=42A01E", "c=IN IP6 2001:db8::2", "a=label:2",
    )  # fmt: skip
    audio, video = offer.media
    assert (audio.media, audio.port, audio.protocol, audio.label) == ("audio", 12240, "RTP/AVP", "1")
    assert [(codec.payload_type, codec.key) for codec in audio.codecs] == [
        (0, "pcmu"),
        (4, "g723"),
        (8, "pcma"),
        (101, "telephone-event"),
    ]
    assert audio.codecs[3] == Codec(101, "telephone-event", 8000, 1, "0-15")
    assert audio.codecs[3].is_dtmf
    assert (offer.direction_of(audio), offer.direction_of(video)) == (Direction.SENDONLY, Direction.SENDRECV)
    assert offer.connection_of(audio) == Connection("192.0.2.1")
    assert offer.connection_of(video) == Connection("2001:db8::2", "IP6")
    assert offer.by_label("2") is video
    assert offer.by_label("3") is None
    assert offer.origin == Origin("SRC", "2890844526", "2890844526", Connection("192.0.2.1"))


def test_printing_gives_the_lines_back_in_order_unknown_ones_too() -> None:
    lines = (
        *HEAD,
        "z=0 0",
        "y=odd",
        "a=ice-lite",
        "m=audio 4000/2 RTP/SAVPF 0",
        "i=title",
        "b=AS:64",
        "k=clear:x",
        "q=?",
        "a=x:a:b",
    )
    assert parse(*lines).to_bytes().decode() == "\r\n".join(lines) + "\r\n"


def test_opensips_without_connection_line_and_with_an_origin_of_zeros() -> None:
    found = parse("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "m=audio 5000 RTP/AVP 8", "a=sendonly", end="\n")
    assert found.connection_of(found.media[0]) is None
    assert not found.is_held(found.media[0])
    with_origin = parse("v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "t=0 0", "m=audio 5000 RTP/AVP 8")
    assert with_origin.connection_of(with_origin.media[0]) == Connection("192.0.2.7")


@pytest.mark.parametrize(
    ("session", "media", "held"),
    [
        ("c=IN IP4 192.0.2.1", "a=sendonly", False),
        ("c=IN IP4 192.0.2.1", "a=inactive", True),
        ("c=IN IP4 0.0.0.0", "a=sendonly", True),
        ("c=IN IP4 0.0.0.0", "c=IN IP4 192.0.2.1", False),
        ("c=IN IP4 192.0.2.1", "c=IN IP6 ::", True),
        ("a=inactive", "a=x", True),
        ("a=inactive", "a=sendrecv", False),
        ("a=sendonly", "a=INACTIVE ", True),
    ],
)
def test_s23_hold_forms(session: str, media: str, held: bool) -> None:
    found = parse("v=0", session, "m=audio 5000 RTP/AVP 8", media)
    assert found.is_held(found.media[0]) is held


def test_directions() -> None:
    assert Direction.SENDONLY.reversed is Direction.RECVONLY
    assert Direction.INACTIVE.reversed is Direction.INACTIVE
    assert Direction.SENDRECV & Direction.RECVONLY is Direction.RECVONLY
    assert Direction.SENDONLY & Direction.RECVONLY is Direction.INACTIVE


def test_rfc4568_crypto_lines() -> None:
    found = parse(
        *HEAD, "m=audio 5000 RTP/SAVP 0", f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 UNENCRYPTED_SRTCP",
        f"a=crypto:2 aes_cm_128_hmac_sha1_32 inline:{KEY}", "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:short",
        "a=crypto:x broken", f"a=crypto:4 UNKNOWN_SUITE inline:{KEY}",
    )  # fmt: skip
    first, second, third, fourth = found.media[0].crypto
    assert first == Crypto(1, "AES_CM_128_HMAC_SHA1_80", bytes(range(30)), "2^20", "1:4", ("UNENCRYPTED_SRTCP",))
    assert (second.suite, second.is_valid) == ("AES_CM_128_HMAC_SHA1_32", True)
    assert not third.is_valid
    assert not fourth.is_valid
    assert parse_crypto(str(first)) == first
    assert found.media[0].is_secure


def test_keys_are_not_shown_in_traces_of_objects() -> None:
    assert repr(bytes(range(30))) not in repr(Crypto(1, "AES_CM_128_HMAC_SHA1_80", bytes(range(30))))
    assert KEY not in repr(Crypto(1, "AES_CM_128_HMAC_SHA1_80", bytes(range(30))))


def test_other_attributes() -> None:
    found = parse(
        *HEAD, "a=record:ON", "m=audio 5000 RTP/AVPF 96 97", "a=rtpmap:96 opus/48000/2", "a=rtpmap:97 broken", "a=ptime:20.5",
        "a=rtcp:53020 IN IP4 126.16.64.4", "a=rtcp-mux", "a=recordpref:pause", "a=candidate:1 1 UDP 1 192.0.2.1 5000 typ host",
    )  # fmt: skip
    media = found.media[0]
    assert media.codecs == (Codec(96, "opus", 48000, 2), Codec(97, "", 8000))
    assert (media.ptime_ms, media.rtcp_mux, media.rtcp) == (20, True, RtcpAddress(53020, "126.16.64.4"))
    assert (found.record_of(media), found.recordpref_of(media)) == ("on", "pause")
    assert media.candidates == ("1 1 UDP 1 192.0.2.1 5000 typ host",)


def test_changed_copies() -> None:
    media = MediaDescription(
        "audio", 5000, "RTP/AVP", ("0",), (("i", "t"), ("b", "AS:64"), ("a", "sendonly"), ("a", "label:1"))
    )
    changed = (
        media.with_direction(Direction.INACTIVE)
        .with_connection("2001:db8::1")
        .with_attribute("rtcp-mux")
        .without_attribute("label")
    )
    assert changed.lines == (
        ("i", "t"),
        ("c", "IN IP6 2001:db8::1"),
        ("b", "AS:64"),
        ("a", "inactive"),
        ("a", "rtcp-mux"),
    )
    assert changed.with_connection(None).own_connection is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<xml/>", b"hello\r\n", b"v=0\r\nm=audio\r\n", b"v=0\r\nm=audio x RTP/AVP 0\r\n", b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 1/0 RTP/AVP 0\r\n", b"v=0\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 65, b"v=0\r\n" + b"a=x\r\n" * 5000,
        b"v=0\r\n" + b"a=" + b"x" * 70_000, b"v=0\r\nm=audio 1 RTP/AVP" + b" 0" * 200,
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_a_failure_with_a_reason(body: bytes) -> None:
    found = sdp.parse(body)
    assert isinstance(found, SdpFailure)
    assert found.reason


def test_odd_lines_are_dropped_and_controls_removed() -> None:
    found = sdp.parse(
        b"v=0\r\nno line\r\n\r\nabc=x\r\n  \r\nm=audio 1 RTP/AVP 0\r\na=label:1\x00\x07\r\na=x:J\xfcrgen\r\n"
    )
    assert isinstance(found, SessionDescription)
    assert found.media[0].label == "1"
    assert found.media[0].attribute("x") == "Jürgen"
    assert found.lines == (("v", "0"),)
