"""URIs: RFC 3261 19.1, RFC 3966."""

from __future__ import annotations

import pytest

from callward.sip.address import parse_address
from callward.sip.uri import SipUri, TelUri, parse_uri


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sips:1212@gateway.com",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[2001:db8::10]:5070;transport=tls;lr",
        "sip:caller@[::ffff:192.0.2.10]:19823",
        "tel:+1-201-555-0123",
        "tel:7042;phone-context=example.com",
        "urn:service:sos",
        "sip:null-%00-null@example.com",
    ],
)
def test_19_1_3_examples_are_printed_as_they_came(text: str) -> None:
    uri = parse_uri(text)
    assert uri is not None
    assert str(uri) == text


@pytest.mark.parametrize(
    "text",
    ["", "sip:", "sip:@h", "sip:a@", "sip:a@h:", "sip:a@h:99999", "sip:a@h:-1", "sip:a b@h", "sip:a@h;=x", "sip:2001:db8::1",
     "sip:a@[::1", "sip:a@h\0", "sip:a@<h>", "alice", "1x:y", "tel:", "sip:a@h:٣", "sip:a@hö", "sip:" + "a" * 5000],
)  # fmt: skip
def test_malformed_uris_are_refused(text: str) -> None:
    assert parse_uri(text) is None


def test_parts_of_a_sip_uri() -> None:
    uri = sip("SIPS:bob:pw@Example.COM:5061;Transport=TCP;LR;x=1?a=b")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sips", "bob", "pw", "Example.COM", 5061)
    assert (uri.transport, uri.loose_routing, uri.param("x"), uri.headers) == ("tcp", True, "1", "a=b")
    assert uri.without_param("lr").with_param("transport", "udp").params == (("transport", "udp"), ("x", "1"))
    assert sip("sip:[2001:db8::1]").host_port == "[2001:db8::1]"


def test_a_changed_user_is_printed_changed_though_the_old_one_had_escapes() -> None:
    from dataclasses import replace

    uri = sip("sip:%61li%63e@h")
    assert (uri.user, str(uri)) == ("alice", "sip:%61li%63e@h")
    assert str(replace(uri, user="b@b")) == "sip:b%40b@h"


def test_latin_1_escapes_become_text() -> None:
    assert sip("sip:J%FCrgen@h").user == "Jürgen"
    assert sip("sip:J%C3%BCrgen@h").user == "Jürgen"


def test_an_escaped_line_end_stays_escaped() -> None:
    uri = sip("sip:a%0D%0AX-Internal:1@h")
    assert uri.user == "a%0D%0AX-Internal"
    assert sip("sip:a%0D%0Ab@h").user == "a%0D%0Ab"
    assert str(SipUri("h", "a%0D%0Ab")) == "sip:a%0D%0Ab@h"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_19_1_4_equivalent_uris(one: str, other: str) -> None:
    assert sip(one).equivalent(sip(other))
    assert sip(other).equivalent(sip(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@h", "sips:a@h"),
    ],
)
def test_19_1_4_different_uris(one: str, other: str) -> None:
    assert not sip(one).equivalent(sip(other))


def test_rfc3966_tel_uri() -> None:
    uri = parse_uri("tel:863-1234;phone-context=+1-914-555;ext=9")
    assert isinstance(uri, TelUri)
    assert (uri.number, uri.user, uri.phone_context, uri.param("ext")) == ("863-1234", "8631234", "+1-914-555", "9")


@pytest.mark.parametrize(
    ("text", "name", "uri", "tag"),
    [
        ('"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s', "A. G. Bell", "sip:agb@bell-telephone.com", "a48s"),
        ("sip:+12125551212@server.phone2net.com;tag=887s", "", "sip:+12125551212@server.phone2net.com", "887s"),
        ("Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8", "Anonymous", "sip:c8oqz84zk7z@privacy.org", "hyh8"),
        ("caller<sip:caller@example.com;x=y>", "caller", "sip:caller@example.com;x=y", None),
        ('"Ünïcode \\" \\\\" <sip:a@b>', 'Ünïcode " \\', "sip:a@b", None),
        ('"" <tel:+3212>', "", "tel:+3212", None),
        ("<sip:a@b>;;tag=1;", "", "sip:a@b", "1"),
        ('"a;tag=x" <sip:a@b>;tag="q r"', "a;tag=x", "sip:a@b", "q r"),
    ],
)
def test_20_10_addresses(text: str, name: str, uri: str, tag: str | None) -> None:
    address = parse_address(text)
    assert address is not None
    assert (address.display_name, str(address.uri), address.tag) == (name, uri, tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"open <sip:a@b>',
        "<sip:a@b",
        "sip:a@b?x=y",
        '"a" sip:a@b',
        "<>",
        '<sip:a@b>;x="',
        "<sip:a@b> junk",
        'a"b <sip:a@b>',
    ],
)
def test_20_10_malformed_addresses(text: str) -> None:
    assert parse_address(text) is None
