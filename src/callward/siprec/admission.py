"""Whether an INVITE is a recording session that we take, and which headers we answer with (RFC 7866 section 6).

Header values are plain text without the name; the SIP layer adds address and port of Contact.
"""

from __future__ import annotations

from dataclasses import dataclass

from callward.siprec.observation import Observation
from callward.siprec.oddity import Oddity
from callward.siprec.peer import STRICT, PeerProfile

OPTION_TAG = "siprec"
UNDERSTOOD = frozenset({"siprec", "100rel", "timer"})
"""Option tags that may stand in Require (S02)."""

SUPPORTED = "100rel, timer, siprec"
"""Value of Supported in requests and answers of the recording server."""

ACCEPT = "application/sdp, application/rs-metadata, application/rs-metadata+xml, multipart/mixed"
"""Value of Accept in answers to OPTIONS (S11)."""

SERVER_CONTACT_PARAMETERS = {"+sip.srs": None}
"""Parameters of every Contact of the recording server (S03); None is a parameter without a value."""

CLIENT_CONTACT_PARAMETERS = {"+sip.src": None}
"""Parameters of every Contact of the recording client (C01)."""

SERVER_STARTED_REQUIRE = "siprec"
"""Require of an offerless INVITE by which the server starts a recording session itself (S09)."""

_HYPHENATED_FEATURE_TAG = "+sip-src"
"""As PhrSite writes it."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Take it. `oddities` say what was missing and forgiven by the profile."""

    oddities: tuple[Oddity, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status. `headers` are (name, value) pairs."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    detail: str = ""
    """A sentence for the log and the list of refused calls."""


def assess_invite(invite: Observation, profile: PeerProfile = STRICT) -> Accept | Refuse:
    """S01 and S02 for an INVITE outside a dialog."""
    unknown = [tag for tag in invite.required if tag not in UNDERSTOOD]
    if unknown:
        return Refuse(
            420,
            "Bad Extension",
            (("Unsupported", ", ".join(unknown)),),
            f"the client requires {', '.join(unknown)}, which a recorder does not offer",
        )
    has_option_tag = OPTION_TAG in invite.required or OPTION_TAG in invite.supported
    has_feature_tag = "+sip.src" in invite.contact_parameters
    if has_option_tag and has_feature_tag:
        return Accept()
    if profile.metadata_is_enough and invite.raw_metadata:
        return Accept(_missing(has_option_tag, has_feature_tag))
    if not has_option_tag and profile.require_option_tag:
        return Refuse(
            421,
            "Extension Required",
            (("Require", OPTION_TAG),),
            "the INVITE names no option tag siprec, so it is not a recording session; a relaxed peer profile takes it",
        )
    misspelt = profile.vendor == "phrsite" and _HYPHENATED_FEATURE_TAG in invite.contact_parameters
    if not has_feature_tag and not misspelt and profile.require_feature_tag:
        return Refuse(
            403,
            "Not A Recording Session",
            (("Warning", '399 callward "Contact has no +sip.src"'),),
            "Contact has no +sip.src, so it is not a recording session; a relaxed peer profile takes it",
        )
    return Accept(_missing(has_option_tag, has_feature_tag))


def _missing(has_option_tag: bool, has_feature_tag: bool) -> tuple[Oddity, ...]:
    oddities = []
    if not has_option_tag:
        oddities.append(Oddity("no_siprec_option_tag", "neither Require nor Supported names siprec"))
    if not has_feature_tag:
        oddities.append(Oddity("no_sip_src_feature_tag", "Contact has no +sip.src"))
    return tuple(oddities)
