"""What a stream's track is told to the media process: the offered media with our state, our SRTP key and our notes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from callward.media.protocol import Srtp, TrackSettings
from callward.recorder.actions import MediaLine, UpdateTrack
from callward.recorder.negotiation import key_bytes
from callward.recorder.session_data import OpenStream
from callward.siprec.stream_plan import Action as Step
from callward.siprec.stream_plan import PlannedStream


def take_back(step: PlannedStream, lines: Mapping[int, MediaLine], streams: Mapping[int, OpenStream]) -> PlannedStream:
    """The step, or its refusal where the media process could not receive the stream anyway."""
    line = lines.get(step.index)
    if not step.accepted or (line is not None and not line.refusal):
        return step
    action = Step.CLOSE if step.index in streams else Step.REJECT
    return replace(step, action=action, flows=False, reason=line.refusal if line else "no media")


def track_settings(
    stream: OpenStream, step: PlannedStream, line: MediaLine, entropy: Callable[[int], bytes]
) -> TrackSettings:
    """The settings after this step. Our key is made once for each length of key and kept over re-INVITEs.

    While an offer names no address (c=0.0.0.0) the one before stays; without any the first packets tell it.
    """
    send = None
    if line.settings.srtp is not None:
        size = key_bytes(line.settings.srtp.suite)
        if not stream.srtp_key or len(base64.b64decode(stream.srtp_key)) != size:
            stream.srtp_key = base64.b64encode(entropy(size)).decode("ascii")
        send = Srtp(line.settings.srtp.suite, stream.srtp_key)
    remote = line.settings.remote or stream.settings.remote
    return replace(
        line.settings,
        remote=remote,
        state="recording" if step.flows else "paused",
        srtp_send=send,
        source_check="symmetric" if remote else "learn",
        meta=track_meta(stream),
    )


def track_meta(stream: OpenStream) -> dict[str, Any]:
    """What the media process keeps for us with the track."""
    return {"recording": stream.recording, "label": stream.label, "index": stream.index}


def updates(track: str, changes: Mapping[str, Any], *, repeated: bool = False) -> list[UpdateTrack]:
    """The updates that tell `changes`: the state by itself, a pause before the rest and a resume after it."""
    rest = {key: value for key, value in changes.items() if key != "state"}
    found = [UpdateTrack(track, rest, repeated)] if rest else []
    if "state" in changes:
        alone = UpdateTrack(track, {"state": changes["state"]}, repeated)
        found.insert(0 if changes["state"] == "paused" else len(found), alone)
    return found


def changed(before: TrackSettings, after: TrackSettings) -> dict[str, Any]:
    """The fields that `update_track` has to tell; whether RTCP is multiplexed cannot change."""
    old, new = before.to_wire(), after.to_wire()
    return {key: value for key, value in new.items() if old[key] != value and key != "rtcp_mux"}
