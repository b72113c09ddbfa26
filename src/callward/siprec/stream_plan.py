"""What a recording server does with each m-line of an offer (RFC 7866 sections 7.2 and 8.3, RFC 3264).

Rules:

| what the offer says                  | known stream | new stream |
|---|---|---|
| port 0                               | close        | reject     |
| video, or a kind that is not recorded | close       | reject     |
| more streams than the limit          | close        | reject     |
| sendonly or sendrecv                 | resume if it was paused, else update | open |
| inactive, recvonly or c=0.0.0.0      | pause if it flowed, else update      | open paused |

A stream is known by the position of its m-line (RFC 3264 section 8): a position is closed for good only for this use of it, so that a slot
that is used again opens a new track of the same recording (S22). The answer never has more m-lines than the offer (S08).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from callward.siprec.offered import Direction, OfferedStream

MAX_STREAMS = 64
"""Open m-lines per session. Two per party; a turret has up to 32 speaker channels."""

RECORDED_KINDS = frozenset({"audio", "text"})
"""Text is RFC 4103 (S39). Video is refused (S31)."""


class Action(StrEnum):
    OPEN = "open"
    """Lease ports, make a track. `flows` tells whether it starts paused."""
    UPDATE = "update"
    """Codec, port, address or keys may have changed; the track goes on."""
    PAUSE = "pause"
    """From now on nothing is stored, even if RTP keeps coming (S23)."""
    RESUME = "resume"
    """Also an update."""
    CLOSE = "close"
    """Close the track; answer with port 0."""
    REJECT = "reject"
    """Nothing was open and nothing will be; answer with port 0."""


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """One m-line of the answer, at the same position as in the offer (S04)."""

    index: int
    kind: str
    label: str
    action: Action
    direction: Direction
    """Of the answer (S05); meaningless with port 0."""
    flows: bool
    """Whether what arrives is stored after this step."""
    reason: str = ""
    """Why a stream is rejected or closed, for people."""

    @property
    def accepted(self) -> bool:
        """False: answer with port 0."""
        return self.action not in (Action.CLOSE, Action.REJECT)


def answer_direction(offered: Direction, *, ready: bool = True) -> Direction:
    """Direction of the answer to an offered direction (S05); `inactive` while the recorder is not ready (S07)."""
    if ready and offered in (Direction.SENDONLY, Direction.SENDRECV):
        return Direction.RECVONLY
    return Direction.INACTIVE


def plan_streams(
    previous: Sequence[PlannedStream],
    offer: Sequence[OfferedStream],
    *,
    ready: bool = True,
    max_streams: int = MAX_STREAMS,
    recorded_kinds: frozenset[str] = RECORDED_KINDS,
) -> tuple[PlannedStream, ...]:
    """One step per m-line of the offer, in its order. `previous` is the plan of the last completed exchange (empty for a first offer).

    An offer with fewer m-lines than before breaks RFC 3264; the missing ones are closed by extra steps at the end, which stand for no
    m-line of the answer (`index` >= len(offer)).
    """
    known = {step.index: step for step in previous if step.accepted}
    steps: list[PlannedStream] = []
    open_count = 0
    for stream in offer:
        before = known.pop(stream.index, None)
        if before is not None and before.kind != stream.kind:
            before = None  # the slot is used again for something else; the recorder sees OPEN and closes what was there
        refusal = _refusal(stream, recorded_kinds, full=open_count >= max_streams)
        if refusal:
            action = Action.CLOSE if before is not None else Action.REJECT
            steps.append(_step(stream, action, Direction.INACTIVE, flows=False, reason=refusal))
            continue
        open_count += 1
        direction = answer_direction(stream.direction, ready=ready)
        flows = direction is Direction.RECVONLY
        steps.append(_step(stream, _action(before, flows=flows), direction, flows=flows))
    for index, lost in sorted(known.items()):
        steps.append(
            PlannedStream(
                index,
                lost.kind,
                lost.label,
                Action.CLOSE,
                Direction.INACTIVE,
                flows=False,
                reason="missing in the new offer",
            )
        )
    return tuple(steps)


def _action(before: PlannedStream | None, *, flows: bool) -> Action:
    if before is None:
        return Action.OPEN
    if before.flows == flows:
        return Action.UPDATE
    return Action.RESUME if flows else Action.PAUSE


def _refusal(stream: OfferedStream, recorded_kinds: frozenset[str], *, full: bool) -> str:
    if stream.removed:
        return "removed by the recording client"
    if stream.kind not in recorded_kinds:
        return f"{stream.kind or 'unknown'} is not recorded"
    return "too many streams" if full else ""


def _step(
    stream: OfferedStream, action: Action, direction: Direction, *, flows: bool, reason: str = ""
) -> PlannedStream:
    return PlannedStream(stream.index, stream.kind, stream.label, action, direction, flows, reason)
