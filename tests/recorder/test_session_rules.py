"""Rules that hold for any client, however odd: every track is closed once, every recording told once, no audio without a recording."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from callward.recorder.actions import CloseTrack, DiscardTrack, OpenTrack, RotateTrack
from callward.recorder.session_data import from_json, to_json
from callward.records.events import EVENT, RecordingEnded, RecordingStarted
from tests.recorder.recorded_dialog import World, metadata, sdp

DIRECTIONS = st.sampled_from(["sendonly", "inactive", "sendrecv", "recvonly"])
STREAMS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3", ""]), DIRECTIONS, st.sampled_from(["40000", "0"])), min_size=1, max_size=4
)
CALLS = st.lists(
    st.sampled_from(["a", "b", "c", "a!", "b!"]), min_size=1, max_size=3, unique_by=lambda name: name.rstrip("!")
)
WELL_FORMED = st.builds(
    lambda calls, placed, mode: metadata(
        *calls,
        parties=" ".join(f"p{n}@{call.rstrip('!')}:{n + 1}" for n, call in enumerate(calls)),
        streams=" ".join(f"{n + 1}@{call.rstrip('!')}" for n, call in enumerate(calls)) if placed else "",
        mode=mode,
    ),
    CALLS,
    st.booleans(),
    st.sampled_from(["complete", "partial"]),
)
DOCUMENTS = st.one_of(
    WELL_FORMED, WELL_FORMED.map(str), WELL_FORMED.map(str.strip), st.sampled_from(["", "<recording>no"])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), STREAMS, DOCUMENTS),
        st.tuples(st.just("describe"), st.just([]), DOCUMENTS),
        st.tuples(st.just("describe"), st.just([]), WELL_FORMED),
        st.tuples(st.just("crash"), st.just([]), st.just("")),
        st.tuples(st.just("lost"), st.just([]), st.just("")),
    ),
    max_size=8,
)


def text_of(streams: list[tuple[str, str, str]]) -> str:
    return sdp(*[":".join(stream) for stream in streams])


PERSISTENT = [("describe", [], metadata("a!", mode="partial")), ("describe", [], metadata("b")), ("crash", [], "")]


@settings(max_examples=150, deadline=None)
@example(first=[("1", "sendonly", "40000")], document=metadata("a"), steps=PERSISTENT, seconds=10, last="")
@example(first=[("1", "sendonly", "40000")], document=metadata("a"), steps=PERSISTENT, seconds=1, last="")
@given(first=STREAMS, document=DOCUMENTS, steps=STEPS, seconds=st.integers(0, 20), last=DOCUMENTS)
def test_every_track_is_closed_once_and_every_recording_is_told_once(
    first: list[tuple[str, str, str]],
    document: str,
    steps: list[tuple[str, list[tuple[str, str, str]], str]],
    seconds: int,
    last: str,
) -> None:
    world = World()
    world.offer("INVITE", text_of(first), document)
    for kind, streams, xml in steps:
        world.later(seconds)
        if kind == "offer":
            world.offer("INVITE", text_of(streams), xml)
        elif kind == "describe":
            world.describe(xml)
        elif kind == "lost" and world.open:
            world.work(world.core.lost(next(iter(world.open)), "test", world.at))
            world.collect()
        elif kind == "crash":
            # The state as journaled; what the metadata had said comes back with the messages, here with none.
            siprec = world.core.siprec
            make_id = world.core._make_id
            world.core = world.make(from_json(json.loads(to_json(world.core.data))))
            world.core.siprec, world.core._make_id = siprec, make_id
        assert set(world.open) == {stream.track for stream in world.core.data.streams.values()}
        world.flush()
    world.bye(last)

    assert world.open == {}
    assert world.core.finished
    opened = [action.track for action in world.did(OpenTrack)] + [action.following for action in world.did(RotateTrack)]
    closed = [action.track for action in world.did(CloseTrack)] + [action.track for action in world.did(RotateTrack)]
    assert Counter(opened) == Counter(closed)
    started = Counter(event.recording for event in world.of(RecordingStarted))
    ended = Counter(event.recording for event in world.of(RecordingEnded))
    assert started == ended
    assert set(started.values()) <= {1}
    told = [track.track for event in world.of(RecordingEnded) for track in event.tracks]
    discarded = [action.track for action in world.did(DiscardTrack)]
    assert Counter(told + discarded) == Counter(opened)
    for event in world.events:
        assert EVENT.validate_json(event.model_dump_json()) == event
    for event in world.of(RecordingEnded):
        assert event.calls
        assert event.ended_at >= event.started_at
