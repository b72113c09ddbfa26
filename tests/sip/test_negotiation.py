"""Offer and answer: RFC 3264, 4568, 5761, 7866 (S04 to S08, S22, S23, S29)."""

from __future__ import annotations

import base64

import pytest

from callward.sip import sdp
from callward.sip.negotiation import (
    Accept,
    MediaChange,
    MediaOffer,
    NegotiationFailure,
    NegotiationState,
    NegotiationStateError,
    OfferAnswer,
    Reject,
)
from callward.sip.sdp import SessionDescription
from callward.sip.sdp_fields import Codec, Crypto, Direction

PCMA, DTMF = Codec(8, "PCMA", 8000), Codec(101, "telephone-event", 8000, 1, "0-15")
RECORD = Direction.RECVONLY


def describe(*media: str, session: str = "c=IN IP4 192.0.2.9") -> SessionDescription:
    lines = [
        "v=0",
        "o=SRC 1 1 IN IP4 192.0.2.9",
        "s=-",
        session,
        "t=3 4",
        *(line for block in media for line in block.split("~")),
    ]
    found = sdp.parse("\r\n".join(lines).encode())
    assert isinstance(found, SessionDescription)
    return found


def stream(
    port: int = 5000, label: str = "1", direction: str = "sendonly", formats: str = "8 0 101", protocol: str = "RTP/AVP"
) -> str:
    maps = "a=rtpmap:8 PCMA/8000~a=rtpmap:101 telephone-event/8000~a=fmtp:101 0-15"
    return f"m=audio {port} {protocol} {formats}~{maps}~a=label:{label}~a={direction}"


def answered(
    offer: SessionDescription, *choices: Accept | Reject, exchange: OfferAnswer | None = None
) -> SessionDescription:
    exchange = exchange or OfferAnswer(77, "192.0.2.1")
    assert not isinstance(exchange.receive_offer(offer), NegotiationFailure)
    return exchange.answer(choices)


def test_s04_all_m_lines_are_answered_in_order_and_rejected_ones_have_port_0() -> None:
    offer = describe(
        stream(label="a"),
        "m=video 6000 RTP/AVP 96~a=label:v",
        stream(5002, "b"),
        "m=message 7 TCP/MSRP *",
        stream(0, "c"),
    )
    answer = answered(offer, Accept(4000), Reject(), Accept(4002), Accept(4004), Accept(4006))
    assert [(m.media, m.port, m.label) for m in answer.media] == [
        ("audio", 4000, "a"), ("video", 0, "v"), ("audio", 4002, "b"), ("message", 0, None), ("audio", 0, "c"),
    ]  # fmt: skip
    assert [m.formats for m in answer.media][1:4:2] == [("96",), ("*",)]
    assert answer.timing == "3 4"


def test_m_lines_without_a_choice_are_rejected() -> None:
    assert [m.port for m in answered(describe(stream(), stream()), Accept(4000)).media] == [4000, 0]


def test_every_payload_type_of_the_offer_is_kept_with_its_mapping() -> None:
    media = answered(describe(stream()), Accept(4000)).media[0]
    assert media.formats == ("8", "0", "101")
    assert ("a", "rtpmap:101 telephone-event/8000") in media.lines
    assert ("a", "fmtp:101 0-15") in media.lines
    fewer = answered(describe(stream()), Accept(4000, payload_types=frozenset({8, 101}))).media[0]
    assert fewer.formats == ("8", "101")
    assert answered(describe(stream()), Accept(4000, payload_types=frozenset({3}))).media[0].port == 0


@pytest.mark.parametrize(
    ("offered", "ready", "expected"),
    [
        ("sendonly", "recvonly", "recvonly"),
        ("sendonly", "sendrecv", "recvonly"),
        ("inactive", "recvonly", "inactive"),
        ("sendrecv", "recvonly", "recvonly"),
        ("sendrecv", "sendrecv", "sendrecv"),
        ("recvonly", "sendrecv", "sendonly"),
        ("recvonly", "recvonly", "inactive"),
        ("sendonly", "inactive", "inactive"),
    ],
)
def test_s05_directions_of_answers(offered: str, ready: str, expected: str) -> None:
    answer = answered(describe(stream(direction=offered)), Accept(4000, direction=Direction(ready)))
    assert answer.media[0].own_direction == expected


@pytest.mark.parametrize(
    ("offered", "expected"), [("sendonly", "inactive"), ("sendrecv", "recvonly"), ("inactive", "inactive")]
)
def test_s23_an_unspecified_address_is_a_hold(offered: str, expected: str) -> None:
    exchange = OfferAnswer(1, "192.0.2.1")
    answer = answered(describe(stream(direction=offered), session="c=IN IP4 0.0.0.0"), Accept(4000), exchange=exchange)
    assert answer.media[0].own_direction == expected
    (media,) = exchange.media
    assert (media.held, media.remote_address, media.direction.sends) == (True, None, False)


def test_the_session_level_direction_counts() -> None:
    offer = describe("m=audio 5000 RTP/AVP 8", session="a=sendonly")
    assert answered(offer, Accept(4000, direction=RECORD)).media[0].own_direction == "recvonly"


