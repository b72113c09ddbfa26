"""Requests, responses and `parse`: RFC 3261 7, 8.2.6, 18.3."""

from __future__ import annotations

import pytest
from torture_messages import request

from callward.sip.headers import Headers
from callward.sip.limits import FILE, STREAM, Limits
from callward.sip.message import MissingHeaderError, ParseFailure, Request, Response, parse, response_to
from callward.sip.session_expires import SessionExpires
from callward.sip.uri import SipUri


def good(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request), message
    return message


def bad(data: bytes, limits: Limits | None = None) -> ParseFailure:
    failure = parse(data) if limits is None else parse(data, limits)
    assert isinstance(failure, ParseFailure)
    return failure


def test_typed_access_of_an_invite() -> None:
    invite = good(
        request(
            "INVITE sip:srs@192.0.2.1:5070;transport=TCP SIP/2.0",
            "m: <sip:src@192.0.2.2>;+sip.src",
            "Require: siprec, 100REL",
            "k: timer",
            "Record-Route: <sip:p2;lr>, <sip:p1;lr>",
            "x: 1800;refresher=uac",
            "Min-SE: 90",
            "c: application/sdp",
            "Allow: INVITE, ACK",
        )
    )
    assert isinstance(invite.uri, SipUri)
    assert (invite.method, invite.uri.transport, invite.call_id) == ("INVITE", "tcp", "torture.1@host1.example.com")
    assert invite.contact is not None
    assert invite.contact.param("+sip.src") == ""
    assert invite.require == {"siprec", "100rel"}
    assert invite.supported == {"timer"}
    assert [str(route.uri) for route in invite.record_route] == ["sip:p2;lr", "sip:p1;lr"]
    assert invite.session_expires == SessionExpires(1800, "uac", (("refresher", "uac"),))
    assert (invite.min_se_s, invite.max_forwards, invite.from_tag, invite.to_tag) == (90, 70, "torture-from", None)
    assert invite.content_type is not None
    assert invite.content_type.name == "application/sdp"
    assert invite.allow == {"INVITE", "ACK"}


def test_typed_values_follow_changes_of_the_headers() -> None:
    invite = good(request("INVITE sip:a@b SIP/2.0"))
    assert invite.via.host == "host1.example.com"
    invite.headers.prepend("Via", "SIP/2.0/TCP new;branch=z9hG4bKn")
    assert invite.via.host == "new"
    assert [via.host for via in invite.vias] == ["new", "host1.example.com"]


def test_odd_optional_headers_are_none_and_never_raise() -> None:
    message = good(
        request(
            "INVITE sip:a@b SIP/2.0",
            "Session-Expires: soon",
            "Route: <<>>",
            "RAck: x",
            "Content-Type: ;;",
            "Expires: -1",
            "Reason: ;",
        )
    )
    assert (message.session_expires, message.rack, message.content_type, message.expires_s) == (None, None, None, None)
    assert (message.route, message.reasons) == ((), ())


def test_a_message_of_our_own_without_a_mandatory_header_says_which() -> None:
    with pytest.raises(MissingHeaderError, match="no valid CSeq"):
        _ = Request("INVITE", SipUri("h")).cseq


def test_display_names_in_latin_1_survive_beside_utf_8() -> None:
    message = good(request("INVITE sip:a@b SIP/2.0", b'From: "J\xfcrgen" <sip:j@b>;tag=1', 'To: "Žižek" <sip:z@b>'))
    assert (message.from_.display_name, message.to.display_name) == ("Jürgen", "Žižek")
    assert b'"J\xfcrgen"' in message.raw
    assert '"Jürgen"'.encode() in message.to_bytes()


def test_line_ends_may_be_lf_only() -> None:
    message = good(request("INVITE sip:a@b SIP/2.0", "Subject: x", body="").replace(b"\r\n", b"\n"))
    assert message.headers.get("Subject") == "x"


def test_7_5_empty_lines_before_the_message_are_ignored() -> None:
    good(b"\r\n\r\n" + request("INVITE sip:a@b SIP/2.0"))


def test_7_1_the_version_is_compared_without_case_the_method_with() -> None:
    assert good(request("INVITE sip:a@b sip/2.0")).method == "INVITE"
    assert good(request("invite sip:a@b SIP/2.0")).method == "invite"


@pytest.mark.parametrize("length", ["abc", "-1", "1, 1", "+1", "٣", "99999999999", "0x1"])
def test_18_3_malformed_content_length(length: str) -> None:
    assert bad(request("INVITE sip:a@b SIP/2.0", f"Content-Length: {length}", length=False)).status == 400


def test_18_3_datagram_lengths() -> None:
    assert good(request("MESSAGE sip:a@b SIP/2.0", body="hello", length=False)).body == b"hello"
    assert good(request("MESSAGE sip:a@b SIP/2.0", "l: 2", body="hello", length=False)).body == b"he"
    assert (
        good(request("MESSAGE sip:a@b SIP/2.0", "l: 5", "Content-Length: 5", body="hello", length=False)).body
        == b"hello"
    )
    failure = bad(request("MESSAGE sip:a@b SIP/2.0", "l: 6", body="hello", length=False))
    assert (failure.status, failure.answerable) == (400, True)


def test_files_may_have_any_content_length() -> None:
    data = request("MESSAGE sip:a@b SIP/2.0", "l: 999", body="hello", length=False)
    message = parse(data, FILE)
    assert isinstance(message, Request)
    assert message.body == b"hello"


