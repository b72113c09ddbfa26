"""The header multi-map and the typed headers: RFC 3261 7.3 and 20, RFC 3262, 3326, 3581, 3891, 4028, 6665."""

from __future__ import annotations

import pytest

from callward.sip.cseq import RAck, parse_cseq, parse_rack
from callward.sip.headers import Headers
from callward.sip.media_type import parse_disposition, parse_media_type
from callward.sip.reason import parse_reason, parse_replaces
from callward.sip.session_expires import (
    RetryAfter,
    SessionExpires,
    parse_delta,
    parse_retry_after,
    parse_session_expires,
)
from callward.sip.subscription import parse_event, parse_subscription_state
from callward.sip.via import parse_via


def test_7_3_names_compare_without_case_and_compact_forms_are_expanded() -> None:
    headers = Headers([("v", "1"), ("VIA", "2"), ("x-odd", "3"), ("k", "timer")])
    assert list(headers) == [("Via", "1"), ("Via", "2"), ("x-odd", "3"), ("Supported", "timer")]
    assert headers.get("via") == headers.get("V") == "1"
    assert headers.get("X-Odd") == "3"
    assert "SUPPORTED" in headers
    assert headers.get("Subject", "-") == "-"
    assert headers.names() == ["Via", "x-odd", "Supported"]


def test_7_3_1_only_list_headers_are_split_at_commas() -> None:
    headers = Headers(
        [("Contact", '"a, b" <sip:a@b,c>, <sip:c@d>'), ("Contact", "<sip:e@f>"), ("Date", "Sat, 13 Nov 2010")]
    )
    headers.add("Authorization", 'Digest realm="a", nonce="b"')
    headers.add("X-Unknown", "a, b")
    assert headers.get_all("Contact") == ['"a, b" <sip:a@b,c>', "<sip:c@d>", "<sip:e@f>"]
    assert headers.get_all("Date") == ["Sat, 13 Nov 2010"]
    assert len(headers.get_all("Authorization")) == len(headers.get_all("X-Unknown")) == 1
    assert headers.get_lines("Contact")[0].count("sip:") == 2
    assert headers.get_all("Route") == []


def test_changes_keep_order_and_place() -> None:
    headers = Headers([("Via", "1"), ("To", "t"), ("Via", "2"), ("From", "f")])
    headers.prepend("Via", "0")
    headers.set("To", "u")
    headers.add("Subject", "s")
    assert list(headers) == [("Via", "0"), ("Via", "1"), ("To", "u"), ("Via", "2"), ("From", "f"), ("Subject", "s")]
    headers.set("Via", "only")
    headers.remove("s")
    assert list(headers) == [("Via", "only"), ("To", "u"), ("From", "f")]
    assert headers.count("Via") == 1
    copy = headers.copy()
    copy.prepend("Route", "<sip:a>")
    assert "Route" not in headers
    assert next(iter(copy)) == ("Route", "<sip:a>")


def test_remove_first_takes_one_element_of_a_list() -> None:
    headers = Headers([("Route", "<sip:a>, <sip:b>"), ("Route", "<sip:c>")])
    for left in (["<sip:b>", "<sip:c>"], ["<sip:c>"], []):
        headers.remove_first("Route")
        assert headers.get_all("Route") == left
    headers.remove_first("Route")


def test_20_42_via_with_received_and_rport() -> None:
    via = parse_via("SIP/2.0/udp erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7;rport")
    assert via is not None
    assert (via.transport, via.host, via.port, via.wants_rport, via.rport) == (
        "UDP",
        "erlang.bell-telephone.com",
        5060,
        True,
        None,
    )
    seen = via.with_source("192.0.2.207", 40123)
    assert (seen.received, seen.rport, seen.branch) == ("192.0.2.207", 40123, "z9hG4bK87asdks7")
    same = parse_via("SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx")
    assert same is not None
    assert same.with_source("192.0.2.1", 5) is same
    six = parse_via("SIP / 2.0 / TLS [2001:db8::9:1] : 5061 ;received=[2001:db8::9]")
    assert six is not None
    assert (six.sent_by, six.received) == ("[2001:db8::9:1]:5061", "2001:db8::9")


