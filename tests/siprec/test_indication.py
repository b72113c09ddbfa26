"""C06-C09: the parties are told, and what they prefer is heard."""

from __future__ import annotations

import pytest

from callward.sip.sdp import SessionDescription, parse
from callward.siprec.indication import (
    Preference,
    Recorded,
    Telling,
    combined,
    follow,
    must_offer_again,
    preference,
    tell,
)
from tests.siprec.documents import line, sdp


def test_c06_a_record_aware_party_is_told_in_sdp_and_any_other_hears_it() -> None:
    assert tell(Recorded.ON, ["100rel", "Record-Aware"]) == Telling(attribute="record:on")
    assert tell(Recorded.PAUSED, ["record-aware"]) == Telling(attribute="record:paused")
    assert tell(Recorded.ON, ["100rel"]) == Telling(audible=True)
    assert tell(Recorded.OFF, []) == Telling()


def test_c07_a_change_goes_out_in_a_new_offer() -> None:
    assert must_offer_again(Recorded.ON, Recorded.PAUSED, ["record-aware"])
    assert not must_offer_again(Recorded.ON, Recorded.ON, ["record-aware"])
    assert not must_offer_again(Recorded.ON, Recorded.PAUSED, [])


def test_c08_preferences_are_read_at_session_and_media_level() -> None:
    own = line("1") + "a=recordpref:pause\r\n"
    description = parse(sdp(own, line("2"), line("3") + "a=recordpref:whatever\r\n", connection="a=recordpref:OFF\r\n"))
    assert isinstance(description, SessionDescription)
    assert [preference(description, index) for index in range(4)] == [
        Preference.PAUSE,
        Preference.OFF,
        Preference.NONE,
        Preference.NONE,
    ]


@pytest.mark.parametrize(
    ("wanted", "recorded", "allowed", "outcome"),
    [
        (Preference.ON, Recorded.OFF, "start", Recorded.ON),
        (Preference.ON, Recorded.OFF, "", Recorded.OFF),
        (Preference.ON, Recorded.PAUSED, "pause", Recorded.ON),
        (Preference.ON, Recorded.PAUSED, "start", Recorded.PAUSED),
        (Preference.OFF, Recorded.ON, "stop", Recorded.OFF),
        (Preference.OFF, Recorded.ON, "", Recorded.ON),
        (Preference.PAUSE, Recorded.ON, "pause", Recorded.PAUSED),
        (Preference.PAUSE, Recorded.OFF, "pause", Recorded.OFF),
        (Preference.NONE, Recorded.ON, "start stop pause", Recorded.ON),
    ],
)
def test_c08_preferences_are_followed_as_far_as_policy_allows(
    wanted: Preference, recorded: Recorded, allowed: str, outcome: Recorded
) -> None:
    may = {f"may_{right}": right in allowed for right in ("start", "stop", "pause")}
    assert follow(wanted, recorded, **may) is outcome


def test_c09_what_the_other_side_says_is_passed_on() -> None:
    assert combined(Recorded.OFF, ["on", None]) is Recorded.ON
    assert combined(Recorded.OFF, ["paused"]) is Recorded.PAUSED
    assert combined(Recorded.ON, ["off"]) is Recorded.ON
    assert combined(Recorded.OFF, [None, "off", "nonsense"]) is Recorded.OFF
