"""How strictly a peer is taken."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PeerProfile:
    """Per peer; the default is what RFC 7866 asks."""

    name: str = "strict"
    require_feature_tag: bool = True
    """Contact must carry `+sip.src` (S01)."""
    require_option_tag: bool = True
    """`siprec` must stand in Require or Supported (S01)."""
    metadata_is_enough: bool = False
    """Take an INVITE without either sign when it carries a metadata part: no stranger sends one by accident."""
    vendor: str = ""
    """Short name of the dialect; empty detects it from each message."""


STRICT = PeerProfile()
RELAXED = PeerProfile(name="relaxed", require_feature_tag=False, require_option_tag=False)
AUTOMATIC = PeerProfile(name="automatic", metadata_is_enough=True)

PROFILES: MappingProxyType[str, PeerProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            STRICT,
            RELAXED,
            AUTOMATIC,
            PeerProfile(name="cisco", vendor="cisco"),
            # Network-based forking and the built-in bridge of CUCM are no SIPREC: no sign of it, and no metadata.
            PeerProfile(name="cisco-network", vendor="cisco", require_feature_tag=False, require_option_tag=False),
            PeerProfile(name="oracle", vendor="oracle"),
            PeerProfile(name="ribbon", vendor="ribbon"),
            # Neither Require: siprec nor +sip.src: Contact carries `;src` (BroadWorks) or nothing.
            PeerProfile(name="broadworks", vendor="broadworks", require_feature_tag=False, require_option_tag=False),
            PeerProfile(name="webex", vendor="webex", require_feature_tag=False, require_option_tag=False),
            PeerProfile(name="metaswitch", vendor="metaswitch"),
            PeerProfile(name="avaya", vendor="avaya"),
            PeerProfile(name="audiocodes", vendor="audiocodes"),
            PeerProfile(name="opensips", vendor="opensips", require_feature_tag=False),
            PeerProfile(name="frafos", vendor="frafos"),
            PeerProfile(name="jambonz", vendor="jambonz", require_feature_tag=False),
            PeerProfile(name="phrsite", vendor="phrsite"),
            PeerProfile(name="genesys", vendor="genesys"),
        )
    }
)
"""By name, as a peer's settings name them. `strict` unless a peer is told otherwise (S01)."""


def profile_named(name: str) -> PeerProfile:
    """The profile of that name; an unknown name is taken strictly."""
    return PROFILES.get(name.strip().lower(), STRICT)
