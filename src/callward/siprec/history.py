"""Who was in which call and when: kept although the snapshot only says what is now (S34, S36, S37).

Times are our receive times; the peer's own are kept beside them (S21).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import NO_PERIOD, Participant, Period, Session
from callward.siprec.snapshot import Snapshot

MAX_CALLS = 64
"""Per recording session, ended ones included; the oldest ended one goes first."""
MAX_MEMBERS = 256
"""Per call."""
MAX_STAYS = 16
"""Per member: leaving and coming back."""

ONLY_CALL = "call"
"""Key of the call when the metadata names no session."""


@dataclass(frozen=True, slots=True)
class Stay:
    joined_at: datetime
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Member:
    key: str
    participant: Participant
    """As last described."""
    stays: tuple[Stay, ...]
    claimed: Period = NO_PERIOD

    @property
    def present(self) -> bool:
        return self.stays[-1].left_at is None


@dataclass(frozen=True, slots=True)
class CallHistory:
    key: str
    session: Session
    """As last described."""
    started_at: datetime
    ended_at: datetime | None = None
    members: tuple[Member, ...] = ()


def remember(calls: Iterable[CallHistory], snapshot: Snapshot, *, at: datetime) -> tuple[CallHistory, ...]:
    """The history after a new snapshot, received at `at`."""
    history = {call.key: call for call in calls}
    sessions = snapshot.sessions or _unnamed(snapshot)
    for key, session in sessions.items():
        running = is_running(snapshot, key, session)
        call = history.get(key)
        if call is not None and call.ended_at is not None and not running and call.session == session:
            continue  # nothing new of a call that is over
        if call is None:
            call = CallHistory(key, session, started_at=at, ended_at=None if running else at)
        else:
            ended_at = None if running else call.ended_at or at
            call = replace(call, session=session, ended_at=ended_at)
        history[key] = replace(call, members=_members(call, snapshot, running=running, at=at))
    for key, call in history.items():
        if key not in sessions and call.ended_at is None and sessions:
            history[key] = end_call(call, at)
    while len(history) > MAX_CALLS:
        ended = (key for key, call in history.items() if call.ended_at is not None)
        del history[next(ended, next(iter(history)))]
    return tuple(history.values())


def end_call(call: CallHistory, at: datetime) -> CallHistory:
    """The call and everybody's stay in it end."""
    return replace(call, ended_at=call.ended_at or at, members=tuple(_leave(member, at) for member in call.members))


def is_running(snapshot: Snapshot, key: str, session: Session) -> bool:
    return not session.period.ended and not snapshot.recorded.get(key, NO_PERIOD).ended


def _unnamed(snapshot: Snapshot) -> dict[str, Session]:
    return {ONLY_CALL: Session("")} if snapshot.participants else {}


def _members(call: CallHistory, snapshot: Snapshot, *, running: bool, at: datetime) -> tuple[Member, ...]:
    members = {member.key: member for member in call.members}
    described = participants_of(snapshot, call.key)
    for key, period in described.items():
        participant = snapshot.participants.get(key) or Participant(key)
        here = running and not period.ended
        member = members.get(key)
        if member is None:
            if len(members) >= MAX_MEMBERS:
                continue
            members[key] = Member(key, participant, (Stay(at, None if here else at),), period)
        elif here and not member.present:
            stays = (*member.stays, Stay(at))[-MAX_STAYS:]
            members[key] = replace(member, participant=participant, stays=stays, claimed=period)
        else:
            member = replace(member, participant=participant, claimed=period)
            members[key] = member if here else _leave(member, at)
    return tuple(member if member.key in described else _leave(member, at) for member in members.values())


def _leave(member: Member, at: datetime) -> Member:
    if not member.present:
        return member
    return replace(member, stays=(*member.stays[:-1], Stay(member.stays[-1].joined_at, at)))


def participants_of(snapshot: Snapshot, session: str) -> dict[str, Period]:
    """Participant -> its time in the call. By association, else by the streams of the call, else everybody nobody else has."""
    found = {participant: period for (key, participant), period in snapshot.members.items() if key == session}
    placed = {participant for key, participant in snapshot.members if key in snapshot.sessions}
    streams = {key for key, stream in snapshot.streams.items() if _names_session(stream.session, session)}
    alone = len(snapshot.sessions) <= 1
    for key, participant in snapshot.participants.items():
        if key in found or key in placed:
            continue
        heard = snapshot.heard.get(key)
        if alone or (heard and streams.intersection((*heard.sends, *heard.receives))):
            found[key] = participant.period
    positions = {key: position for position, key in enumerate(snapshot.participants)}
    return {key: found[key] for key in sorted(found, key=lambda key: positions.get(key, len(positions)))}


def _names_session(reference: str, session: str) -> bool:
    return bool(reference) and identity_key(reference) == session
