"""Telling the parties that they are recorded, and hearing what they prefer (RFC 7866 sections 6.1.2, 6.3, 7.1.2, 7.1.3, 7.3).

For the side that records a call and answers its parties: `a=record` goes to user agents that name the option tag `record-aware`; the others
hear a tone or an announcement. Preferences (`a=recordpref`) are honoured where policy allows; what came of it always stands in `a=record`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from callward.sip.sdp import SessionDescription

RECORD_AWARE = "record-aware"
"""Option tag of a user agent that shows `a=record` to its user (section 6.3)."""


class Recorded(StrEnum):
    """Value of `a=record`."""

    ON = "on"
    OFF = "off"
    PAUSED = "paused"


class Preference(StrEnum):
    """Value of `a=recordpref`."""

    ON = "on"
    OFF = "off"
    PAUSE = "pause"
    NONE = "nopreference"


@dataclass(frozen=True, slots=True)
class Telling:
    """How one party is told."""

    attribute: str = ""
    """For every m-line of the next offer or answer to the party, e.g. `record:on`; empty: the party would not understand it."""
    audible: bool = False
    """A tone or an announcement has to be played to the party."""


def tell(recorded: Recorded, supported: Iterable[str]) -> Telling:
    """How a party with these option tags is told (C06). One that shows nothing hears that recording is on."""
    if RECORD_AWARE in {tag.strip().lower() for tag in supported}:
        return Telling(attribute=f"record:{recorded.value}")
    return Telling(audible=recorded is Recorded.ON)


def must_offer_again(told: Recorded, recorded: Recorded, supported: Iterable[str]) -> bool:
    """Whether a change needs a re-INVITE or UPDATE to the party (C07)."""
    return told is not recorded and bool(tell(recorded, supported).attribute)


def preference(sdp: SessionDescription, index: int) -> Preference:
    """What the party prefers for one m-line: its own attribute, else that of the session; unknown words are no preference (C08)."""
    if not 0 <= index < len(sdp.media):
        return Preference.NONE
    value = sdp.recordpref_of(sdp.media[index])
    return Preference(value) if value in set(Preference) else Preference.NONE


def follow(wanted: Preference, recorded: Recorded, *, may_start: bool, may_stop: bool, may_pause: bool) -> Recorded:
    """The state after a preference, as far as policy allows (C08). Report it in `a=record` whatever came of it.

    From PAUSED a party may resume when it may pause; to begin a recording it needs `may_start`.
    """
    if wanted is Preference.ON:
        allowed = may_pause if recorded is Recorded.PAUSED else may_start
        return Recorded.ON if allowed else recorded
    if wanted is Preference.OFF:
        return Recorded.OFF if may_stop else recorded
    if wanted is Preference.PAUSE and recorded is Recorded.ON and may_pause:
        return Recorded.PAUSED
    return recorded


def combined(own: Recorded, others: Iterable[str | None]) -> Recorded:
    """What to tell a party when other parties' sides say that they record too (C09): values of `a=record` as received."""
    said = {own.value, *(value for value in others if value)}
    if Recorded.ON.value in said:
        return Recorded.ON
    return Recorded.PAUSED if Recorded.PAUSED.value in said else Recorded.OFF
