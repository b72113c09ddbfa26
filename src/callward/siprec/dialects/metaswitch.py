"""Metaswitch: `metaswitchRecordingMetadata`. Two recorded users of one call are two recording sessions."""

from __future__ import annotations

from callward.siprec.dialects.hints import Hints, Told, given
from callward.siprec.extension_reading import find_text

_OUT = ("orig", "out", "from")
_IN = ("term", "in", "to")


def read(told: Told) -> Hints:
    extensions = told.all_extensions
    kind = find_text(extensions, "callType", "callDirection", "direction").lower()
    if "internal" in kind or "intra" in kind:
        direction = "internal"
    else:
        direction = "out" if kind.startswith(_OUT) else "in" if kind.startswith(_IN) else ""
    return Hints(
        session_ids=given(
            metaswitch_call_id=find_text(extensions, "callId", "callIdentifier", "correlationId", "correlator"),
            business_group=find_text(extensions, "businessGroup", "businessGroupName"),
        ),
        direction=direction,
        caller=find_text(extensions, "callingPartyNumber", "callingParty", "callingNumber"),
        called=find_text(extensions, "calledPartyNumber", "calledParty", "calledNumber", "dialedDigits"),
        recorded=find_text(extensions, "recordedParty", "recordedPartyNumber", "recordedNumber"),
    )