@pytest.mark.parametrize(
    "text",
    ["", "SIP/1.0/UDP h", "HTTP/2.0/TCP h", "SIP/2.0/UDP", "SIP/2.0/UDP h:x", "SIP/2.0/UDP a b", 'SIP/2.0/UDP h;x="'],
)
def test_20_42_malformed_via(text: str) -> None:
    assert parse_via(text) is None


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE 1", "-1 INVITE", "2147483648 INVITE", "1 INVITE x", "١ INVITE", "1 IN(VITE"]
)
def test_20_16_malformed_cseq(text: str) -> None:
    assert parse_cseq(text) is None


def test_20_16_cseq_with_leading_zeros() -> None:
    assert str(parse_cseq("00009  INVITE")) == "9 INVITE"
    assert str(parse_cseq("0 OPTIONS")) == "0 OPTIONS"
    assert str(parse_cseq("2147483647 BYE")) == "2147483647 BYE"


def test_rfc3262_7_2_rack() -> None:
    assert parse_rack("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    assert parse_rack("776656 1") is None


def test_rfc4028_session_expires_and_min_se() -> None:
    assert parse_session_expires("4000;Refresher=UAC") == SessionExpires(4000, "uac", (("Refresher", "UAC"),))
    assert str(SessionExpires(1800, "uas")) == "1800;refresher=uas"
    assert parse_session_expires("1800;refresher=who") == SessionExpires(1800, None, (("refresher", "who"),))
    assert parse_session_expires("-1") is None
    assert parse_delta("90;lr") == 90
    assert parse_delta("10000000000000000000000") is None


def test_20_33_retry_after() -> None:
    assert parse_retry_after("18000;duration=3600") == RetryAfter(18000, 3600)
    assert parse_retry_after("120 (I'm in a meeting)") == RetryAfter(120, None, "I'm in a meeting")
    assert str(RetryAfter(5)) == "5"
    assert parse_retry_after("soon") is None


def test_rfc3326_reason() -> None:
    reason = parse_reason('Q.850 ;cause=16 ;text="Normal; call, cleared"')
    assert reason is not None
    assert (reason.protocol, reason.cause, reason.text) == ("Q.850", 16, "Normal; call, cleared")
    assert str(reason) == 'Q.850;cause=16;text="Normal; call, cleared"'


def test_rfc3891_replaces() -> None:
    replaces = parse_replaces("98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff;early-only")
    assert replaces is not None
    assert (replaces.call_id, replaces.to_tag, replaces.from_tag, replaces.early_only) == (
        "98732@sip.example.com",
        "ff87ff",
        "r33th4x0r",
        True,
    )
    assert parse_replaces(str(replaces)) == replaces
    assert parse_replaces("98732;to-tag=x") is None


def test_rfc6665_event_and_subscription_state() -> None:
    event = parse_event("refer;id=93809824")
    state = parse_subscription_state("Terminated;reason=noresource;expires=0")
    assert event is not None
    assert state is not None
    assert (event.package, event.id) == ("refer", "93809824")
    assert (state.state, state.reason, state.expires_s) == ("terminated", "noresource", 0)


def test_20_15_media_types_and_dispositions() -> None:
    kind = parse_media_type('Multipart/Mixed ; boundary="a b;c"')
    assert kind is not None
    assert (kind.name, kind.param("boundary")) == ("multipart/mixed", "a b;c")
    assert parse_media_type(str(kind)) == kind
    broken = parse_media_type('application/SDP;x="')
    assert broken is not None
    assert broken.name == "application/sdp"
    assert parse_media_type("sdp") is None
    anything = parse_media_type("*/*")
    assert anything is not None
    assert kind.matches(anything)
    disposition = parse_disposition("Recording-Session;handling=optional")
    assert disposition is not None
    assert (disposition.kind, disposition.optional) == ("recording-session", True)
