"""What the recording client says now: a complete document, with the partial ones after it merged in by id (S13, S14).

The dialects' older forms are brought to one: `<send>` inside a participant and the session named by a participant become associations.
Ids are identity keys here, so that two spellings of one UUID meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import (
    DataMode,
    Extension,
    Group,
    Metadata,
    Participant,
    ParticipantStream,
    Period,
    Session,
    Stream,
)

MAX_SESSIONS = 64
MAX_PARTICIPANTS = 256
MAX_STREAMS = 256
MAX_GROUPS = 64
MAX_MEMBERS = 1024
MAX_EXTENSION_CHARACTERS = 256 * 1024
"""Of the whole snapshot; what a document adds beyond it is only in the raw document."""
MAX_EXTENSIONS_PER_ELEMENT = 200

_Element = TypeVar("_Element", Group, Session, Participant, Stream)


@dataclass(frozen=True, slots=True)
class Heard:
    """Streams (identity keys) that a participant sends to and receives."""

    sends: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Elements by identity key, in order of appearance."""

    groups: dict[str, Group] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    participants: dict[str, Participant] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    recorded: dict[str, Period] = field(default_factory=dict)
    """Session -> association with this recording session."""
    members: dict[tuple[str, str], Period] = field(default_factory=dict)
    """(session, participant) -> association."""
    heard: dict[str, Heard] = field(default_factory=dict)
    """Participant -> its streams. Absent: the client has not said; empty: nobody hears it now (S24)."""
    extensions: tuple[Extension, ...] = ()
    recording_id: str = ""
    truncated: bool = False
    """A bound was reached: something of the metadata is only in the raw documents."""


EMPTY = Snapshot()


def take(before: Snapshot, metadata: Metadata) -> Snapshot:
    """The snapshot after one more document: a complete one replaces everything, a partial one is merged."""
    if metadata.mode is DataMode.COMPLETE:
        before = EMPTY
    after = Snapshot(
        groups=_merged(before.groups, metadata.groups, _merge_group, MAX_GROUPS),
        sessions=_merged(before.sessions, metadata.sessions, _merge_session, MAX_SESSIONS),
        participants=_merged(before.participants, metadata.participants, _merge_participant, MAX_PARTICIPANTS),
        streams=_merged(before.streams, metadata.streams, _merge_stream, MAX_STREAMS),
        recorded=_recorded(before, metadata),
        members=_members(before, metadata),
        heard=_heard(before, metadata),
        extensions=_merge_extensions(before.extensions, metadata.extensions),
        recording_id=metadata.recording_id or before.recording_id,
        truncated=before.truncated or _too_many(metadata),
    )
    if _extension_size(after) > MAX_EXTENSION_CHARACTERS:
        return _without_new_extensions(before, after)
    return after


def _too_many(metadata: Metadata) -> bool:
    return (
        len(metadata.sessions) > MAX_SESSIONS
        or len(metadata.participants) > MAX_PARTICIPANTS
        or len(metadata.streams) > MAX_STREAMS
        or len(metadata.groups) > MAX_GROUPS
    )


def _merged(
    before: dict[str, _Element],
    elements: Iterable[_Element],
    merge: Callable[[_Element, _Element], _Element],
    limit: int,
) -> dict[str, _Element]:
    after = dict(before)
    for element in elements:
        key = identity_key(element.id)
        if key in after:
            after[key] = merge(after[key], element)
        elif len(after) < limit or _forget_ended(after):
            after[key] = element
    return after


def _forget_ended(elements: dict[str, _Element]) -> bool:
    """Makes room in a long persistent session: the oldest element that has ended goes; its history is kept elsewhere."""
    ended = next((key for key, element in elements.items() if element.period.ended), None)
    if ended is None:
        return False
    del elements[ended]
    return True


def _merge_group(old: Group, new: Group) -> Group:
    return Group(old.id, _merge_period(old.period, new.period), _merge_extensions(old.extensions, new.extensions))


def _merge_session(old: Session, new: Session) -> Session:
    return Session(
        old.id,
        new.group or old.group,
        new.sip_session_ids or old.sip_session_ids,
        new.reasons or old.reasons,
        _merge_period(old.period, new.period),
        _merge_extensions(old.extensions, new.extensions),
    )


def _merge_participant(old: Participant, new: Participant) -> Participant:
    return Participant(
        old.id,
        new.names or old.names,
        new.session or old.session,
        new.sends or old.sends,
        new.receives or old.receives,
        _merge_period(old.period, new.period),
        _merge_extensions(old.extensions, new.extensions),
    )


def _merge_stream(old: Stream, new: Stream) -> Stream:
    return Stream(
        old.id,
        new.session or old.session,
        new.label or old.label,
        new.content_type or old.content_type,
        new.mode or old.mode,
        _merge_period(old.period, new.period),
        _merge_extensions(old.extensions, new.extensions),
    )


