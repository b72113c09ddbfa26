"""Oracle (ACME Packet): `apkt:` elements at the recording, session or participant."""

from __future__ import annotations

from callward.siprec.dialects.hints import Hints, Told, first, given
from callward.siprec.extension_reading import find_all, find_text


def read(told: Told) -> Hints:
    caller, others = "", []
    for key, participant in told.participants.items():
        said = find_text(participant.extensions, "callingParty", "callerOrig").lower()
        if said == "true" and not caller:
            caller = key
        elif said:
            others.append(key)
    return Hints(
        session_ids=given(
            ucid=find_text(told.all_extensions, "ucid").partition(";")[0],
            in_realm=find_text(told.all_extensions, "in-realm", "inRealm"),
            sip_call_id=_header(told, "call-id"),
        ),
        caller=caller,
        called=first(others) if caller else "",
    )


def _header(told: Told, name: str) -> str:
    """A header of the call that the client was told to copy: `<apkt:header label="Call-ID"><value>...`."""
    for header in find_all(told.all_extensions, "header"):
        label = header.attributes.get("label", header.attributes.get("name", ""))
        if label.lower() == name:
            return header.text or find_text(header.children, "value")
    return ""
