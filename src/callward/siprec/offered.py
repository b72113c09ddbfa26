"""The m-lines of an SDP as a recording session looks at them."""

from __future__ import annotations

from dataclasses import dataclass

from callward.sip.sdp import MediaDescription, SessionDescription
from callward.sip.sdp_fields import Direction
from callward.siprec.plain_text import clean

__all__ = ["Direction", "OfferedStream"]


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
    """Effective direction: attribute of the m-line, else of the session, else sendonly; `inactive` for c=0.0.0.0 (S23)."""
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


def offered_streams(sdp: SessionDescription) -> tuple[OfferedStream, ...]:
    """The m-lines of an offer of a recording client."""
    return tuple(_offered(sdp, index, media) for index, media in enumerate(sdp.media))


def _offered(sdp: SessionDescription, index: int, media: MediaDescription) -> OfferedStream:
    # Only c= counts: an o= of 0.0.0.0 (OpenSIPS) is no hold, nor is a missing c= line.
    connection = media.own_connection or sdp.own_connection
    # Without a direction RFC 3264 says sendrecv; a recording client only sends (BroadWorks leaves it out).
    direction = media.own_direction or sdp.own_direction or Direction.SENDONLY
    if connection is not None and connection.is_unspecified:
        direction = Direction.INACTIVE
    return OfferedStream(
        index=index,
        kind=clean(media.media, 32),
        port=media.port,
        label=clean(media.label),
        direction=direction,
        address=clean(connection.address, 64) if connection else "",
        transport=clean(media.protocol, 32),
    )
