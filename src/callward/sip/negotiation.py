"""Offer and answer (RFC 3264) of one dialog, from either side.

Theory of operation: at most one offer is open at a time.

    state          receive_offer  answer          make_offer  receive_answer  rollback
    STABLE         -> ANSWERING   NegotiationStateError  -> OFFERED  failure         STABLE
    ANSWERING      failure 500    -> STABLE       failure     failure         -> STABLE
    OFFERED        failure 491    NegotiationStateError  failure     -> STABLE       -> STABLE

(`failure` is a `NegotiationFailure` with the status that answers it, RFC 3261 14.2 and RFC 3311 5.2.) A rolled back offer leaves
both sides with what they had before (RFC 3264 8). What a peer does wrong is a result, what we do wrong raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from callward.sip.answer import DEFAULT_SUITES, Accept, Reject, build_answer
from callward.sip.negotiated_media import MediaChange, NegotiatedMedia, changes, negotiated
from callward.sip.negotiation_failure import NegotiationFailure, NegotiationStateError
from callward.sip.offer import MediaOffer, build_offer
from callward.sip.sdp import Line, SessionDescription
from callward.sip.sdp_fields import Connection, Origin

__all__ = [
    "DEFAULT_SUITES",
    "Accept",
    "MediaChange",
    "MediaOffer",
    "NegotiatedMedia",
    "NegotiationFailure",
    "NegotiationState",
    "NegotiationStateError",
    "OfferAnswer",
    "Reject",
    "build_answer",
    "build_offer",
    "changes",
    "negotiated",
]


class NegotiationState(Enum):
    STABLE = "stable"
    ANSWERING = "answering"
    """The peer's offer waits for our answer."""
    OFFERED = "offered"
    """Our offer waits for the peer's answer."""


class OfferAnswer:
    """The descriptions of one dialog and how they change. `session_id` (a number below 2**62) comes from the caller's entropy."""

    def __init__(self, session_id: int, address: str, username: str = "-") -> None:
        self.state = NegotiationState.STABLE
        self.local: SessionDescription | None = None
        """Our description in force."""
        self.remote: SessionDescription | None = None
        """The peer's description in force."""
        self.media: tuple[NegotiatedMedia, ...] = ()
        """What both agreed on, one per m-line."""
        self.pending: SessionDescription | None = None
        """The open offer, ours or the peer's."""
        self._address = address
        self._username = username
        self._session_id = session_id
        self._version = 0

    def receive_offer(self, offer: SessionDescription) -> tuple[MediaChange, ...] | NegotiationFailure:
        """Takes the peer's offer; returns how it differs from the peer's description in force."""
        if self.state is NegotiationState.OFFERED:
            return NegotiationFailure(491, "our own offer is still open")
        if self.state is NegotiationState.ANSWERING:
            return NegotiationFailure(500, "the previous offer is not answered yet")
        # RFC 3264 8 forbids fewer m-lines than before; missing ones count as removed, because refusing would cost the call.
        self.state = NegotiationState.ANSWERING
        self.pending = offer
        return changes(self.remote, offer)

    def answer(self, choices: Sequence[Accept | Reject], attributes: Sequence[str] = ()) -> SessionDescription:
        """Answers the open offer, one choice per m-line (missing ones are rejected). `attributes` are session-level `a=` values.

        Raises NegotiationStateError when no offer is open.
        """
        if self.state is not NegotiationState.ANSWERING or self.pending is None:
            raise NegotiationStateError("there is no offer to answer")
        offer = self.pending
        local = self._numbered(build_answer(offer, choices, self._origin(), self._address, self.local, attributes))
        self._agree(local, offer, offered_by_us=False)
        return local

    def make_offer(
        self, media: Sequence[MediaOffer], attributes: Sequence[str] = ()
    ) -> SessionDescription | NegotiationFailure:
        """Opens an offer of our own. Slots that `media` leaves out at the end, but the session has, are offered as removed (port 0)."""
        if self.state is not NegotiationState.STABLE:
            return NegotiationFailure(491, "another offer is still open")
        offer = self._numbered(build_offer(media, self._origin(), self._address, self.local, attributes))
        self.state = NegotiationState.OFFERED
        self.pending = offer
        return offer

    def receive_answer(self, answer: SessionDescription) -> tuple[NegotiatedMedia, ...] | NegotiationFailure:
        """Takes the answer to our offer. On failure the offer is rolled back, and the caller ends what the offer began."""
        if self.state is not NegotiationState.OFFERED or self.pending is None:
            return NegotiationFailure(400, "an answer came, but no offer of ours is open")
        offer = self.pending
        if len(answer.media) != len(offer.media):
            self.rollback()
            return NegotiationFailure(
                488, f"the answer has {len(answer.media)} m-lines, the offer had {len(offer.media)}"
            )
        for index, (ours, theirs) in enumerate(zip(offer.media, answer.media, strict=True)):
            if theirs.port and (ours.media != theirs.media or not ours.port):
                self.rollback()
                return NegotiationFailure(
                    488, f"the answer accepts m-line {index + 1}, which was not offered like that"
                )
        self._agree(offer, answer, offered_by_us=True)
        return self.media

    def rollback(self) -> None:
        """Forgets the open offer (it was refused, or its transaction failed); what was in force stays."""
        self.state = NegotiationState.STABLE
        self.pending = None

    def _agree(self, local: SessionDescription, remote: SessionDescription, *, offered_by_us: bool) -> None:
        self.local, self.remote = local, remote
        self.media = negotiated(local, remote, offered_by_us=offered_by_us)
        self.rollback()

    def _origin(self) -> Origin:
        """The `o=` line of a description that differs from the one in force: its version is one higher (RFC 3264 5, 8)."""
        return Origin(self._username, str(self._session_id), str(self._version + 1), Connection.of(self._address))

    def _numbered(self, description: SessionDescription) -> SessionDescription:
        """The description in force when nothing but the version would change, else the new one."""
        local = self.local
        if (
            local is not None
            and local.media == description.media
            and _without_origin(local) == _without_origin(description)
        ):
            return local
        self._version += 1
        return description


def _without_origin(description: SessionDescription) -> list[Line]:
    return [line for line in description.lines if line[0] != "o"]