def test_sizes() -> None:
    assert len(good(request("INVITE sip:a@b SIP/2.0", body="x" * 50_000)).body) == 50_000
    assert bad(request("INVITE sip:a@b SIP/2.0", body="x" * 70_000)).status == 513
    assert isinstance(parse(request("INVITE sip:a@b SIP/2.0", body="x" * 1_000_000), STREAM), Request)
    assert bad(request("INVITE sip:a@b SIP/2.0", body="x" * 1_050_000), STREAM).status == 413
    assert bad(request("INVITE sip:a@b SIP/2.0", "Subject: " + "x" * 9_000)).status == 513
    assert bad(request("INVITE sip:a@b SIP/2.0", *["X: y"] * 257)).status == 513
    good(request("INVITE sip:a@b SIP/2.0", *["X: y"] * 200))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"x",
        b"\0",
        b"INVITE",
        b"INVITE sip:a@b SIP/2.0",
        b"INVITE sip:a@b SIP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02",
    ],
)
def test_what_is_no_sip_is_refused_and_not_answered(data: bytes) -> None:
    failure = bad(data)
    assert not failure.answerable


def test_an_ack_is_never_answered() -> None:
    assert not bad(request("ACK sip:a@b SIP/2.0", "CSeq: x ACK")).answerable


@pytest.mark.parametrize("drop", ["via", "from", "to", "call-id", "cseq"])
def test_8_1_1_mandatory_headers(drop: str) -> None:
    failure = bad(request("INVITE sip:a@b SIP/2.0", without=(drop,)))
    assert failure.status == 400
    assert failure.method == "INVITE"


@pytest.mark.parametrize("line", ["Max-Forwards: x", "Contact: <sip:", "From: <sip:a@b", 'To: "x', "Via: x", "CSeq: 1"])
def test_malformed_mandatory_headers(line: str) -> None:
    assert bad(request("INVITE sip:a@b SIP/2.0", line)).status == 400


def test_a_malformed_contact_of_a_response_costs_nothing() -> None:
    response = parse(
        request("INVITE sip:a@b SIP/2.0", "Contact: <sip:").replace(b"INVITE sip:a@b SIP/2.0", b"SIP/2.0 200 OK", 1)
    )
    assert isinstance(response, Response)
    assert response.contacts == ()


def test_10_2_2_wildcard_contact() -> None:
    message = good(request("REGISTER sip:b SIP/2.0", "Contact: *", "Expires: 0"))
    assert (message.wildcard_contact, message.contacts) == (True, ())


def test_8_2_6_a_response_copies_what_it_must() -> None:
    invite = good(
        request("INVITE sip:a@b SIP/2.0", "Via: SIP/2.0/UDP one;branch=z9hG4bK1", "Via: SIP/2.0/UDP two", "Subject: s")
    )
    response = response_to(invite, 486, to_tag="mine")
    again = parse(response.to_bytes())
    assert isinstance(again, Response)
    assert (again.status, again.reason, again.to_tag, again.from_tag) == (486, "Busy Here", "mine", "torture-from")
    assert [via.host for via in again.vias] == ["one", "two"]
    assert (again.cseq, again.call_id) == (invite.cseq, invite.call_id)
    assert "Subject" not in again.headers


def test_8_2_6_2_a_to_tag_that_is_there_stays() -> None:
    bye = good(request("BYE sip:a@b SIP/2.0", "To: sip:a@b;tag=old"))
    assert response_to(bye, 200, to_tag="new").to_tag == "old"


def test_a_refused_request_is_answered_with_what_could_be_read() -> None:
    failure = bad(request("INVITE sip:a@b SIP/2.0", "Content-Length: 99999", length=False))
    response = parse(response_to(failure, failure.status, failure.reason, to_tag="t").to_bytes())
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.cseq.method) == (
        400,
        "Content-Length Larger Than Message",
        "INVITE",
    )


def test_printing_writes_the_true_content_length_once() -> None:
    headers = Headers([("Content-Length", "77"), ("Subject", "s")])
    assert (
        Response(200, "OK\r\nX: y", headers, b"abc").to_bytes()
        == b"SIP/2.0 200 OK  X: y\r\nSubject: s\r\nContent-Length: 3\r\n\r\nabc"
    )


def test_a_copy_is_independent() -> None:
    invite = good(request("INVITE sip:a@b SIP/2.0"))
    copy = invite.copy()
    copy.headers.remove("Via")
    assert invite.via.branch
    assert "Via" not in copy.headers


@pytest.mark.parametrize(
    ("contact", "name"),
    [
        ("<sip:src@h>;+sip.src", "+sip.src"),
        ("<sip:src@h>;src", "src"),
        ("sip:src@h;+sip-src", "+sip-src"),
        ('<sip:h>;+sip.src="TRUE"', "+sip.src"),
    ],
)
def test_dialects_of_the_recording_client_mark_in_contact(contact: str, name: str) -> None:
    marked = good(request("INVITE sip:a@b SIP/2.0", f"Contact: {contact}")).contact
    assert marked is not None
    assert marked.param(name) is not None


def test_broadworks_empty_recv_info_and_odd_cseq_of_a_bye() -> None:
    bye = good(request("BYE sip:a@b SIP/2.0", "Recv-Info:", "CSeq: 3 INVITE"))
    assert (bye.headers.get("Recv-Info"), bye.headers.get_all("Recv-Info"), bye.cseq.number) == ("", [], 3)
