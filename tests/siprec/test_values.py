"""Numbers, times, ids and text as the field writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callward.siprec.addresses import number_of, same_number, user_of
from callward.siprec.dialects.avaya import ucid_of
from callward.siprec.dialects.cisco import forked_parties
from callward.siprec.identifiers import base64_uuid, identity_key
from callward.siprec.plain_text import clean
from callward.siprec.times import has_zone, plausible, read_time, write_time


@pytest.mark.parametrize(
    ("aor", "number"),
    [
        ("sip:+3225550101@example.org", "+3225550101"),
        ("sips:+3225550101@example.org:5061;transport=tls", "+3225550101"),
        ("sip:%2B3225550101@example.org", "+3225550101"),
        ("sip:+3225550101;phone-context=be@example.org;user=phone", "+3225550101"),
        ("sip:+3225550101:secret@example.org", "+3225550101"),
        ("tel:+32-2-555.01.01", "+3225550101"),
        ("tel:5550101;phone-context=+322", "5550101"),
        ('"Jan" <sip:+3225550101@example.org>;tag=a', "+3225550101"),
        ("+3225550101@example.org", "+3225550101"),
        ("+3225550101", "+3225550101"),
        ("4711@10.0.0.1", "4711"),
        ("sip:*44@example.org", "*44"),
        ("sip:alice@example.org", ""),
        ("sip:example.org", ""),
        ("sip:10.0.0.1", ""),
        ("10.0.0.1", ""),
        ("sip:+3225550101", "+3225550101"),
        ("", ""),
        ("sip:Y2lzY29zcGFyazov@x.bcld.webex.com", ""),
    ],
)
def test_number_of(aor: str, number: str) -> None:
    assert number_of(aor) == number


@given(st.text(max_size=300))
def test_number_of_any_text_never_raises(text: str) -> None:
    assert len(number_of(text)) <= 33
    assert user_of(text).isprintable()


def test_national_and_international_spellings_of_one_number() -> None:
    assert same_number("+3225550101", "025550101")
    assert same_number("003225550101", "+3225550101")
    assert not same_number("+3225550101", "+3225550102")
    assert not same_number("101", "25550101")
    assert not same_number("", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02T09:00:00Z", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02T10:00:00.250+01:00", datetime(2026, 3, 2, 9, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-03-02T10:00:00+0100", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02 09:00:00", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02T09:00", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02T09:00:60Z", datetime(2026, 3, 2, 9, 0, 59, tzinfo=UTC)),
        ("2026-03-02T09:00:00.123456789Z", datetime(2026, 3, 2, 9, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-13-02T09:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("2026-03-02T09:00:00+99:99", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_s21_times(text: str, expected: datetime | None) -> None:
    assert read_time(text) == expected


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_s21_times_round_trip_to_the_millisecond(moment: datetime) -> None:
    read = read_time(write_time(moment))
    assert read is not None
    assert abs((read - moment).total_seconds()) < 0.001


def test_s21_zones_and_clocks() -> None:
    assert has_zone("2026-03-02T09:00:00-05:00")
    assert not has_zone("2026-03-02T09:00:00")
    assert not plausible(datetime(1970, 1, 1, tzinfo=UTC))
    assert not plausible(None)


@given(st.binary(min_size=16, max_size=16))
def test_ids_are_the_same_in_every_spelling(entropy: bytes) -> None:
    text = base64_uuid(entropy)
    key = identity_key(text)
    dashed = f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"
    assert {identity_key(other) for other in (text.rstrip("="), dashed, dashed.upper(), f"urn:uuid:{dashed}")} == {key}


def test_plain_ids_are_their_own_key() -> None:
    assert identity_key(" callhalf-1:0 ") == "callhalf-1:0"
    assert identity_key("0000-0000-0000-0000-00000000d0d71a52") == "0000-0000-0000-0000-00000000d0d71a52"


@given(st.text(max_size=2000))
def test_clean_text_is_bounded_and_printable(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 255
    assert cleaned.isprintable()
    assert clean(cleaned) == cleaned


def test_ucid_of_user_to_user() -> None:
    assert ucid_of("00FA0800190010598A1C05;encoding=hex") == "00025000161502223365"
    assert ucid_of("C8143DFA08;encoding=hex") == ""


def test_cisco_participants_in_the_order_of_their_m_lines() -> None:
    header = 'sip:b@h;media-index="1", <sip:a@h>;media-index="0 2", sip:c@h'
    assert [(party.aor, party.media) for party in forked_parties(header)] == [
        ("sip:a@h", (0, 2)),
        ("sip:b@h", (1,)),
        ("sip:c@h", ()),
    ]
