"""Every message of RFC 4475 sections 3.1 to 3.4, and IPv6 ones of RFC 5118, with the result that each asks for."""

from __future__ import annotations

import pytest
from torture_messages import INVALID, IPV6, LIBERAL, LONG, VALID

from callward.sip import multipart
from callward.sip.auth_headers import parse_credentials
from callward.sip.framing import StreamFramer
from callward.sip.message import ParseFailure, Request, Response, parse
from callward.sip.uri import OpaqueUri, SipUri


def accepted(data: bytes) -> Request | Response:
    result = parse(data)
    assert not isinstance(result, ParseFailure), result
    return result


def accepted_request(data: bytes) -> Request:
    result = accepted(data)
    assert isinstance(result, Request)
    return result


@pytest.mark.parametrize("name", VALID)
def test_rfc4475_3_1_1_valid_messages_are_accepted_and_survive_a_round_trip(name: str) -> None:
    first = accepted(VALID[name])
    second = accepted(first.to_bytes())
    assert second.headers == first.headers
    assert second.body == first.body
    assert (second.via, second.from_, second.to, second.cseq) == (first.via, first.from_, first.to, first.cseq)


@pytest.mark.parametrize("name", INVALID)
def test_rfc4475_3_1_2_invalid_messages_are_refused_with_their_status(name: str) -> None:
    data, status = INVALID[name]
    failure = parse(data)
    assert isinstance(failure, ParseFailure)
    assert failure.status == status


@pytest.mark.parametrize("name", LIBERAL)
def test_rfc4475_messages_left_to_upper_layers_are_parsed(name: str) -> None:
    accepted(accepted(LIBERAL[name]).to_bytes())


@pytest.mark.parametrize("name", [name for name in INVALID if name not in ("3.1.2.5 scalarlg", "3.1.2.19 bigcode")])
def test_rfc4475_refused_requests_can_be_answered_where_their_headers_allow(name: str) -> None:
    failure = parse(INVALID[name][0])
    assert isinstance(failure, ParseFailure)
    unanswerable = name in ("3.3.1 insuf", "3.1.2.16 badvers")
    assert failure.answerable is not unanswerable


@pytest.mark.parametrize("name", ["3.1.2.5 scalarlg", "3.1.2.19 bigcode"])
def test_rfc4475_refused_responses_are_never_answered(name: str) -> None:
    failure = parse(INVALID[name][0])
    assert isinstance(failure, ParseFailure)
    assert not failure.answerable


@pytest.mark.parametrize("name", IPV6)
def test_rfc5118_ipv6(name: str) -> None:
    data, valid = IPV6[name]
    assert isinstance(parse(data), ParseFailure) is not valid


