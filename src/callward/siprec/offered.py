"""The m-lines of an SDP as a recording session looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """`a=` direction attribute (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class OfferedStream:
    """One m-line, in the order of the SDP."""

    index: int
    """Position of the m-line, from 0."""
    kind: str
    """`audio`, `video`, `text` ... in lower case."""
    port: int
    label: str = ""
    """`a=label` (RFC 4574); empty when the peer left it out."""
    direction: Direction = Direction.SENDONLY
    """Effective direction: attribute of the m-line, else of the session, else the profile's; `inactive` for c=0.0.0.0 (S23)."""
    address: str = ""
    transport: str = ""
    """`RTP/AVP`, `RTP/SAVP` ..."""

    @property
    def removed(self) -> bool:
        """Port 0: refused, or taken away (RFC 3264 section 8.2)."""
        return self.port == 0

    @property
    def flows(self) -> bool:
        """Whether the recording client sends on it now."""
        return not self.removed and self.direction in (Direction.SENDONLY, Direction.SENDRECV)
