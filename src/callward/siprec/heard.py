"""Which party is heard in which stream, by every way the field tells it.

In this order: `<send>` of the participants; `<recv>` (the one of two who does not hear a stream is heard in it); the labels a_leg and b_leg
(FRAFOS); a mixed stream holds everybody; the order of streams and participants. Guesses are only made where the metadata says nothing at
all about who sends; on a hold nobody sends (S24), and a stream still belongs to the party that it did before.
"""

from __future__ import annotations

from itertools import islice

from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import NO_PERIOD, Stream
from callward.siprec.offered import OfferedStream
from callward.siprec.snapshot import Snapshot

MAX_UNSAID_STREAMS = 16
"""Streams for which the sender is looked for by who does not receive them."""

_LEGS = {"a_leg": 0, "aleg": 0, "a-leg": 0, "b_leg": 1, "bleg": 1, "b-leg": 1}
_MIXED = ("mixed", "mix")


def match_streams(snapshot: Snapshot, offered: tuple[OfferedStream, ...]) -> dict[int, Stream]:
    """M-line index -> the stream of the metadata that describes it: by label, else what is left over in order."""
    running = [stream for stream in snapshot.streams.values() if _is_running(snapshot, stream)]
    by_label = {stream.label: stream for stream in snapshot.streams.values()}
    by_label.update({stream.label: stream for stream in running})
    matched = {line.index: by_label[line.label] for line in offered if line.label and line.label in by_label}
    taken = {stream.id for stream in matched.values()}
    left_lines = [line for line in offered if line.index not in matched and line.kind == "audio" and not line.removed]
    left_streams = [stream for stream in running if stream.id not in taken and not _is_video(stream)]
    # A label that the metadata names but no m-line has is another stream (S25), unless the counts say that labels were forgotten.
    if len(left_lines) == len(left_streams) or not any(line.label for line in left_lines):
        matched.update({line.index: stream for line, stream in zip(left_lines, left_streams, strict=False)})
    return matched


def heard_by_label(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Label of a described stream -> participants who are said to be heard in it."""
    senders: dict[str, list[str]] = {}
    for who, heard in snapshot.heard.items():
        for id_ in heard.sends:
            senders.setdefault(id_, []).append(who)
    if not senders:
        running = (s for s in snapshot.streams.values() if s.label and not s.period.ended)
        return {stream.label: said_to_be_heard(snapshot, stream) for stream in islice(running, MAX_UNSAID_STREAMS)}
    return {
        stream.label: tuple(dict.fromkeys((*senders.get(key, ()), *senders.get(stream.label, ()))))
        for key, stream in snapshot.streams.items()
        if stream.label and not stream.period.ended
    }


def said_to_be_heard(snapshot: Snapshot, stream: Stream) -> tuple[str, ...]:
    """Participants who are heard in the stream as the associations tell it."""
    keys = {identity_key(stream.id), stream.label}
    senders = tuple(who for who, heard in snapshot.heard.items() if keys.intersection(heard.sends))
    if senders or any(heard.sends for heard in snapshot.heard.values()):
        return senders
    receivers = [who for who, heard in snapshot.heard.items() if keys.intersection(heard.receives)]
    others = [who for who in snapshot.participants if who not in receivers]
    return tuple(others) if len(receivers) == 1 and len(others) == 1 else ()


def guessed_to_be_heard(
    snapshot: Snapshot, stream: Stream | None, label: str, position: int, count: int, participants: tuple[str, ...]
) -> tuple[str, ...]:
    """Participants of one of `count` audio streams, the one at `position`, when no association says anything."""
    said = [snapshot.heard[who] for who in participants if who in snapshot.heard]
    if any(heard.sends or heard.receives for heard in said) or not participants:
        return ()
    if said and len(participants) != count:
        return ()  # said of somebody: nobody is heard (a hold); whose stream it is can be told only where all fits
    leg = _LEGS.get(label.lower())
    if leg is not None:
        return participants[leg : leg + 1]
    if (stream is not None and stream.mode in _MIXED) or (count == 1 and len(participants) > 1):
        return participants
    return participants[position : position + 1] if len(participants) <= count else ()


def on_hold(snapshot: Snapshot, participants: tuple[str, ...]) -> bool:
    """Everybody's associations are there, and empty (S24)."""
    said = [snapshot.heard[who] for who in participants if who in snapshot.heard]
    return bool(said) and not any(heard.sends or heard.receives for heard in said)


def _is_running(snapshot: Snapshot, stream: Stream) -> bool:
    """A label is used again by the next call of a persistent session; the streams of the last one are over."""
    key = identity_key(stream.session)
    session = snapshot.sessions.get(key)
    over = (session is not None and session.period.ended) or snapshot.recorded.get(key, NO_PERIOD).ended
    return not over and not stream.period.ended


def _is_video(stream: Stream) -> bool:
    return stream.content_type.lower().startswith("video")