def _merge_period(old: Period, new: Period) -> Period:
    if new.ended:
        return Period(new.start_at or old.start_at, new.end_at, ended=True)
    if new.start_at is not None and new.start_at != old.start_at:
        return new  # associated anew
    return old


def _associate(old: Period, new: Period) -> Period:
    """An association that is told again without an end is an association anew, even without a time."""
    return Period(new.start_at) if old.ended and not new.ended else _merge_period(old, new)


def _merge_extensions(old: tuple[Extension, ...], new: tuple[Extension, ...]) -> tuple[Extension, ...]:
    """New elements replace old ones of their name; the others stay."""
    if not new or old == new:
        return old
    names = {(extension.namespace, extension.name) for extension in new}
    kept = tuple(extension for extension in old if (extension.namespace, extension.name) not in names)
    return (*kept, *new)[:MAX_EXTENSIONS_PER_ELEMENT]


def _recorded(before: Snapshot, metadata: Metadata) -> dict[str, Period]:
    after = dict(before.recorded)
    for association in metadata.session_recordings[:MAX_SESSIONS]:
        key = identity_key(association.session)
        after[key] = _associate(after[key], association.period) if key in after else association.period
    while len(after) > MAX_SESSIONS:
        del after[next(iter(after))]
    return after


def _members(before: Snapshot, metadata: Metadata) -> dict[tuple[str, str], Period]:
    after = dict(before.members)

    def add(session: str, participant: str, period: Period, merge: Callable[[Period, Period], Period]) -> None:
        pair = (identity_key(session), identity_key(participant))
        if pair in after:
            after[pair] = merge(after[pair], period)
            return
        if len(after) >= MAX_MEMBERS:
            ended = next((other for other, known in after.items() if known.ended), None)
            if ended is None:
                return
            del after[ended]
        after[pair] = period

    named = set()
    for association in metadata.participant_sessions:
        session = association.session
        if not session and len(metadata.sessions) == 1:
            session = metadata.sessions[0].id
        named.add(identity_key(association.participant))
        add(session, association.participant, association.period, _associate)
    for participant in metadata.participants:
        if participant.session and identity_key(participant.id) not in named:
            add(participant.session, participant.id, participant.period, _merge_period)
    return after


def _heard(before: Snapshot, metadata: Metadata) -> dict[str, Heard]:
    """One participant may have several associations: those that have not ended add up, those that have take away."""
    after = dict(before.heard)
    inside = (
        ParticipantStream(participant.id, participant.sends, participant.receives, participant.period)
        for participant in metadata.participants
        if participant.sends or participant.receives
    )
    spoken: dict[str, list[ParticipantStream]] = {}
    for association in metadata.participant_streams:
        spoken.setdefault(identity_key(association.participant), []).append(association)
    for association in inside:
        spoken.setdefault(identity_key(association.participant), [association])
    for key, associations in spoken.items():
        if key in after or len(after) < MAX_PARTICIPANTS:
            after[key] = _add_up(after.get(key, Heard()), associations)
    return after


def _add_up(before: Heard, associations: list[ParticipantStream]) -> Heard:
    running = [association for association in associations if not association.period.ended]
    ended = [association for association in associations if association.period.ended]
    if running:
        sends = dict.fromkeys(identity_key(id_) for association in running for id_ in association.sends)
        receives = dict.fromkeys(identity_key(id_) for association in running for id_ in association.receives)
        return Heard(tuple(sends), tuple(receives))
    gone_sends = {identity_key(id_) for association in ended for id_ in association.sends}
    gone_receives = {identity_key(id_) for association in ended for id_ in association.receives}
    if not gone_sends and not gone_receives:
        return Heard()
    return Heard(
        tuple(id_ for id_ in before.sends if id_ not in gone_sends),
        tuple(id_ for id_ in before.receives if id_ not in gone_receives),
    )


def _extension_size(snapshot: Snapshot) -> int:
    levels: tuple[Iterable[Group | Session | Participant | Stream], ...] = (
        snapshot.groups.values(),
        snapshot.sessions.values(),
        snapshot.participants.values(),
        snapshot.streams.values(),
    )
    size = _size(snapshot.extensions)
    return size + sum(_size(element.extensions) for level in levels for element in level)


def _size(extensions: Iterable[Extension]) -> int:
    return sum(
        len(extension.name)
        + len(extension.text)
        + sum(len(key) + len(value) for key, value in extension.attributes.items())
        + _size(extension.children)
        for extension in extensions
    )


def _without_new_extensions(before: Snapshot, after: Snapshot) -> Snapshot:
    def keep(old: dict[str, _Element], new: dict[str, _Element]) -> dict[str, _Element]:
        return {
            key: replace(element, extensions=old[key].extensions if key in old else ()) for key, element in new.items()
        }

    return replace(
        after,
        groups=keep(before.groups, after.groups),
        sessions=keep(before.sessions, after.sessions),
        participants=keep(before.participants, after.participants),
        streams=keep(before.streams, after.streams),
        extensions=before.extensions,
        truncated=True,
    )
