"""BroadWorks and Webex Calling: `broadWorksRecordingMetadata` 1.0 and 3.0 in extension data.

`callType` holds `origCall` (the recorded user called) or `termCall` (was called); the numbers there are the only ones Webex gives, whose
addresses of record are opaque.
"""

from __future__ import annotations

from callward.siprec.dialects.hints import Hints, Told, given
from callward.siprec.extension_reading import find_all, find_text


def read(told: Told) -> Hints:
    extensions = told.all_extensions
    outgoing, incoming = find_all(extensions, "origCall"), find_all(extensions, "termCall")
    of_call = (outgoing or incoming)[:1]
    inside = of_call[0].children if of_call else extensions
    return Hints(
        session_ids=given(
            ext_tracking_id=find_text(extensions, "extTrackingID")
            or told.headers.get("x-broadworks-correlation-info", ""),
            new_ext_tracking_id=find_text(extensions, "newExtTrackingID"),
            broadworks_call_id=find_text(extensions, "callID"),
            broadworks_user_id=find_text(extensions, "userID"),
            service_provider_id=find_text(extensions, "serviceProviderID"),
            broadworks_group_id=find_text(extensions, "groupID"),
        ),
        direction="out" if outgoing else "in" if incoming else "",
        caller=find_text(inside, "callingPartyNumber"),
        called=find_text(inside, "calledPartyNumber") or find_text(inside, "dialedDigits"),
        recorded=find_text(extensions, "userID") or told.from_uri,
    )
