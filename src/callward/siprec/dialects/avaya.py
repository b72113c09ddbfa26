"""Avaya SBCE: a dummy party and an empty stream at first, the true ones in an UPDATE; the UCID in User-to-User.

The UCID is in the user-to-user data as application id FA, length 08, then node (2 octets), sequence (2 octets) and time (4 octets); people
know it as 20 decimal digits.
"""

from __future__ import annotations

import re

from callward.siprec.dialects.hints import Hints, Told, given
from callward.siprec.extension_reading import find_text
from callward.siprec.oddity import Oddity

DUMMY = "asbce@"
_UCID = re.compile(r"fa08([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{8})", re.I)


def read(told: Told) -> Hints:
    dummies = frozenset(
        key
        for key, participant in told.participants.items()
        if any(DUMMY in name.aor.lower() for name in participant.names)
    )
    oddities = (
        (Oddity("dummy_party", "a party stands for nobody yet; the true one comes in an UPDATE"),) if dummies else ()
    )
    user_to_user = told.headers.get("user-to-user", "")
    return Hints(
        session_ids=given(
            ucid=find_text(told.all_extensions, "ucid", "AvayaUCID") or ucid_of(user_to_user),
            user_to_user=user_to_user.partition(";")[0].strip(),
        ),
        not_parties=dummies,
        oddities=oddities,
    )


def ucid_of(user_to_user: str) -> str:
    """The UCID in a User-to-User value (hex), as 20 digits; empty when there is none."""
    match = _UCID.search(user_to_user.partition(";")[0])
    if match is None:
        return ""
    node, sequence, time = (int(part, 16) for part in match.groups())
    return f"{node:05d}{sequence:05d}{time:010d}"