def crypto(tag: int, suite: str = "AES_CM_128_HMAC_SHA1_80", fill: int = 1, extra: str = "") -> str:
    return f"~a=crypto:{tag} {suite} inline:{base64.b64encode(bytes([fill]) * 30).decode()}{extra}"


def test_s29_the_first_usable_key_line_is_answered_with_its_tag_and_our_key() -> None:
    lines = (
        crypto(1, "F8_128_HMAC_SHA1_80") + crypto(2, extra="|1:4") + crypto(7, "AES_CM_128_HMAC_SHA1_32", 2) + crypto(8)
    )
    exchange = OfferAnswer(1, "192.0.2.1")
    answer = answered(
        describe(stream(protocol="RTP/SAVPF") + lines), Accept(4000, crypto_key=b"k" * 46), exchange=exchange
    )
    assert answer.media[0].protocol == "RTP/SAVPF"
    assert answer.media[0].crypto == (Crypto(7, "AES_CM_128_HMAC_SHA1_32", b"k" * 30),)
    (media,) = exchange.media
    assert media.local_crypto == answer.media[0].crypto[0]
    assert media.remote_crypto is not None
    assert media.remote_crypto.key == b"\2" * 30


@pytest.mark.parametrize(
    ("extra", "port"),
    [("", 4000), ("|2^48", 4000), (" WSH=128", 4000), ("|2^31|1:1", 0), (" UNENCRYPTED_SRTP", 0), (" KDR=1", 0)],
)
def test_s29_rfc4568_6_3_parameters_that_change_the_protection_are_not_taken(extra: str, port: int) -> None:
    offer = describe(stream(protocol="RTP/SAVP") + crypto(1, extra=extra))
    assert answered(offer, Accept(4000, crypto_key=b"k" * 46)).media[0].port == port


def test_s29_srtp_without_a_usable_key_is_rejected_and_dtls_too() -> None:
    key = b"k" * 46
    for block in (
        stream(protocol="RTP/SAVP"),
        stream(protocol="RTP/SAVP") + crypto(1, "ODD"),
        stream(protocol="UDP/TLS/RTP/SAVPF"),
    ):
        assert answered(describe(block), Accept(4000, crypto_key=key)).media[0].port == 0
    assert answered(describe(stream(protocol="RTP/SAVP") + crypto(1)), Accept(4000)).media[0].port == 0


def test_s29_a_re_offer_keeps_our_key_unless_a_new_one_is_given() -> None:
    exchange = OfferAnswer(1, "192.0.2.1")
    offer = describe(stream(protocol="RTP/SAVP") + crypto(1))
    first = answered(offer, Accept(4000, crypto_key=b"k" * 46), exchange=exchange)
    again = answered(offer, Accept(4000), exchange=exchange)
    assert again == first
    rekeyed = describe(stream(protocol="RTP/SAVP") + crypto(1, fill=9))
    changes = exchange.receive_offer(rekeyed)
    assert changes == (MediaChange(0, "changed", frozenset({"crypto"})),)
    assert exchange.answer([Accept(4000, crypto_key=b"n" * 46)]).media[0].crypto[0].key == b"n" * 30


def test_a_key_that_is_too_short_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="needs 30"):
        answered(describe(stream(protocol="RTP/SAVP") + crypto(1)), Accept(4000, crypto_key=b"k"))


def test_rtcp_mux_and_rtcp_ports() -> None:
    exchange = OfferAnswer(1, "192.0.2.1")
    offer = describe(
        stream() + "~a=rtcp-mux", stream(5002, "2") + "~a=rtcp:6001 IN IP4 192.0.2.8", stream(5004, "3") + "~a=rtcp-mux"
    )
    answer = answered(
        offer,
        Accept(4000),
        Accept(4002, rtcp_port=4099),
        Accept(4004, rtcp_mux=False, rtcp_port=4005),
        exchange=exchange,
    )
    assert [m.rtcp_mux for m in answer.media] == [True, False, False]
    assert [m.attribute("rtcp") for m in answer.media] == [None, "4099", None]
    assert [(m.remote_rtcp_address, m.remote_rtcp_port) for m in exchange.media] == [
        ("192.0.2.9", 5000),
        ("192.0.2.8", 6001),
        ("192.0.2.9", 5005),
    ]


def test_addresses_ptime_and_extra_attributes_of_an_answer() -> None:
    answer = answered(describe(stream()), Accept(4000, "2001:db8::1", ptime_ms=20, attributes=("record:on",)))
    media = answer.media[0]
    assert media.own_connection is not None
    assert (media.own_connection.family, media.ptime_ms, media.record) == ("IP6", 20, "on")


def test_the_version_of_the_origin_grows_with_every_change_only() -> None:
    exchange = OfferAnswer(77, "192.0.2.1")
    versions = []
    for choice in (Accept(4000), Accept(4000), Accept(4002)):
        answer = answered(describe(stream()), choice, exchange=exchange)
        assert answer.origin is not None
        assert answer.origin.session_id == "77"
        versions.append(int(answer.origin.version))
    assert versions == [1, 1, 2]


