"""Dialogs (RFC 3261 12): identity, sequence numbers, route set, remote target, and their plain-JSON state.

The endpoint drives them; the application reads them and keeps what it likes in `note`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class DialogState(Enum):
    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


@dataclass(slots=True, eq=False)
class Dialog:
    """One dialog, either side."""

    id: str
    """Opaque, unique in the process and across restarts."""
    call_id: str
    local_tag: str
    remote_tag: str
    caller: bool
    """True: we sent the INVITE."""
    state: DialogState = DialogState.EARLY
    local_uri: str = ""
    """From/To value of our side without the tag parameter."""
    remote_uri: str = ""
    remote_target: str = ""
    route_set: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = -1
    peer_allow: frozenset[str] = frozenset()
    """Methods of the peer's last Allow; empty when it never said."""
    peer_supported: frozenset[str] = frozenset()
    local_description: bytes = b""
    """Last application/sdp body we sent; used by the endpoint to refresh the session by re-INVITE. Set it yourself when you send multipart."""
    peer: Any = None
    """What the admission hook said about the source."""
    note: Any = field(default=None)
    """The application's own; not part of the state."""

    @property
    def can_offer(self) -> bool:
        """True when a re-INVITE or an UPDATE with an offer may be sent now: no INVITE open, no offer unanswered on either side."""
        raise NotImplementedError

    @property
    def can_update(self) -> bool:
        """True when the peer allows UPDATE (RFC 3311 4)."""
        return "UPDATE" in self.peer_allow

    def to_state(self) -> dict[str, Any]:
        """Plain JSON: everything `Endpoint.restore` needs. Take it again after each event of the dialog and each request sent in it."""
        raise NotImplementedError
