"""Caller identity: RFC 3323, 3325, 3966, 4458, 5806, 7044, 7544 and the spellings of the field."""

from __future__ import annotations

import pytest
from torture_messages import request

from callward.sip.address import parse_address
from callward.sip.identity import CallIdentity, Identity, call_identity, is_anonymous, number_of
from callward.sip.message import Request, parse
from callward.sip.numbers import NumberKind
from callward.sip.uri import parse_uri


def identity(
    *lines: str, start: str = "INVITE sip:+3222000000@pbx.example SIP/2.0", trusted: bool = True
) -> CallIdentity:
    message = parse(request(start, *lines))
    assert isinstance(message, Request), message
    return call_identity(message, "BE", trusted=trusted)


def test_from_alone() -> None:
    found = identity('From: "Jan Peeters" <sip:0479123456@gw.example:5060;user=phone>;tag=1')
    assert found.caller == found.presented
    assert (found.caller.name, found.caller.aor, found.caller.number.e164) == (
        "Jan Peeters",
        "sip:0479123456@gw.example",
        "+32479123456",
    )
    assert found.called.number.e164 == "+3222000000"
    assert not found.anonymous


def test_rfc3325_an_asserted_identity_counts_for_trusted_peers_only() -> None:
    lines = ('From: "Evil" <sip:+32900@x>;tag=1', 'P-Asserted-Identity: "Desk" <sip:desk@pbx>, <tel:+3222223344>')
    assert identity(*lines).caller == Identity(
        "p-asserted-identity", "tel:+3222223344", "Desk", identity(*lines).caller.number
    )
    assert identity(*lines).caller.number.e164 == "+3222223344"
    assert identity(*lines, trusted=False).caller.source == "from"


def test_remote_party_id_of_the_calling_party_and_its_privacy() -> None:
    lines = (
        "From: <sip:anonymous@anonymous.invalid>;tag=1",
        'Remote-Party-ID: <sip:0479000000@x>;party=called, "Jan" <sip:0479123456@x>;party=calling;privacy=full',
    )
    found = identity(*lines)
    assert (found.caller.source, found.caller.number.e164, found.anonymous) == ("remote-party-id", "+32479123456", True)
    assert identity(*lines, trusted=False).caller.number.kind is NumberKind.NONE


@pytest.mark.parametrize(
    "address",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        "<sip:c8oqz84zk7z@ANONYMOUS.invalid>",
        "sip:Restricted@gw.example",
        "<sip:unavailable@unknown.invalid>",
        '"Anonyme" <sip:0479123456@gw>',
        '"Private Number" <sip:0@gw>',
        "<sip:unknown@x>",
    ],
)
def test_rfc3323_anonymous_in_its_spellings(address: str) -> None:
    parsed = parse_address(address)
    assert parsed is not None
    assert is_anonymous(parsed)


@pytest.mark.parametrize("address", ['"Ann Onymous" <sip:ann@x>', "<sip:private.smith@x>", "<sip:+3247@invalid>"])
def test_names_that_only_look_anonymous(address: str) -> None:
    parsed = parse_address(address)
    assert parsed is not None
    assert not is_anonymous(parsed)


@pytest.mark.parametrize(
    ("privacy", "hidden"), [("id", True), ("user;critical", True), ("none", False), ("session", False)]
)
def test_rfc3323_privacy(privacy: str, hidden: bool) -> None:
    found = identity("From: <sip:0479123456@x>;tag=1", f"Privacy: {privacy}")
    assert found.anonymous is hidden
    assert found.caller.number.e164 == "+32479123456"


@pytest.mark.parametrize(
    ("uri", "best"),
    [
        ("tel:+32-479-12-34-56", "+32479123456"),
        ("tel:0479123456;phone-context=example.com", "+32479123456"),
        ("tel:479123456;phone-context=+32", "+32479123456"),
        ("sip:479123456;phone-context=+32@gw.example;user=phone", "+32479123456"),
        ("tel:112;phone-context=+32", "112"),
        ("tel:1234;phone-context=pbx.example", "1234"),
        ("sip:%2B32479123456@x", "+32479123456"),
        ("sip:alice@x", ""),
        ("sip:x", ""),
        ("urn:service:sos", ""),
    ],
)
def test_rfc3966_numbers_of_uris(uri: str, best: str) -> None:
    parsed = parse_uri(uri)
    assert parsed is not None
    assert number_of(parsed, "BE").best == best


def test_the_called_party_is_of_the_request_uri_else_of_to() -> None:
    found = identity("To: <sip:+3222111111@x>", start="INVITE sip:gw.example SIP/2.0")
    assert (found.called.source, found.called.number.e164) == ("to", "+3222111111")


def test_rfc5806_diversions_in_the_order_in_which_they_happened() -> None:
    found = identity(
        'Diversion: <sip:0479222222@x>;reason=No-Answer;counter=2;privacy=full, "First" <sip:0479111111@x>;reason=unconditional'
    )
    assert [(d.number.e164, d.reason, d.hidden, d.name) for d in found.diversions] == [
        ("+32479111111", "unconditional", False, "First"),
        ("+32479222222", "no-answer", True, ""),
    ]
    assert found.first_called.e164 == "+32479111111"
    assert found.diversion_count == 3


def test_rfc7044_history_info() -> None:
    found = identity(
        "History-Info: <sip:0479333333@x;cause=408>;index=1.1.1;mp=1.1, <sip:0479111111@x>;index=1,"
        " <sip:0479222222@x;cause=302?Privacy=history>;index=1.1;mp=1, <sip:0479333333@10.0.0.1>;index=1.1.1.1"
    )
    assert [(d.number.e164, d.reason, d.hidden) for d in found.diversions] == [
        ("+32479111111", "unconditional", False),
        ("+32479222222", "no-answer", True),
    ]
    assert found.first_called.e164 == "+32479111111"


def test_rfc4244_history_info_with_the_reason_in_the_uri() -> None:
    found = identity(
        "History-Info: <sip:0479111111@x?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22>;index=1, <sip:0479222222@x>;index=1.1"
    )
    assert [(d.number.e164, d.reason) for d in found.diversions] == [("+32479111111", "user-busy")]


def test_odd_headers_cost_nothing() -> None:
    found = identity(
        "Diversion: <<>", "History-Info: ;;;", "P-Asserted-Identity: x", 'Remote-Party-ID: "', "Privacy: ;;"
    )
    assert found.diversions == ()
    assert found.caller.source == "from"
    assert found.first_called == found.called.number


def test_a_flood_of_diversions_is_bounded() -> None:
    found = identity(*["Diversion: <sip:0479111111@x>"] * 60)
    assert len(found.diversions) == 32