def test_s22_changes_of_a_re_offer() -> None:
    exchange = OfferAnswer(1, "192.0.2.1")
    assert exchange.receive_offer(describe(stream(label="1"), stream(5002, "2"), stream(0, "3"))) == (
        MediaChange(0, "added"),
        MediaChange(1, "added"),
    )
    exchange.answer([Accept(4000), Accept(4002)])
    changed = exchange.receive_offer(
        describe(stream(0, "1"), stream(5010, "2", "inactive", "0"), stream(5006, "4"), stream(5008, "5"))
    )
    assert not isinstance(changed, NegotiationFailure)
    assert [(change.index, change.kind) for change in changed] == [
        (0, "removed"),
        (1, "changed"),
        (2, "reused"),
        (3, "added"),
    ]
    assert changed[1].fields == {"port", "direction", "codecs", "held"}
    assert "label" in changed[2].fields
    exchange.answer([Reject(), Accept(4002), Accept(4004), Accept(4006)])
    fewer = exchange.receive_offer(describe(stream(0, "1"), stream(5010, "2", "inactive", "0")))
    assert fewer == (MediaChange(2, "removed"), MediaChange(3, "removed"))


def test_s22_an_address_change_is_seen() -> None:
    exchange = OfferAnswer(1, "192.0.2.1")
    answered(describe(stream()), Accept(4000), exchange=exchange)
    changed = exchange.receive_offer(describe(stream(), session="c=IN IP4 192.0.2.10"))
    assert changed == (MediaChange(0, "changed", frozenset({"address"})),)
    exchange.rollback()
    assert exchange.receive_offer(describe(stream())) == ()


def test_offers_and_their_answers_between_two_of_us() -> None:
    caller, callee = OfferAnswer(1, "192.0.2.1"), OfferAnswer(2, "192.0.2.2")
    key = Crypto(3, "AES_CM_128_HMAC_SHA1_80", b"c" * 30)
    offer = caller.make_offer(
        [
            MediaOffer(4000, (PCMA, DTMF), label="1", direction=Direction.SENDONLY, ptime_ms=20),
            MediaOffer(4002, (PCMA,), protocol="RTP/SAVP", crypto=(key,), rtcp_mux=True, attributes=("record:on",)),
        ]
    )
    assert isinstance(offer, SessionDescription)
    again = sdp.parse(offer.to_bytes())
    assert isinstance(again, SessionDescription)
    answer = answered(again, Accept(5000), Accept(5002, crypto_key=b"a" * 46), exchange=callee)
    agreed = caller.receive_answer(answer)
    assert not isinstance(agreed, NegotiationFailure)
    assert [(m.direction.value, m.remote_port, m.active, m.label) for m in agreed] == [
        ("sendonly", 5000, True, "1"),
        ("sendrecv", 5002, True, None),
    ]
    assert agreed[0].send_codecs == (PCMA, DTMF)
    assert agreed[1].rtcp_mux
    assert agreed[1].local_crypto == key
    assert agreed[1].remote_crypto == callee.media[1].local_crypto
    assert callee.media[1].remote_crypto == key
    assert caller.state is NegotiationState.STABLE


def test_a_later_offer_keeps_the_slots_of_the_session() -> None:
    caller = OfferAnswer(1, "192.0.2.1")
    caller.make_offer([MediaOffer(4000, (PCMA,)), MediaOffer(4002, (PCMA,))])
    caller.receive_answer(describe(stream(5000, formats="8"), stream(5002, formats="8")))
    offer = caller.make_offer([MediaOffer(4000, (PCMA,))])
    assert isinstance(offer, SessionDescription)
    assert [m.port for m in offer.media] == [4000, 0]


def test_glare_and_disorder_are_refused_and_our_own_disorder_raises() -> None:
    exchange = OfferAnswer(1, "192.0.2.1")
    with pytest.raises(NegotiationStateError):
        exchange.answer([])
    unasked = exchange.receive_answer(describe(stream()))
    assert isinstance(unasked, NegotiationFailure)
    exchange.make_offer([MediaOffer(4000, (PCMA,))])
    glare = exchange.receive_offer(describe(stream()))
    assert isinstance(glare, NegotiationFailure)
    assert glare.status == 491
    exchange.rollback()
    exchange.receive_offer(describe(stream()))
    second = exchange.receive_offer(describe(stream()))
    assert isinstance(second, NegotiationFailure)
    assert second.status == 500
    assert isinstance(exchange.make_offer([]), NegotiationFailure)


@pytest.mark.parametrize("answer", [describe(), describe(stream(), stream()), describe("m=video 5000 RTP/AVP 96")])
def test_an_answer_that_does_not_fit_is_refused_and_rolled_back(answer: SessionDescription) -> None:
    caller = OfferAnswer(1, "192.0.2.1")
    caller.make_offer([MediaOffer(4000, (PCMA,))])
    failure = caller.receive_answer(answer)
    assert isinstance(failure, NegotiationFailure)
    assert failure.status == 488
    assert (caller.state, caller.local) == (NegotiationState.STABLE, None)
