"""What goes wrong in an offer/answer exchange: by the peer (a result) or by us (an error)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NegotiationFailure:
    """The peer's offer or answer cannot be taken; `status` is the SIP status that answers it (488, 491, 500, 400)."""

    status: int
    reason: str


class NegotiationStateError(RuntimeError):
    """The call order of offer and answer was broken by our own code."""
