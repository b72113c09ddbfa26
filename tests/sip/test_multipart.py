"""Bodies of several parts: RFC 2046 5.1, RFC 5621, and what recording clients really send (siprec.md, S10, S11)."""

from __future__ import annotations

import pytest

from callward.sip import multipart
from callward.sip.multipart import Part

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
XML = b"<?xml version='1.0'?>\r\n<recording/>\r\n"


def body(*lines: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join(lines)


USUAL = body(
    b"--foo", b"Content-Type: application/sdp", b"", SDP.rstrip(), b"--foo", b"Content-Type: application/rs-metadata+xml",
    b"Content-Disposition: recording-session", b"", XML.rstrip(), b"--foo--", b"",
)  # fmt: skip


def test_s10_sdp_and_metadata() -> None:
    found = multipart.parse_with_defects('multipart/mixed;boundary="foo"', USUAL)
    sdp, metadata = found.parts
    assert (sdp.content_type.name, sdp.body, sdp.disposition) == ("application/sdp", SDP.rstrip(), None)
    assert (metadata.content_type.name, metadata.body) == ("application/rs-metadata+xml", XML.rstrip())
    assert metadata.disposition is not None
    assert metadata.disposition.kind == "recording-session"
    assert found.defects == ()


def test_s10_a_single_part_may_be_bare() -> None:
    (part,) = multipart.parse("application/SDP;x=y", SDP)
    assert (part.content_type.name, part.body) == ("application/sdp", SDP)
    assert multipart.parse("application/sdp", b"") == []


def test_cube_no_closing_boundary_and_an_optional_third_part() -> None:
    third = b"--foo\r\nContent-Type: application/gtd\r\nContent-Disposition: signal;handling=optional\r\n\r\nIAM,\r\n"
    found = multipart.parse_with_defects("multipart/mixed; boundary=foo", USUAL.replace(b"--foo--\r\n", third))
    assert [part.content_type.name for part in found.parts][2] == "application/gtd"
    assert [part.optional for part in found.parts] == [False, False, True]
    assert found.parts[2].body == b"IAM,\r\n"
    assert found.defects == ("not_closed",)


def test_lf_line_ends() -> None:
    parts = multipart.parse("multipart/mixed;boundary=foo", USUAL.replace(b"\r\n", b"\n"))
    assert [part.body for part in parts] == [SDP.rstrip().replace(b"\r\n", b"\n"), XML.rstrip().replace(b"\r\n", b"\n")]


def test_preamble_epilogue_and_spaces_after_the_boundary_are_ignored() -> None:
    odd = (
        b"This is MIME.\r\n--foobar\r\n" + USUAL.replace(b"--foo\r\n", b"--foo  \r\n") + b"epilogue\r\n--foo\r\nno part"
    )
    assert [part.content_type.subtype for part in multipart.parse("multipart/mixed;boundary=foo", odd)] == [
        "sdp",
        "rs-metadata+xml",
    ]


def test_a_boundary_inside_a_line_is_text() -> None:
    text = body(b"--b", b"", b"a --b", b"--bc", b"--b--c", b"--b--")
    (part,) = multipart.parse("multipart/mixed;boundary=b", text)
    assert part.body == b"a --b\r\n--bc\r\n--b--c"


@pytest.mark.parametrize(
    "content_type", ["multipart/mixed", "multipart/mixed;boundary=wrong", 'multipart/mixed;boundary="', "garbage", None]
)
def test_a_boundary_that_is_missing_or_wrong_is_guessed(content_type: str | None) -> None:
    found = multipart.parse_with_defects(content_type, USUAL)
    assert [part.content_type.subtype for part in found.parts] == ["sdp", "rs-metadata+xml"]
    assert found.defects == ("boundary_guessed",)


def test_a_body_without_any_boundary_is_kept_whole() -> None:
    found = multipart.parse_with_defects("multipart/mixed;boundary=foo", XML)
    assert [(part.content_type.type, part.body) for part in found.parts] == [("multipart", XML)]
    assert found.defects == ("no_parts",)


def test_one_level_of_nesting_is_listed_in_place() -> None:
    inner = multipart.build([Part.of("text/plain", b"in")], "inner")
    deep = multipart.build([Part.of("multipart/mixed;boundary=inner", inner)], "mid")
    outer = multipart.build(
        [
            Part.of("application/sdp", SDP),
            Part.of("multipart/mixed;boundary=inner", inner),
            Part.of("multipart/mixed;boundary=mid", deep),
        ],
        "outer",
    )
    parts = multipart.parse(multipart.content_type("outer"), outer)
    assert [part.content_type.name for part in parts] == ["application/sdp", "text/plain", "multipart/mixed"]


def test_parts_without_headers_are_recognised_by_their_content() -> None:
    sdp, xml = multipart.parse("multipart/mixed;boundary=b", body(b"--b", b"", SDP, b"--b", b"", XML, b"--b--"))
    assert (sdp.content_type.name, xml.content_type.name) == ("application/sdp", "application/xml")


def test_transfer_encodings() -> None:
    head = b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
    parts = multipart.parse(
        "multipart/mixed;boundary=b",
        head + b"BASE64\r\n\r\naGVs\r\nbG8=\r\n" + head + b"quoted-printable\r\n\r\na=3Db\r\n--b--",
    )
    assert [part.body for part in parts] == [b"hello", b"a=b"]
    found = multipart.parse_with_defects("multipart/mixed;boundary=b", head + b"base64\r\n\r\na\r\n--b--")
    assert found.defects == ("bad_transfer_encoding",)
    assert found.parts[0].body == b"a"


def test_at_most_100_parts_are_read() -> None:
    found = multipart.parse_with_defects("multipart/mixed;boundary=b", b"--b\r\n\r\nx\r\n" * 5_000 + b"--b--")
    assert len(found.parts) == multipart.MAX_PARTS
    assert "too_many_parts" in found.defects


def test_build_and_parse_round_trip() -> None:
    parts = [
        Part.of("application/sdp", SDP),
        Part.of("application/rs-metadata+xml", b"--no\r\n\r\n", "recording-session"),
    ]
    octets = multipart.build(parts, "OSS-unique-boundary-42")
    again = multipart.parse(str(multipart.content_type("OSS-unique-boundary-42")), octets)
    assert [(part.content_type, part.body, part.disposition) for part in again] == [
        (part.content_type, part.body, part.disposition) for part in parts
    ]
    with pytest.raises(ValueError, match="occurs in a part"):
        multipart.build(parts, "no")
