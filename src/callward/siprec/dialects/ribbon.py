"""Ribbon (Sonus): `callData` in the group with the From and To of the call, its Call-ID and the global call id."""

from __future__ import annotations

from callward.siprec.dialects.hints import Hints, Told, given
from callward.siprec.extension_reading import find_text


def read(told: Told) -> Hints:
    return Hints(
        session_ids=given(
            gcid=find_text(told.all_extensions, "gcid"), sip_call_id=find_text(told.all_extensions, "callid", "call-id")
        ),
        caller=find_text(told.all_extensions, "fromhdr"),
        called=find_text(told.all_extensions, "tohdr"),
    )
