"""From the state of a recording session to the picture that people see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callward.siprec.dialects.hints import Hints, Told
from callward.siprec.dialects.readers import read_hints
from callward.siprec.extension_reading import as_tree, put
from callward.siprec.heard import guessed_to_be_heard, match_streams, on_hold, said_to_be_heard
from callward.siprec.history import ONLY_CALL, CallHistory
from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import Group, Session, Stream
from callward.siprec.observation import Observation
from callward.siprec.oddity import join_oddities
from callward.siprec.offered import Direction, OfferedStream
from callward.siprec.parties import direction_of, parties_of, parties_of_headers, with_role
from callward.siprec.picture import (
    Picture,
    PictureCall,
    PictureStream,
    RecordingState,
    Role,
)
from callward.siprec.plain_text import clean
from callward.siprec.session import SessionState

_NOTHING = Observation()


def picture(state: SessionState) -> Picture:
    """The picture of a session as known now. Pure: call it after each `advance`."""
    opening = state.opening or _NOTHING
    made = [_call(state, call, opening) for call in state.calls]
    calls = tuple(call for call, _ in made) or _call_of_headers(state, opening)
    hidden = frozenset(key for _, hints in made for key in hints.not_parties)
    streams = _streams(state, calls, hidden)
    current = next((call for call in calls if call.ended_at is None), calls[-1] if calls else None)
    return Picture(
        vendor=state.vendor,
        state=_recording_state(state, calls),
        calls=calls,
        streams=streams,
        session_ids=current.session_ids if current else _ids_of_headers(opening),
        extensions=_all_extensions(calls, streams),
        oddities=join_oddities(state.oddities, *(hints.oddities for _, hints in made)),
    )


def _call(state: SessionState, call: CallHistory, opening: Observation) -> tuple[PictureCall, Hints]:
    snapshot = state.snapshot
    group = _group(state, call)
    levels = (*snapshot.extensions, *(group.extensions if group else ()), *call.session.extensions)
    told = Told(
        session=call.session,
        group=group,
        participants={member.key: member.participant for member in call.members},
        extensions=levels,
        headers=opening.headers,
        from_uri=opening.from_.uri,
        from_name=opening.from_.name,
        to_uri=opening.to.uri,
    )
    hints = read_hints(state.vendor, told)
    parties = parties_of(call, hints, opening)
    ids = _ids_of_headers(opening)
    _add(ids, "communication_session", call.session.id)
    _add(ids, "group", group.id if group else call.session.group)
    _add(ids, "recording", snapshot.recording_id)
    for id_ in call.session.sip_session_ids[:1]:
        local, _, remote = id_.partition(";")
        _add(ids, "sip_session_id", id_)
        _add(ids, "sip_session_local", local.strip())
        _add(ids, "sip_session_remote", remote.strip().removeprefix("remote="))
    for name, value in hints.session_ids.items():
        _add(ids, name, value)
    extensions = as_tree(levels)
    extensions.update({name: value for name, value in hints.corrections.items() if name in extensions})
    pictured = PictureCall(
        key=call.key,
        group=group.id if group else call.session.group,
        started_at=call.started_at,
        ended_at=call.ended_at,
        claimed_start_at=call.session.period.start_at,
        claimed_end_at=call.session.period.end_at,
        direction=direction_of(parties, hints),
        caller=with_role(parties, Role.CALLER),
        called=with_role(parties, Role.CALLED),
        parties=parties,
        on_hold=on_hold(snapshot, tuple(member.key for member in call.members if member.present)),
        session_ids=ids,
        extensions=extensions,
    )
    return pictured, hints


def _call_of_headers(state: SessionState, opening: Observation) -> tuple[PictureCall, ...]:
    parties = parties_of_headers(opening)
    if not parties:
        return ()
    told = Told(Session(""), None, {}, (), opening.headers, opening.from_.uri, opening.from_.name, opening.to.uri)
    ids = _ids_of_headers(opening)
    for name, value in read_hints(state.vendor, told).session_ids.items():
        _add(ids, name, value)
    return (
        PictureCall(
            key=ONLY_CALL,
            caller=with_role(parties, Role.CALLER),
            called=with_role(parties, Role.CALLED),
            parties=parties,
            session_ids=ids,
        ),
    )


def _group(state: SessionState, call: CallHistory) -> Group | None:
    groups = state.snapshot.groups
    if call.session.group:
        return groups.get(identity_key(call.session.group)) or Group(call.session.group)
    return next(iter(groups.values())) if len(groups) == 1 else None


def _ids_of_headers(opening: Observation) -> dict[str, str]:
    ids: dict[str, str] = {}
    _add(ids, "call_id", opening.call_id)
    _add(ids, "session_id", opening.headers.get("session-id", ""))
    return ids


def _add(ids: dict[str, str], name: str, value: str) -> None:
    if value:
        ids.setdefault(name, clean(value))


def _streams(state: SessionState, calls: tuple[PictureCall, ...], hidden: frozenset[str]) -> tuple[PictureStream, ...]:
    if state.streams:
        matched = match_streams(state.snapshot, state.streams)
        lines = [(line.index, line.label, _direction(line), matched.get(line.index)) for line in state.streams]
        audio = [line.index for line in state.streams if line.kind == "audio" and not line.removed]
    else:
        described = [s for s in state.snapshot.streams.values() if not s.period.ended] or list(
            state.snapshot.streams.values()
        )
        lines = [(-1 - n, s.label, _direction_described(state, s, calls), s) for n, s in enumerate(described)]
        audio = [index for index, *_ in lines]
    pictured = []
    for index, label, direction, stream in lines:
        position = audio.index(index) if index in audio else -1
        on_it = _calls_on(stream, calls)
        heard = _heard(state, stream, label, position, len(audio), on_it)
        pictured.append(
            PictureStream(
                index=max(index, -1),
                label=label or (stream.label if stream else ""),
                direction=direction,
                parties=tuple(key for key in heard if key not in hidden),
                calls=tuple(call.key for call in on_it),
                extensions=as_tree(stream.extensions) if stream else {},
            )
        )
    return tuple(pictured)


def _heard(
    state: SessionState, stream: Stream | None, label: str, position: int, count: int, calls: tuple[PictureCall, ...]
) -> tuple[str, ...]:
    if stream is not None and (said := said_to_be_heard(state.snapshot, stream)):
        return said
    there = {party.id for call in calls for party in call.parties}
    if label and (before := tuple(who for who in state.heard.get(label, ()) if who in there)):
        return before
    if position < 0:
        return ()
    present = tuple(party.id for call in calls for party in call.parties if party.left_at is None)
    everybody = present or tuple(party.id for call in calls for party in call.parties)
    return guessed_to_be_heard(state.snapshot, stream, label, position, count, everybody)


def _calls_on(stream: Stream | None, calls: tuple[PictureCall, ...]) -> tuple[PictureCall, ...]:
    if stream is not None and stream.session:
        named = tuple(call for call in calls if call.key == identity_key(stream.session))
        if named:
            return named
    running = tuple(call for call in calls if call.ended_at is None)
    return running or calls[-1:]


def _direction(line: OfferedStream) -> str:
    return (Direction.INACTIVE if line.removed else line.direction).value


def _direction_described(state: SessionState, stream: Stream, calls: tuple[PictureCall, ...]) -> str:
    """Without SDP: a stream flows unless it has ended, or everybody is said not to send to it."""
    running = any(call.ended_at is None for call in _calls_on(stream, calls)) or not calls
    silent = bool(state.snapshot.heard) and not any(
        heard.sends or heard.receives for heard in state.snapshot.heard.values()
    )
    flows = running and not stream.period.ended and not silent
    return (Direction.SENDONLY if flows else Direction.INACTIVE).value


def _recording_state(state: SessionState, calls: tuple[PictureCall, ...]) -> RecordingState:
    if state.ended or (calls and all(call.ended_at is not None for call in calls)):
        return RecordingState.ENDED
    if state.streams:
        if all(line.removed for line in state.streams):
            return RecordingState.ENDED
        moves = any(not line.removed and line.direction is not Direction.INACTIVE for line in state.streams)
        return RecordingState.RECORDING if moves else RecordingState.PAUSED
    running = [call for call in calls if call.ended_at is None]
    if running and all(call.on_hold for call in running):
        return RecordingState.PAUSED
    return RecordingState.RECORDING


def _all_extensions(calls: tuple[PictureCall, ...], streams: tuple[PictureStream, ...]) -> dict[str, Any]:
    """Of the recording, its groups and calls by name; of participants and streams below `participants` and `streams`."""
    tree: dict[str, Any] = {}
    by_party: dict[str, Mapping[str, Any]] = {}
    for call in calls:
        for name, value in call.extensions.items():
            put(tree, name, value)
        by_party.update({party.aor or party.id: party.extensions for party in call.parties if party.extensions})
    by_stream = {stream.label or str(stream.index): stream.extensions for stream in streams if stream.extensions}
    if by_party:
        put(tree, "participants", by_party)
    if by_stream:
        put(tree, "streams", by_stream)
    return tree
