"""Numbers: classified before they are normalised (the Numbers section of the routing rules)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callward.sip.numbers import EMERGENCY_NUMBERS, NO_NUMBER, NumberKind, normalise


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("0479 12 34 56", "+32479123456"),
        ("0032479123456", "+32479123456"),
        ("+32 (0)479 12 34 56", "+32479123456"),
        ("32479123456", "+32479123456"),
        ("04 222 33 44", "+3242223344"),  # Liege: 04 and seven digits, no mobile
        ("0460-12.34.56", "+32460123456"),
        ("+1 212 555 0123", "+12125550123"),
        ("+32479123456", "+32479123456"),
    ],
)
def test_numbers_of_the_plan_become_e164(text: str, e164: str) -> None:
    number = normalise(text, "be")
    assert (number.kind, number.e164, number.best) == (NumberKind.E164, e164, e164)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("112", "BE"),
        ("+32112", "BE"),
        ("100", "BE"),
        ("110", "BE"),
        ("116117", "BE"),
        ("110", "DE"),
        ("911", "US"),
        ("112", None),
        ("112", "ZZ"),
    ],
)
def test_emergency_numbers_are_classified_before_e164(text: str, region: str | None) -> None:
    number = normalise(text, region)
    assert (number.kind, number.e164) == (NumberKind.EMERGENCY, None)


def test_112_counts_whatever_the_list_says() -> None:
    assert normalise("112", "BE", {}).kind is NumberKind.EMERGENCY
    assert normalise("100", "BE", {"BE": frozenset()}).kind is NumberKind.SHORT
    assert all("112" in numbers for numbers in EMERGENCY_NUMBERS.values())


@pytest.mark.parametrize("text", ["201", "1207", "0", "4711", "100200"])
def test_extensions_and_short_codes_stay_digits(text: str) -> None:
    number = normalise(text, "BE")
    assert (number.kind, number.best, number.e164) == (NumberKind.SHORT, text, None)


@pytest.mark.parametrize("text", ["*21#", "**62*0479#", "003", "12345678901234567890", "+", "+999123"])
def test_dialled_strings_that_are_no_number(text: str) -> None:
    number = normalise(text, "BE")
    assert number.e164 is None
    assert number.kind in (NumberKind.DIALLED, NumberKind.NONE)


@pytest.mark.parametrize("text", ["", "alice", "0479x", "٠٤٧٩", "1" * 65, "++32", "32+4"])
def test_what_is_no_number(text: str) -> None:
    assert normalise(text, "BE") == NO_NUMBER


def test_without_a_region_only_international_numbers_are_e164() -> None:
    assert normalise("+3247912 34 56").e164 == "+32479123456"
    assert normalise("0479123456").kind is NumberKind.DIALLED


@given(st.text(alphabet="0123456789+*# -()a", max_size=30), st.sampled_from([None, "BE", "US", "XX", ""]))
def test_it_never_raises_and_e164_is_stable(text: str, region: str | None) -> None:
    number = normalise(text, region)
    if number.e164 is not None:
        again = normalise(number.e164, region)
        assert again.e164 == number.e164 or again.kind is NumberKind.EMERGENCY
