"""Cisco: CUBE's ids, and recording that is not SIPREC: network-based forking and CUCM's built-in bridge.

Network-based forking has no metadata: `X-Cisco-Recording-Participant` names who is in which m-line. The built-in bridge makes two dialogs
per call, one per side, and tells the parties in parameters of the From URI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from callward.siprec.addresses import user_of
from callward.siprec.dialects.hints import Hints, Told, given

PARTICIPANT_HEADER = "x-cisco-recording-participant"
_PARTICIPANT = re.compile(r"<?((?:sips?|tel):[^\s;,>\"]{1,255})>?([^,]{0,255})", re.I)
_MEDIA_INDEX = re.compile(r"media-index\s*=\s*\"?\s*([0-9]{1,3}(?:[ ,]+[0-9]{1,3}){0,15})", re.I)
MAX_PARTICIPANTS = 16


@dataclass(frozen=True, slots=True)
class ForkedParty:
    """A party that headers tell, and the m-lines (from 0) in which it is heard."""

    aor: str
    media: tuple[int, ...] = ()


def read(told: Told) -> Hints:
    return Hints(
        session_ids=given(
            cisco_guid=told.headers.get("cisco-guid"),
            cisco_gucid=told.headers.get("cisco-gucid"),
            near_end_ref=uri_parameter(told.from_uri, "x-refci"),
            far_end_ref=uri_parameter(told.from_uri, "x-farendrefci"),
        )
    )


def forked_parties(headers: str) -> tuple[ForkedParty, ...]:
    """Parties of `X-Cisco-Recording-Participant` headers (several are joined by commas), in the order of their m-lines."""
    parties = []
    for match in _PARTICIPANT.finditer(headers):
        index = _MEDIA_INDEX.search(match[2])
        media = tuple(int(number) for number in re.findall(r"[0-9]+", index[1])) if index else ()
        parties.append(ForkedParty(match[1], media))
    parties.sort(key=lambda party: party.media[:1] or (MAX_PARTICIPANTS,))
    return tuple(parties[:MAX_PARTICIPANTS])


def bridged_party(from_uri: str) -> ForkedParty | None:
    """The side of a call that a dialog of the built-in bridge carries; None for any other From."""
    head, *parameters = from_uri.split(";")
    names = {parameter.partition("=")[0].strip("> ").lower() for parameter in parameters}
    if "x-nearend" in names:
        return ForkedParty(head)
    if "x-farend" in names:
        far = uri_parameter(from_uri, "x-farendaddr")
        host = head.rpartition("@")[2]
        return ForkedParty(f"sip:{far}@{host}" if far and user_of(head) != far else head)
    return None


def uri_parameter(uri: str, name: str) -> str:
    for parameter in uri.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == name:
            return value.strip("> ")
    return ""
