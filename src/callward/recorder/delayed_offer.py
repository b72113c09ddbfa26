"""A call that begins without an offer: ours is in the 200, the client's answer in its ACK (RFC 3261 section 13.2.1).

CUCM's built-in bridge calls so: one dialog for each side of the call, each with one stream that comes to us. A recording client by
RFC 7866 always offers, and a recorder adds no stream of its own there (S08), so this is only for peers that are no SIPREC.
"""

from __future__ import annotations

from dataclasses import replace

from callward.sip.sdp import SessionDescription, parse
from callward.siprec.observation import Observation
from callward.siprec.offered import offered_streams
from callward.siprec.peer import PeerProfile

_WANTED = (
    b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 8 0 9 18 111 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\n"
    b"a=rtpmap:18 G729/8000\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendonly\r\n"
)
"""What we should like the client to have offered. It names no address: the first packets tell it, or the answer."""


def may_delay_offer(profile: PeerProfile) -> bool:
    """Whether a peer may leave the offer to us."""
    return not profile.require_option_tag and not profile.require_feature_tag


def wanted_offer() -> SessionDescription:
    """The offer that we act on as if the client had made it; our answer to it is what we offer."""
    wanted = parse(_WANTED)
    assert isinstance(wanted, SessionDescription)
    return wanted


def as_if_offered(observation: Observation) -> Observation:
    """The INVITE with the streams of `wanted_offer`."""
    return replace(observation, streams=offered_streams(wanted_offer()))
