"""What a recording session has told so far. Immutable: `advance` returns the next state.

Theory of operation. Each message becomes an `Observation`. SDP replaces the streams; metadata replaces (complete) or merges by id
(partial) what is known of groups, calls, participants and streams (S13, S14). What disappears from a complete snapshot has left
or ended: its history stays (S36). Times of joining and leaving are our receive times (S21). Everything is bounded; at a bound the
newest is refused and an oddity says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from callward.siprec.dialects.detection import UNKNOWN
from callward.siprec.forgetting import make_room
from callward.siprec.heard import heard_by_label
from callward.siprec.history import CallHistory, end_call, remember
from callward.siprec.metadata import DataMode, Metadata
from callward.siprec.observation import Observation
from callward.siprec.oddity import Oddity, join_oddities
from callward.siprec.offered import Direction, OfferedStream
from callward.siprec.peer import STRICT, PeerProfile
from callward.siprec.snapshot import EMPTY, Snapshot, take

MAX_HEARD = 256


@dataclass(frozen=True, slots=True)
class SessionState:
    """Known of a recording session after the messages so far; made by `begin` and `advance` only."""

    profile: PeerProfile = STRICT
    vendor: str = UNKNOWN
    opening: Observation | None = None
    """The first message: From, To, Call-ID and headers that dialects read."""
    streams: tuple[OfferedStream, ...] | None = None
    """Of the recording client's latest SDP; None as long as there was none."""
    snapshot: Snapshot = EMPTY
    calls: tuple[CallHistory, ...] = ()
    described: bool = False
    """Metadata that could be understood has come."""
    sequence: int | None = None
    heard: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Label -> participants who were last said to be heard in it; outlives a hold (S24)."""
    ended: bool = False
    needs_snapshot: bool = False
    """A partial document came without a complete one before it, or one is missing: send `snapshot_request` (S15)."""
    oddities: tuple[Oddity, ...] = ()


def begin(profile: PeerProfile = STRICT) -> SessionState:
    """State of a session of which nothing is known yet."""
    return SessionState(profile=profile, vendor=profile.vendor or UNKNOWN)


def advance(state: SessionState, observation: Observation, *, at: datetime) -> SessionState:
    """The state after one more message, received at `at` (aware UTC). Never raises on what a peer sent."""
    streams = state.streams
    if observation.streams is not None and not _is_ours(observation):
        streams = observation.streams
    state = replace(
        state,
        opening=state.opening or observation,
        vendor=state.vendor if state.vendor != UNKNOWN else observation.vendor,
        streams=streams,
        oddities=join_oddities(state.oddities, observation.oddities),
    )
    for metadata in observation.metadata:
        if not metadata.snapshot_requested:
            state = _apply(state, metadata, at=at)
    if observation.ends_session:
        return end(state, at=at)
    return state


def lose_state(state: SessionState) -> SessionState:
    """After a restart that lost the snapshot: what comes next is merged as it may, and a snapshot is asked for (S15)."""
    return replace(state, snapshot=EMPTY, described=False, needs_snapshot=True)


def snapshot_requested(state: SessionState) -> SessionState:
    """After `snapshot_request` was sent: it is not asked for again until something is missing again."""
    return replace(state, needs_snapshot=False)


def end(state: SessionState, *, at: datetime) -> SessionState:
    """The recording session is over, however it ended."""
    return replace(state, ended=True, calls=tuple(end_call(call, at) for call in state.calls))


def _is_ours(observation: Observation) -> bool:
    """SDP of the recording server (an answer, or an offer of ours) says nothing about what the client sends."""
    streams = observation.streams or ()
    return observation.status > 0 and any(stream.direction is Direction.RECVONLY for stream in streams)


def _apply(state: SessionState, metadata: Metadata, *, at: datetime) -> SessionState:
    oddities = list(state.oddities)
    needs_snapshot = state.needs_snapshot
    if metadata.mode is DataMode.COMPLETE:
        needs_snapshot = False
    elif not state.described:
        needs_snapshot = True
        oddities.append(Oddity("partial_without_complete", "a partial document came before any complete one"))
    elif metadata.sequence is not None and state.sequence is not None and metadata.sequence > state.sequence + 1:
        needs_snapshot = True
        oddities.append(Oddity("metadata_gap", f"document {metadata.sequence} came after {state.sequence}"))
    elif metadata.sequence is not None and state.sequence is not None and metadata.sequence <= state.sequence:
        oddities.append(Oddity("metadata_late", f"document {metadata.sequence} came after {state.sequence}"))
        return replace(state, oddities=join_oddities(oddities))
    snapshot = take(make_room(state.snapshot), metadata)
    if snapshot.truncated and not state.snapshot.truncated:
        oddities.append(
            Oddity("metadata_truncated", "the session has more metadata than is kept; the raw documents have all")
        )
    heard = {**state.heard, **{label: who for label, who in heard_by_label(snapshot).items() if who}}
    return replace(
        state,
        snapshot=snapshot,
        calls=remember(state.calls, snapshot, at=at),
        described=True,
        sequence=metadata.sequence,
        heard=dict(list(heard.items())[-MAX_HEARD:]),
        needs_snapshot=needs_snapshot,
        oddities=join_oddities(oddities),
    )