def test_3_1_1_1_folded_and_spaced_headers_have_their_values() -> None:
    invite = accepted_request(VALID["3.1.1.1 wsinv"])
    assert invite.to.tag == "1918181833n"
    assert invite.from_.display_name == 'J Rosenberg \\"'
    assert invite.from_.tag == "98asjd8"
    assert invite.max_forwards == 68
    assert (invite.cseq.number, invite.cseq.method) == (9, "INVITE")
    assert [(via.transport, via.host, via.branch) for via in invite.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert invite.headers.get("Subject") == ""
    assert invite.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert invite.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert invite.route[0].sip_uri == SipUri(
        "services.example.com", params=(("lr", None), ("unknownwith", "value"), ("unknown-no-value", None))
    )
    contact = invite.contacts[0]
    assert contact.display_name == 'Quoted string ""'
    assert contact.params == (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33"))
    assert invite.uri.param("unknownparam") == ""


def test_3_1_1_2_the_widest_range_of_characters() -> None:
    request = accepted_request(VALID["3.1.1.2 intmeth"])
    assert request.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert isinstance(request.uri, SipUri)
    assert request.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert request.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert request.to.display_name == "BEL: NUL: DEL:"
    assert request.from_.param("fromparam''~+*_!.-%") == "работающий"
    assert request.headers.get("extensionheader-!.%*+_`'~") == "\ufeff大停電"


def test_3_1_1_3_escapes_are_resolved_and_kept_on_the_wire() -> None:
    request = accepted_request(VALID["3.1.1.3 esc01"])
    assert isinstance(request.uri, SipUri)
    assert (request.uri.user, request.uri.host) == ("sips:user@example.com", "example.net")
    assert str(request.uri) == "sip:sips%3Auser%40example.com@example.net"
    assert request.to.uri.user == "user"
    assert request.from_.uri.user == "I have spaces"
    contact = request.contacts[0].sip_uri
    assert contact is not None
    assert contact.loose_routing
    assert contact.param("name") == "value%41"


def test_3_1_1_4_escaped_nulls_stay_escaped() -> None:
    request = accepted_request(VALID["3.1.1.4 escnull"])
    assert [contact.uri.user for contact in request.contacts] == ["%00", "%00%00"]
    assert "\0" not in (request.to.uri.user or "")
    assert b"sip:null-%00-null@example.com" in request.to_bytes()


def test_3_1_1_5_percent_in_methods_and_header_names_is_no_escape() -> None:
    request = accepted_request(VALID["3.1.1.5 esc02"])
    assert request.method == "RE%47IST%45R"
    assert [contact.uri.user for contact in request.contacts] == ["alias1", "alias3"]
    assert request.to.display_name == "%Z%45"


def test_3_1_1_7_long_values_are_whole() -> None:
    request = accepted_request(VALID["3.1.1.7 longreq"])
    assert len(request.vias) == 34
    assert (request.from_.tag or "").count("long") == 60
    assert request.from_.uri.user == LONG


def test_3_1_1_8_octets_after_the_body_of_a_datagram_are_ignored_but_are_the_next_message_of_a_stream() -> None:
    data = VALID["3.1.1.8 dblreq"]
    assert accepted_request(data).method == "REGISTER"
    assert accepted_request(data).body == b""
    framed = StreamFramer().feed(data)
    assert [item.method for item in framed if isinstance(item, Request)] == ["REGISTER", "INVITE"]


def test_3_1_1_9_semicolons_of_the_user_part_are_no_uri_parameters() -> None:
    request = accepted_request(VALID["3.1.1.9 semiuri"])
    assert isinstance(request.uri, SipUri)
    assert request.uri.user == "user;par=u@example.net"
    assert request.uri.params == ()


def test_3_1_1_10_unknown_transports_are_kept() -> None:
    vias = accepted_request(VALID["3.1.1.10 transports"]).vias
    assert [via.transport for via in vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_3_1_1_11_binary_parts_are_whole() -> None:
    request = accepted_request(VALID["3.1.1.11 mpart01"])
    text, binary = multipart.parse(request.content_type, request.body)
    assert text.body == b"Hello"
    assert binary.body == b"0\x82\x01R\x06\t*\x86H\r\n\x00\x01\x02--"


def test_3_1_1_12_and_13_any_reason_phrase() -> None:
    response = accepted(VALID["3.1.1.12 unreason"])
    assert isinstance(response, Response)
    assert response.reason == "= 2**3 * 5**2 но сто - простое"
    empty = accepted(VALID["3.1.1.13 noreason"])
    assert isinstance(empty, Response)
    assert (empty.status, empty.reason) == (100, "")


def test_3_1_2_14_and_15_odd_addresses_are_printed_as_they_should_have_been() -> None:
    spaced = accepted_request(LIBERAL["3.1.2.14 badaspec"]).to
    unquoted = accepted_request(LIBERAL["3.1.2.15 baddn"]).to
    assert str(spaced) == str(unquoted) == '"Watson, Thomas" <sip:t.watson@example.org>'


def test_3_1_2_17_a_wrong_cseq_method_is_tolerated_in_ack_and_bye_only() -> None:
    wrong = INVALID["3.1.2.17 mismatch01"][0]
    for method in (b"ACK", b"BYE"):
        assert accepted_request(wrong.replace(b"OPTIONS", method)).cseq.method == "INVITE"


def test_3_2_1_a_branch_that_is_only_the_cookie_identifies_nothing() -> None:
    via = accepted_request(LIBERAL["3.2.1 badbranch"]).via
    assert not via.is_rfc3261


def test_3_3_2_to_3_3_4_unknown_schemes_are_kept() -> None:
    assert accepted_request(LIBERAL["3.3.2 unkscm"]).uri == OpaqueUri("nobodyKnowsThisScheme", "totallyopaquecontent")
    assert accepted_request(LIBERAL["3.3.3 novelsc"]).uri == OpaqueUri("soap.beep", "//192.0.2.103:3002")
    register = accepted_request(LIBERAL["3.3.4 unksm2"])
    assert str(register.to.uri) == "isbn:2983792873"
    assert str(register.contacts[0].uri) == "name:John_Smith"


def test_3_3_5_required_extensions_are_listed() -> None:
    request = accepted_request(LIBERAL["3.3.5 bext01"])
    assert request.require == {"nothingsupportsthis", "nothingsupportsthiseither"}
    assert len(request.proxy_require) == 2


def test_3_3_7_an_unknown_scheme_gives_no_credentials() -> None:
    request = accepted_request(LIBERAL["3.3.7 regaut01"])
    assert parse_credentials(request.headers.get("Authorization") or "") is None


def test_3_3_11_max_forwards_of_zero_is_read() -> None:
    assert accepted_request(LIBERAL["3.3.11 zeromf"]).max_forwards == 0


def test_3_3_12_to_3_3_14_parameters_belong_to_the_header_or_the_uri() -> None:
    header = accepted_request(LIBERAL["3.3.12 cparam01"]).contacts[0]
    uri = accepted_request(LIBERAL["3.3.13 cparam02"]).contacts[0]
    escaped = accepted_request(LIBERAL["3.3.14 regescrt"]).contacts[0]
    assert (header.param("unknownparam"), header.uri.param("unknownparam")) == ("", None)
    assert (uri.param("unknownparam"), uri.uri.param("unknownparam")) == (None, "")
    assert escaped.sip_uri is not None
    assert escaped.sip_uri.headers == "Route=%3Csip:sip.example.com%3E"


def test_3_4_1_rfc2543_has_no_tags_and_no_max_forwards() -> None:
    invite = accepted_request(LIBERAL["3.4.1 inv2543"])
    assert (invite.from_.tag, invite.via.branch, invite.max_forwards) == (None, None, None)
