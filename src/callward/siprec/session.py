"""What a recording session has told so far. Immutable: `advance` returns the next state.

Theory of operation. Each message becomes an `Observation`. SDP replaces the streams; metadata replaces (complete) or merges by id
(partial) what is known of groups, calls, participants and streams (S13, S14). What disappears from a complete snapshot has left or ended:
its history stays (S36). Times of joining and leaving are our receive times (S21). Everything is bounded; at a bound the newest is refused
and an oddity says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from callward.siprec.oddity import Oddity
from callward.siprec.observation import Observation
from callward.siprec.offered import OfferedStream
from callward.siprec.peer import STRICT, PeerProfile


@dataclass(frozen=True, slots=True)
class SessionState:
    profile: PeerProfile = STRICT
    vendor: str = "unknown"
    streams: tuple[OfferedStream, ...] = ()
    ended: bool = False
    needs_snapshot: bool = False
    """A partial came before any complete document: ask for a snapshot (S15) with `snapshot_request`."""
    oddities: tuple[Oddity, ...] = ()


def begin(profile: PeerProfile = STRICT) -> SessionState:
    """State of a session of which nothing is known yet."""
    return SessionState(profile=profile)


def advance(state: SessionState, observation: Observation, *, at: datetime) -> SessionState:
    """The state after one more message, received at `at` (aware UTC). Never raises on what a peer sent."""
    raise NotImplementedError
