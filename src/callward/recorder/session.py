"""The sans-IO core of the recording server: one recording session (RFC 7866), facts in, actions out.

Theory of operation
    - A message becomes an `Observation` (siprec). `offer` and `describe` take it in, decide which recording each
      stream belongs to, and return what the media process has to do. The service does it, reports `opened`, `refused`,
      `not_updated` and `closed`, and then asks for the answer.
    - A stream stays in its recording while one of the recording's calls runs. When the last of them has ended in a
      session that goes on (S34) its streams are *rotated*: the same ports go on into tracks of the next recording, so
      that each call has its own and no packet is lost between.
    - Calls that share streams share the recording (S35). Streams that no call claims go with the oldest recording:
      audio is never dropped because the metadata is odd (S16).
    - Events gather in `take_events`; `RecordingEnded` only when all its tracks are closed, that is, synced.
    - Nothing here asks the clock or makes ids by itself: `at` is given, `make_id` and `entropy` are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from callward.recorder.actions import (
    Action,
    CloseTrack,
    DiscardTrack,
    FailMessage,
    MediaLine,
    OpenTrack,
    RequestSnapshot,
    RotateTrack,
    UpdateTrack,
)
from callward.recorder.claims import Claims
from callward.recorder.conversations import (
    PLACEHOLDER,
    OrganisationOf,
    adopt_placeholder,
    record_call,
    select_organisation,
    set_parties,
    unnamed_call,
)
from callward.recorder.marks import mark_flow, mark_transfer, unmark_flow
from callward.recorder.negotiation import LocalStream
from callward.recorder.reading import read_on
from callward.recorder.recording import RecordedTrack, Recording, Why
from callward.recorder.session_data import Conversation, OpenStream, SessionData, without_keys
from callward.recorder.track_settings import changed, take_back, track_meta, track_settings, updates
from callward.records.events import Event
from callward.siprec.observation import Observation
from callward.siprec.oddity import Oddity
from callward.siprec.peer import profile_named
from callward.siprec.picture import Picture, PictureCall
from callward.siprec.session import SessionState, begin, snapshot_requested
from callward.siprec.stream_plan import Action as Step
from callward.siprec.stream_plan import PlannedStream, plan_streams

PREROLL = timedelta(seconds=5)
"""Audio that came so long before its call was announced belongs to the call (S38)."""


class RecordingSession:
    """See the module's theory of operation. `data` is journaled after each change."""

    def __init__(
        self,
        data: SessionData,
        *,
        make_id: Callable[[datetime], str],
        entropy: Callable[[int], bytes],
        organisation_of: OrganisationOf,
    ) -> None:
        self.data = data
        self.siprec: SessionState = begin(profile_named(data.profile))
        self._make_id = make_id
        self._entropy = entropy
        self._organisation_of = organisation_of
        self._events: list[Event] = []
        self._flow_before: tuple[datetime, dict[int, bool]] = (data.began_at, {})
        """When the last offer came, and which streams flowed before it."""
        self._defect = ""
        """What was wrong with the metadata of the last message, when it could not be used at all."""
        self._doubtful = False
        """Taken up again after a crash in the moment of the answer: the client may have got it."""

    # What came -----------------------------------------------------------------------------------------------------

    def offer(self, observation: Observation, lines: Sequence[MediaLine], at: datetime) -> list[Action]:
        """An SDP offer (or the answer to our own), perhaps with metadata. `lines`: the media of its m-lines."""
        picture_now = self._take(observation, at)
        by_index = {line.index: line for line in lines}
        plan = [
            take_back(step, by_index, self.data.streams)
            for step in plan_streams(self.data.plan, observation.streams or ())
        ]
        actions: list[Action] = []
        for step in plan:
            open_stream = self.data.streams.get(step.index)
            if open_stream is not None and step.action in (Step.CLOSE, Step.OPEN):
                actions.append(self._close_stream(open_stream))
        actions += self._settle(picture_now, at)
        claims = Claims(picture_now)
        opening = [step for step in plan if step.action is Step.OPEN]
        fresh: dict[str, Recording] = {}
        for step in sorted(opening, key=lambda step: not claims.of(step.index)):
            actions.append(self._open_stream(step, by_index[step.index], claims.of(step.index), fresh, at))
        if opening:
            self._set_calls(picture_now, at)
            self._announce()
        before = {index: stream.flows for index, stream in self.data.streams.items()}
        for step in plan:
            stream = self.data.streams.get(step.index)
            if stream is not None and step.action in (Step.UPDATE, Step.PAUSE, Step.RESUME):
                actions += self._update_stream(stream, step, by_index[step.index])
        for recording in self._live():
            mark_flow(recording, self._streams_of(recording), before, at)
        self._flow_before = (at, before)
        self.data.plan = [step for step in plan if step.index < len(observation.streams or ())]
        self._note(picture_now, observation, at)
        for line in lines:
            if line.problem:
                self.flag("odd_signalling", f"m-line {line.index + 1}: {line.problem}")
        return actions + self._snapshot_request()

    def describe(self, observation: Observation, at: datetime) -> list[Action]:
        """Metadata without SDP (S12)."""
        picture_now = self._take(observation, at)
        actions = self._settle(picture_now, at)
        self._note(picture_now, observation, at)
        return actions + self._snapshot_request()

    def end(self, why: Why, at: datetime, observation: Observation | None = None) -> list[Action]:
        """The session is over: close everything. `observation`: the BYE, which may carry metadata (S12)."""
        if self.data.ended:
            return []
        if observation is not None:
            picture_now = self._take(observation, at)
            self._set_calls(picture_now, at)
            self._note(picture_now, observation, at)
        actions: list[Action] = [CloseTrack(stream.track) for stream in self.data.streams.values()]
        self.data.end(why, at)
        return actions + self._complete()

    # What the media process said ------------------------------------------------------------------------------------

    def opened(self, track: str, rtp_port: int, rtcp_port: int) -> None:
        """The ports of an `OpenTrack`."""
        stream = self._stream_of(track)
        if stream is not None:
            stream.rtp_port, stream.rtcp_port, stream.opened = rtp_port, rtcp_port, True

    def refused(self, track: str, why: str) -> list[Action]:
        """An `OpenTrack` failed: the m-line is answered with port 0, and the recording says so."""
        stream = self._stream_of(track)
        if stream is None:
            return []
        del self.data.streams[stream.index]
        recording = self.data.recordings.get(stream.recording)
        if recording is not None:
            recording.tracks = [item for item in recording.tracks if item.track != track]
            recording.problem("stream_refused", f"stream {stream.label or stream.index}: {why}")
        self.data.plan = [
            replace(step, action=Step.REJECT, flows=False, reason=why) if step.index == stream.index else step
            for step in self.data.plan
        ]
        return [DiscardTrack(track)]

    def not_updated(self, action: UpdateTrack, why: str, *, temporary: bool) -> list[Action]:
        """An `UpdateTrack` failed. Where it was to set the state, all is as before the message, which is to be repeated."""
        stream = self._stream_of(action.track)
        if stream is None:
            return []
        recording = self.data.recordings.get(stream.recording)
        if recording is not None and (action.repeated or not action.sets_state):
            recording.problem("stream_not_updated", f"stream {stream.label or stream.index}: {why}")
        if action.repeated or not action.sets_state:
            return []
        at, before = self._flow_before
        stream.flows = before.get(stream.index, stream.flows)
        stream.settings = replace(stream.settings, state="recording" if stream.flows else "paused")
        self.data.plan = [
            replace(step, flows=stream.flows) if step.index == stream.index else step for step in self.data.plan
        ]
        if recording is not None:
            unmark_flow(recording, at)
            mark_flow(recording, self._streams_of(recording), before, at)
        return [FailMessage(why, temporary)]

    def not_rotated(self, action: RotateTrack, why: str, at: datetime) -> list[Action]:
        """The media process refused: the stream goes on in its track, hence in its recording. The boundary is marked."""
        stream = self._stream_of(action.following)
        old = next((item for item in self.data.recordings.values() if item.track(action.track)), None)
        if stream is None or old is None:
            return []
        following = self.data.recordings[stream.recording]
        following.tracks = [item for item in following.tracks if item.track != action.following]
        old.revive(following)
        old.mark("boundary", at, why)
        old.problem("not_rotated", f"stream {stream.label or stream.index}: {why}")
        stream.track, stream.recording = action.track, old.id
        if not following.tracks:
            del self.data.recordings[following.id]
            self._events = [item for item in self._events if getattr(item, "recording", "") != following.id]
        return []

    def closed(self, track: str, packets: int | None, problem: str = "") -> list[Action]:
        """A track is closed and all of it stands in the audio journal.

        `packets`: None when nobody can say. `problem`: why it could not be closed in the normal way.
        """
        for recording in self.data.recordings.values():
            item = recording.track(track)
            if item is not None and not item.closed:
                item.closed, item.packets, item.counted = True, packets or 0, packets is not None
                if problem:
                    recording.problem("track_lost", problem)
        return self._complete()

    def lost(self, track: str, why: str, at: datetime, *, renew: bool = False) -> list[Action]:
        """The media process ended a track by itself: what it holds is kept.

        The stream is gone; with `renew` it goes on in a new track, whose port the client has to be told.
        """
        stream = self._stream_of(track)
        if stream is None:
            return []
        recording = self.data.recordings.get(stream.recording)
        if recording is not None:
            recording.problem("track_lost", f"stream {stream.label or stream.index}: {why}")
            recording.mark("restart", at, why)
        actions: list[Action] = [self._close_stream(stream)]
        keys_known = stream.settings.srtp is not None or not stream.srtp_key
        if renew and recording is not None and not recording.ending and keys_known:
            actions.append(self._reopen(stream, recording, at))
        return actions

    def media_restarted(self, at: datetime) -> None:
        """The media process died and came back with our tracks: a gap is in them."""
        for recording in self._live():
            if any(stream.recording == recording.id for stream in self.data.streams.values()):
                recording.mark("restart", at, "the media process was restarted")

    # What goes out --------------------------------------------------------------------------------------------------

    def local_streams(self) -> dict[int, LocalStream]:
        """Our side of the open m-lines, for the answer."""
        return {
            index: LocalStream(stream.rtp_port, stream.rtcp_port, stream.srtp_key)
            for index, stream in self.data.streams.items()
            if stream.opened
        }

    def answered(self) -> None:
        """The 200 was sent (or the client shows that it got it): from now on the recordings are told of."""
        if self.data.answered:
            return
        self.data.answered = True
        self._announce()

    def flush(self, at: datetime) -> None:
        """Tell the changes since the last time; the caller sees to it that this is about once a second at most."""
        for recording in self._live():
            if recording.announced and recording.dirty:
                self._events.append(recording.updated(at))
                recording.dirty = False

    @property
    def dirty(self) -> bool:
        """There is something for `flush` to tell."""
        return any(recording.announced and recording.dirty for recording in self._live())

    @property
    def finished(self) -> bool:
        """The session is over and all its recordings are told of: it can be forgotten."""
        return self.data.ended and not self.data.recordings

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def flag(self, code: str, detail: str) -> None:
        """Note a problem of the live recordings."""
        for recording in self._live():
            recording.problem(code, detail)

    def note(self, code: str, oddities: Iterable[Oddity]) -> None:
        """Note oddities as problems of the live recordings; harmless habits of known products are none."""
        for oddity in oddities:
            if not oddity.harmless:
                self.flag(code, str(oddity))

    def replay(self, observations: Iterable[tuple[int, datetime, Observation]]) -> None:
        """After a crash: read the journaled messages (number, time, what it said) again."""
        self._doubtful = not self.data.answered
        for number, at, observation in observations:
            self.siprec, _, _ = read_on(self.siprec, observation, at)
            for recording in self.data.recordings.values():
                if number >= recording.first_message:
                    recording.keep_documents(observation, at)
        for stream in self.data.streams.values():
            stream.settings = without_keys(stream.settings)

    # Inside ---------------------------------------------------------------------------------------------------------

    def _take(self, observation: Observation, at: datetime) -> Picture:
        self.data.messages += 1
        self.siprec, found, self._defect = read_on(self.siprec, observation, at)
        self.data.vendor = found.vendor[:255]
        if not found.calls and not self.data.conversations.keys() - {PLACEHOLDER}:
            # Neither metadata nor headers name a call: there is one all the same.
            found = replace(found, calls=(PictureCall(PLACEHOLDER, session_ids=found.session_ids),))
        return found

    def _snapshot_request(self) -> list[Action]:
        if not self.siprec.needs_snapshot:
            return []
        self.siprec = snapshot_requested(self.siprec)
        return [RequestSnapshot("a complete snapshot is missing")]

    def _live(self) -> list[Recording]:
        return [recording for recording in self.data.recordings.values() if not recording.ending]

    def _streams_of(self, recording: Recording) -> list[OpenStream]:
        return [stream for stream in self.data.streams.values() if stream.recording == recording.id]

    def _stream_of(self, track: str) -> OpenStream | None:
        return next((stream for stream in self.data.streams.values() if stream.track == track), None)

    # Recordings and their calls

    def _new_recording(self, at: datetime) -> Recording:
        recording = Recording(self._make_id(at), at, first_message=max(0, self.data.messages - 1))
        self.data.recordings[recording.id] = recording
        return recording

    def _settle(self, now: Picture, at: datetime) -> list[Action]:
        """Bring the recordings in line with the calls that run; rotate the streams of those that have ended."""
        adopt_placeholder(self.data, now)
        self._set_calls(now, at)
        claims = Claims(now)
        actions: list[Action] = []
        for recording in self._live():
            streams = self._streams_of(recording)
            if not self._is_over(recording, streams, claims, at):
                continue
            recording.end("call_ended", at)
            following: dict[str, Recording] = {}
            for stream in streams:
                target = self._target(claims.of(stream.index), at, following)
                actions.append(self._rotate(stream, recording, target, at))
        if actions:
            self._set_calls(now, at)
        self._announce()
        return actions + self._complete()

    def _is_over(self, recording: Recording, streams: list[OpenStream], claims: Claims, at: datetime) -> bool:
        if recording.calls:
            return PLACEHOLDER not in recording.calls and not any(key in claims.running for key in recording.calls)
        return self._is_stale(recording, at) and any(claims.of(stream.index) for stream in streams)

    def _is_stale(self, recording: Recording, at: datetime) -> bool:
        """Audio after a call and without one, too old to be the beginning of the call that comes now."""
        return bool(self.data.conversations) and not recording.calls and at - recording.started_at > PREROLL

    def _target(self, keys: frozenset[str], at: datetime, following: dict[str, Recording]) -> Recording:
        """The recording for a stream with these calls; `following` keeps those made in this step, "" for no call."""
        for recording in self._live():
            if keys and any(key in recording.calls for key in keys):
                return recording
        for key in sorted(keys) or [""]:
            if key in following:
                return following[key]
        recording = self._new_recording(at)
        for key in sorted(keys) or [""]:
            following[key] = recording
        return recording

    def _set_calls(self, now: Picture, at: datetime) -> None:
        """Give each live recording the calls that are on its streams, and what is known of them now."""
        claims = Claims(now)
        by_key = {call.key: call for call in now.calls}
        for recording in self._live():
            if self._is_stale(recording, at):
                continue
            keys = dict.fromkeys(recording.calls)
            for stream in self.data.streams.values():
                if stream.recording == recording.id and (not recording.calls or self._runs(recording, claims)):
                    keys.update(dict.fromkeys(sorted(claims.of(stream.index))))
            for key in keys:
                if key in by_key:
                    self._set_call(recording, by_key[key], at)
            set_parties(recording, self.data.streams.values(), now)

    def _runs(self, recording: Recording, claims: Claims) -> bool:
        return any(key in claims.running or key == PLACEHOLDER for key in recording.calls)

    def _set_call(self, recording: Recording, call: PictureCall, at: datetime) -> None:
        conversation = self.data.conversations.get(call.key)
        if conversation is None:
            conversation = self.data.conversations[call.key] = Conversation(self._make_id(at))
        if conversation.organisation is None:
            conversation.organisation = select_organisation(call, self._organisation_of)
        before = recording.calls.get(call.key)
        recorded = record_call(call, conversation.id, conversation.organisation, recording.started_at)
        if before is not None:
            mark_transfer(recording, before, recorded, at)
        if call.ended_at is None and call.on_hold != (call.key in self.data.held):
            recording.mark("hold" if call.on_hold else "unhold", at)
            (self.data.held.add if call.on_hold else self.data.held.discard)(call.key)
        recording.set_call(call.key, recorded)

    def _announce(self) -> None:
        if not self.data.answered:
            return
        for recording in self._live():
            if recording.calls and not recording.announced:
                self._events.append(recording.started(self.data.origin))
                recording.announced = True
                recording.dirty = bool(recording.problems or recording.marks or recording.paused)

    def _complete(self) -> list[Action]:
        """Tell of the recordings whose tracks are all closed, and forget them."""
        actions: list[Action] = []
        for recording in [item for item in self.data.recordings.values() if item.complete]:
            del self.data.recordings[recording.id]
            if not recording.is_worth(answered=self.data.answered, doubtful=self._doubtful):
                actions += [DiscardTrack(item.track) for item in recording.tracks if item.counted]
                continue
            if not recording.calls:
                recording.problem("unattributed", "no call was named for this audio")
                organisation = self._organisation_of((), ())
                recording.set_call(
                    PLACEHOLDER, unnamed_call(recording, self._make_id(recording.started_at), organisation)
                )
            if not recording.announced:
                self._events.append(recording.started(self.data.origin))
            self._events.append(recording.ended(self.data.origin))
        return actions

    # Streams and their tracks

    def _open_stream(
        self, step: PlannedStream, line: MediaLine, keys: frozenset[str], fresh: dict[str, Recording], at: datetime
    ) -> OpenTrack:
        """A track for a new stream. `keys`: the calls on it; `fresh`: the recordings that this offer gives its calls."""
        live = self._live()
        recording = next((item for item in live if any(key in item.calls for key in keys)), None)
        recording = recording or next((fresh[key] for key in keys if key in fresh), None)
        if recording is None:
            # Nobody claims the stream, or it is the first one of a call: what has no call yet goes together.
            free = (item for item in live if not keys or (not item.calls and item not in fresh.values()))
            recording = next(free, None) or self._new_recording(at)
        fresh.update(dict.fromkeys(keys, recording))
        stream = OpenStream(
            step.index, step.label[:255], self._make_id(at), recording.id, line.settings, flows=step.flows
        )
        stream.settings = track_settings(stream, step, line, self._entropy)
        if not recording.add_track(RecordedTrack(stream.track, stream.index, stream.label)):
            recording.problem("tracks_dropped", "more tracks than a recording can hold")
        self.data.streams[step.index] = stream
        return OpenTrack(stream.track, recording.id, stream.settings)

    def _reopen(self, lost: OpenStream, recording: Recording, at: datetime) -> OpenTrack:
        """A further track for the stream of a lost one, with all that was negotiated."""
        before = recording.track(lost.track)
        stream = replace(lost, track=self._make_id(at), opened=False, rtp_port=0, rtcp_port=0)
        parties = before.parties if before is not None else ()
        if not recording.add_track(RecordedTrack(stream.track, stream.index, stream.label, parties)):
            recording.problem("tracks_dropped", "more tracks than a recording can hold")
        self.data.streams[stream.index] = stream
        return OpenTrack(stream.track, recording.id, stream.settings)

    def _update_stream(self, stream: OpenStream, step: PlannedStream, line: MediaLine) -> list[Action]:
        old = stream.settings
        stream.settings, stream.flows = track_settings(stream, step, line, self._entropy), step.flows
        changes = changed(old, stream.settings)
        return list(updates(stream.track, changes))

    def _rotate(self, stream: OpenStream, old: Recording, target: Recording, at: datetime) -> RotateTrack:
        track, stream.track, stream.recording = stream.track, self._make_id(at), target.id
        target.add_track(RecordedTrack(stream.track, stream.index, stream.label))
        meta = track_meta(stream)
        stream.settings = replace(stream.settings, meta=meta)
        target.paused = not stream.flows
        return RotateTrack(track, stream.track, self.data.id, meta)

    def _close_stream(self, stream: OpenStream) -> CloseTrack:
        del self.data.streams[stream.index]
        return CloseTrack(stream.track)

    def _note(self, now: Picture, observation: Observation, at: datetime) -> None:
        """Keep what came raw, and what was odd about it (S16)."""
        for recording in self.data.recordings.values():
            if recording.ended_at is None or recording.ended_at == at:
                recording.keep_documents(observation, at)
        self.note("odd_metadata", now.oddities)
        if self._defect:
            self.flag("odd_metadata", self._defect)
