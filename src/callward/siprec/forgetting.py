"""Making room in the snapshot of a long persistent session: what belongs to ended calls only goes (S34). The history keeps it longer."""

from __future__ import annotations

from dataclasses import replace

from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import NO_PERIOD
from callward.siprec.snapshot import MAX_PARTICIPANTS, MAX_SESSIONS, MAX_STREAMS, Snapshot

_PARTICIPANTS = MAX_PARTICIPANTS // 2
_STREAMS = MAX_STREAMS // 2
_SESSIONS = MAX_SESSIONS // 2
"""Half of what is kept: room for the largest conference that joins at once."""


def make_room(snapshot: Snapshot) -> Snapshot:
    """The snapshot as it is while it is small, else without its ended calls."""
    crowded = (
        len(snapshot.sessions) > _SESSIONS
        or len(snapshot.participants) > _PARTICIPANTS
        or len(snapshot.streams) > _STREAMS
    )
    return _without_ended(snapshot) if crowded else snapshot


def _without_ended(snapshot: Snapshot) -> Snapshot:
    ended = {
        key
        for key, session in snapshot.sessions.items()
        if session.period.ended or snapshot.recorded.get(key, NO_PERIOD).ended
    }
    if not ended:
        return snapshot
    members = {pair: period for pair, period in snapshot.members.items() if pair[0] not in ended}
    staying = {participant for _, participant in members}
    placed = {participant for _, participant in snapshot.members}
    participants = {
        key: participant for key, participant in snapshot.participants.items() if key in staying or key not in placed
    }
    streams = {
        key: stream
        for key, stream in snapshot.streams.items()
        if not stream.session or identity_key(stream.session) not in ended
    }
    sessions = {key: session for key, session in snapshot.sessions.items() if key not in ended}
    groups = {identity_key(session.group) for session in sessions.values()}
    return replace(
        snapshot,
        groups={key: group for key, group in snapshot.groups.items() if key in groups},
        sessions=sessions,
        participants=participants,
        streams=streams,
        recorded={key: period for key, period in snapshot.recorded.items() if key not in ended},
        members=members,
        heard={key: heard for key, heard in snapshot.heard.items() if key in participants},
    )
