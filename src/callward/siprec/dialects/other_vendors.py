"""Dialects that only add ids, or need one small correction."""

from __future__ import annotations

from callward.siprec.dialects import avaya
from callward.siprec.dialects.hints import Hints, Told, given
from callward.siprec.extension_reading import find_text
from callward.siprec.oddity import Oddity


def read_audiocodes(told: Told) -> Hints:
    return Hints(
        session_ids=given(
            ucid=find_text(told.all_extensions, "AvayaUCID"),
            genesys_uuid=find_text(told.all_extensions, "GenesysUUID"),
        )
    )


def read_jambonz(told: Told) -> Hints:
    """Its source writes the calling number under `callednumber` and the called one under `callingnumber`."""
    written_called = find_text(told.all_extensions, "callednumber")
    written_calling = find_text(told.all_extensions, "callingnumber")
    corrections = {}
    if written_called or written_calling:
        corrections = {"jb:callednumber": written_calling, "jb:callingnumber": written_called}
    direction = find_text(told.all_extensions, "direction").lower()
    return Hints(
        session_ids=given(
            jambonz_call_sid=find_text(told.all_extensions, "callsid"),
            jambonz_account_sid=find_text(told.all_extensions, "accountsid"),
            jambonz_application_sid=find_text(told.all_extensions, "applicationsid"),
        ),
        direction={"inbound": "in", "outbound": "out"}.get(direction, ""),
        caller=written_called,
        called=written_calling,
        corrections=corrections,
        oddities=(Oddity("swapped_numbers", "called and calling number are swapped by jambonz; put right here"),)
        if corrections
        else (),
    )


def read_genesys(told: Told) -> Hints:
    return Hints(
        session_ids=given(
            genesys_uuid=find_text(told.all_extensions, "GenesysUUID", "callUUID")
            or told.headers.get("x-genesys-calluuid"),
        )
    )


def read_plain(told: Told) -> Hints:
    """Any other client: a UCID may come through it."""
    return Hints(
        session_ids=given(
            ucid=find_text(told.all_extensions, "ucid", "AvayaUCID")
            or avaya.ucid_of(told.headers.get("user-to-user", ""))
        )
    )
