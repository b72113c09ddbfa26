"""From the picture of a session to the calls of the records:

bounded texts, whose call it is, one conversation id per call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from callward.recorder.recording import Recording
from callward.recorder.session_data import OpenStream, SessionData
from callward.records.events import Call, Party
from callward.siprec.history import ONLY_CALL
from callward.siprec.picture import Picture, PictureCall, PictureParty

PLACEHOLDER = ONLY_CALL
"""Key of the call of a session that has told nothing about its calls yet."""
SHORT = 255
MAX_PARTIES = 256
MAX_HEARD = 64
"""In one track."""
MAX_SESSION_IDS = 64
MAX_EXTENSION_ITEMS = 256
MAX_EXTENSION_DEPTH = 8
MAX_EXTENSION_TEXT = 4096

OrganisationOf = Callable[[Iterable[str], Iterable[str]], str | None]
"""(group ids, numbers) -> the organisation whose call it is."""


def record_call(call: PictureCall, conversation: str, organisation: str | None, began_at: datetime) -> Call:
    """The call as the journal tells it. `began_at` stands in where the picture has no start."""
    parties = {id(item): _party(item) for item in (*call.parties[:MAX_PARTIES], call.caller, call.called) if item}
    return Call(
        conversation=conversation,
        organisation=organisation,
        started_at=call.started_at or began_at,
        ended_at=call.ended_at,
        direction=call.direction.value,
        caller=parties.get(id(call.caller)),
        called=parties.get(id(call.called)),
        parties=[parties[id(item)] for item in call.parties[:MAX_PARTIES]],
        session_ids={
            key[:SHORT]: value[:SHORT] for key, value in list(call.session_ids.items())[:MAX_SESSION_IDS] if value
        },
        extensions=bounded(call.extensions),
    )


def select_organisation(call: PictureCall, organisation_of: OrganisationOf) -> str | None:
    """By the group id that the metadata gives, else by the recorded party's number, else by any party's."""
    groups = [text for text in (call.group, *_group_texts(call.extensions)) if text]
    recorded = [party.number for party in call.parties if party.recorded]
    others = [party.number for party in (call.called, call.caller, *call.parties) if party is not None]
    return organisation_of(groups, [number for number in (*recorded, *others) if number])


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Extensions as plain JSON within bounds of size and depth."""
    budget = [MAX_EXTENSION_ITEMS]
    found = _bounded(values, budget, 0)
    return found if isinstance(found, dict) else {}


def _bounded(value: Any, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if isinstance(value, Mapping):
        if depth >= MAX_EXTENSION_DEPTH:
            return {}
        return {str(key)[:SHORT]: _bounded(inner, budget, depth + 1) for key, inner in value.items() if budget[0] > 0}
    if isinstance(value, list | tuple | set | frozenset):
        if depth >= MAX_EXTENSION_DEPTH:
            return []
        return [_bounded(inner, budget, depth + 1) for inner in value if budget[0] > 0]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:MAX_EXTENSION_TEXT]


def _group_texts(extensions: Mapping[str, Any]) -> list[str]:
    """`groupID` and `serviceProviderID` (BroadWorks), `businessGroup` (Metaswitch), wherever a dialect nests them."""
    wanted = {"groupid", "serviceproviderid", "businessgroup"}
    found: list[str] = []
    stack: list[tuple[Any, int]] = [(extensions, 0)]
    while stack and len(found) < 16:
        value, depth = stack.pop()
        if isinstance(value, Mapping) and depth < MAX_EXTENSION_DEPTH:
            for key, inner in value.items():
                if isinstance(inner, str) and str(key).rpartition(":")[2].lower() in wanted:
                    found.append(inner)
                else:
                    stack.append((inner, depth + 1))
        elif isinstance(value, list | tuple) and depth < MAX_EXTENSION_DEPTH:
            stack.extend((inner, depth + 1) for inner in value[:64])
    return found


def _party(party: PictureParty) -> Party:
    return Party(
        party=party.id[:SHORT],
        name=party.name[:SHORT],
        aor=party.aor[:SHORT],
        number=party.number[:SHORT],
        joined_at=party.joined_at,
        left_at=party.left_at,
    )


def set_parties(recording: Recording, streams: Iterable[OpenStream], now: Picture) -> None:
    """Who can be heard in the tracks of the streams (who was once heard in one stays), and the session's extensions."""
    if not recording.calls:
        return
    recording.extensions = bounded(now.extensions)
    parties = {stream.index: stream.parties for stream in now.streams}
    for stream in streams:
        item = recording.track(stream.track)
        if item is None:
            continue
        heard = tuple(dict.fromkeys((*item.parties, *(party[:255] for party in parties.get(stream.index, ())))))
        if heard[:MAX_HEARD] != item.parties:
            item.parties = heard[:MAX_HEARD]
            recording.dirty = True


def unnamed_call(recording: Recording, conversation: str, organisation: str | None) -> Call:
    """The call of an ended recording that nobody named."""
    return Call(
        conversation=conversation,
        organisation=organisation,
        started_at=recording.started_at,
        ended_at=recording.ended_at,
    )


def adopt_placeholder(data: SessionData, now: Picture) -> None:
    """A session that told nothing at first now names its call: it is the same call."""
    if PLACEHOLDER not in data.conversations or any(call.key == PLACEHOLDER for call in now.calls):
        return
    key = next((call.key for call in now.calls if call.ended_at is None and call.key not in data.conversations), None)
    if key is None:
        return
    data.conversations[key] = data.conversations.pop(PLACEHOLDER)
    for recording in data.recordings.values():
        if PLACEHOLDER in recording.calls:
            recording.calls = {(key if name == PLACEHOLDER else name): call for name, call in recording.calls.items()}
