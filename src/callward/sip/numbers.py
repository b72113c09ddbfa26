"""Telephone numbers as peers write them: classified first (emergency, short code, extension), then normalised to E.164.

Emergency and short numbers come first, because a number library happily makes +32112 of "112". Nothing is refused for not being
"valid": number plans change faster than the library's data, so only an impossible length keeps a number from becoming E.164.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import phonenumbers

MAX_NUMBER_CHARACTERS = 64
"""E.164 has 15 digits; dial strings with pauses and access codes stay far below this."""

EMERGENCY_NUMBERS: Mapping[str, frozenset[str]] = {
    "AT": frozenset({"112", "122", "128", "133", "140", "141", "142", "144", "147", "116000", "116117"}),
    "BE": frozenset(
        {
            "100",
            "101",
            "102",
            "103",
            "105",
            "106",
            "107",
            "108",
            "110",
            "112",
            "116000",
            "116006",
            "116111",
            "116117",
            "116123",
        }
    ),
    "CH": frozenset({"112", "117", "118", "140", "143", "144", "145", "147", "1414", "116000"}),
    "DE": frozenset({"110", "112", "115", "116000", "116006", "116111", "116117", "116123", "19222"}),
    "ES": frozenset({"016", "061", "062", "080", "085", "088", "091", "092", "112", "116000", "116111"}),
    "FR": frozenset(
        {
            "15",
            "17",
            "18",
            "110",
            "112",
            "114",
            "115",
            "119",
            "191",
            "196",
            "197",
            "116000",
            "116006",
            "116111",
            "116117",
        }
    ),
    "GB": frozenset({"101", "105", "111", "112", "119", "999", "116000", "116123"}),
    "IE": frozenset({"112", "999", "116000", "116006", "116111", "116123"}),
    "IT": frozenset({"112", "113", "114", "115", "117", "118", "1522", "1530", "116000", "116117"}),
    "LU": frozenset({"112", "113", "116000", "116111", "116117"}),
    "NL": frozenset({"112", "113", "116000", "116006", "116111", "116117", "116123"}),
    "US": frozenset({"112", "211", "311", "511", "611", "711", "811", "911", "933", "988"}),
}
"""Emergency and harmonised help numbers per country. A deployment passes its own; 112 counts everywhere, whatever the list says."""

MAX_EXTENSION_DIGITS = 6
"""Digits of the longest number that counts as an extension or short code where the numbering plan knows it not."""

_SEPARATORS = re.compile(r"[\s\-./()\u00a0\u2010-\u2015]+")
_DIALLED = re.compile(r"\+?[0-9*#]+")


class NumberKind(Enum):
    E164 = "e164"
    EMERGENCY = "emergency"
    SHORT = "short"
    """A short code of the network, or an extension of a PBX."""
    DIALLED = "dialled"
    """Digits, stars and hashes that are no number of the numbering plan (service codes, over-long strings, no country known)."""
    NONE = "none"
    """No number at all: a name, an opaque id, nothing."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number. `digits` is what was dialled without separators (`+` kept), empty for NONE; `e164` begins with `+`."""

    kind: NumberKind
    digits: str = ""
    e164: str | None = None
    region: str | None = None
    """ISO 3166 code of the country of an E.164 number, None where several share the code and none fits."""

    @property
    def best(self) -> str:
        """E.164 where there is one, else the digits."""
        return self.e164 or self.digits


NO_NUMBER = Number(NumberKind.NONE)


def normalise(
    text: str, region: str | None = None, emergency: Mapping[str, frozenset[str]] = EMERGENCY_NUMBERS
) -> Number:
    """Classifies and normalises a number as written. `region` (ISO 3166, `BE`) is where a national number belongs. Never raises."""
    if len(text) > MAX_NUMBER_CHARACTERS:
        return NO_NUMBER
    digits = _SEPARATORS.sub("", text)
    if not digits.isascii() or _DIALLED.fullmatch(digits) is None:
        return NO_NUMBER
    region = region.upper() if region else None
    bare = _national(digits, region)
    if bare == "112" or (region is not None and bare in emergency.get(region, frozenset())):
        return Number(NumberKind.EMERGENCY, bare)
    return _classify(digits, region)


def _national(digits: str, region: str | None) -> str:
    """The digits without the country's own code: gateways send +32112 for 112."""
    if digits[:1] != "+" or region is None:
        return digits
    code = str(_country_code(region))
    return digits[1 + len(code) :] if code != "0" and digits[1:].startswith(code) else digits


@lru_cache(maxsize=512)
def _country_code(region: str) -> int:
    return int(phonenumbers.country_code_for_region(region))


@lru_cache(maxsize=4096)  # the library takes some 50 microseconds per number
def _classify(digits: str, region: str | None) -> Number:
    plain = digits.isdigit()
    if "*" in digits or "#" in digits:
        return Number(NumberKind.DIALLED, digits)
    few = plain and len(digits) <= MAX_EXTENSION_DIGITS and not digits.startswith("00")
    try:
        parsed = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return Number(NumberKind.SHORT if few else NumberKind.DIALLED, digits)
    if few and not phonenumbers.is_valid_number(parsed):
        return Number(
            NumberKind.SHORT, digits
        )  # an extension, except where the country has subscriber numbers this short
    if not phonenumbers.is_possible_number(parsed):
        if plain and region is not None and phonenumbers.is_possible_short_number_for_region(parsed, region):
            return Number(NumberKind.SHORT, digits)
        return Number(NumberKind.DIALLED, digits)
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return Number(NumberKind.E164, digits, str(written), phonenumbers.region_code_for_number(parsed))
