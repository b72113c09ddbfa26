"""Carrying out a session's actions at the media process, and reporting back to its core."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from callward.media.client import MediaClient, Pending
from callward.media.protocol import (
    ClosedTrack,
    ListedTrack,
    MediaError,
    MediaRefusedError,
    MediaUnavailableError,
    OpenedTrack,
)
from callward.platform.telemetry import logger
from callward.recorder.actions import (
    Action,
    Answering,
    CloseTrack,
    DiscardTrack,
    MediaAction,
    OpenTrack,
    RotateTrack,
    UpdateTrack,
)
from callward.recorder.session import RecordingSession
from callward.recorder.track_settings import updates

RETRY_FIRST_S = 0.1
RETRY_MAX_S = 2.0
UPDATE_S = 8.0
"""So long an update of a track is tried; the client repeats its message for 32 s (timer B and F of RFC 3261)."""
STOPPING = "stopping"
"""The media process is shutting down; its next start takes the tracks up."""
TEMPORARY = frozenset({"overload", "no_space", STOPPING})
"""Refusals that a little time may mend."""
GONE = frozenset({"unknown_track", "closed"})


_Work = Coroutine[Any, Any, Sequence[Action]]


class TrackWork:
    """Runs actions against the media process. `address`: the local address that ports are leased on."""

    def __init__(self, media: MediaClient, address: str) -> None:
        self.media = media
        self.address = address

    async def perform(self, core: RecordingSession, actions: Sequence[Action]) -> list[Answering]:
        """Do all of it: rotations first, because later actions speak of the new tracks; the rest side by side.

        Returns what is not the media process's business. Closing is tried until it is done, updates for `UPDATE_S`;
        opening fails at once. `attach` repeats the settings when the media process is back.
        """
        asked: list[Answering] = []
        waiting = list(actions)
        while waiting:
            asked += [action for action in waiting if isinstance(action, Answering)]
            found = await _all([self._begin(core, action) for action in waiting if isinstance(action, RotateTrack)])
            found += await _all(
                [self._begin(core, action) for action in waiting if not isinstance(action, RotateTrack | Answering)]
            )
            waiting = found
        return asked

    async def attach(
        self, core: RecordingSession, listed: dict[str, ListedTrack], *, restarted: bool, renew: bool
    ) -> list[Action]:
        """After a connect: compare what the media process has with what the session thinks, and bring both together.

        `renew`: the client can be told other ports, so that a lost stream goes on in a new track.
        """
        at = datetime.now(UTC)
        if restarted:
            core.media_restarted(at)
        actions: list[Action] = []
        for stream in list(core.data.streams.values()):
            known = listed.get(stream.track)
            if not stream.opened:
                continue
            if (known is None or known.state != "open") and not await self._has_open(stream.track):
                actions += core.lost(stream.track, "the media process no longer has it open", at, renew=renew)
                continue
            changes = stream.settings.to_wire()
            del changes["rtcp_mux"]
            if stream.settings.srtp is None:  # after a restart of ours only the media process has the keys
                del changes["srtp"], changes["srtp_send"]
            actions += updates(stream.track, changes, repeated=True)
        streams = {stream.track for stream in core.data.streams.values()}
        waiting = {action.track for action in actions if isinstance(action, CloseTrack)}
        for recording in core.data.recordings.values():
            for item in recording.tracks:
                if not item.closed and item.track not in streams and item.track not in waiting:
                    actions.append(CloseTrack(item.track))
        return actions

    async def _has_open(self, track: str) -> bool:
        """Whether a track is open after all: it was opened while the list, or a reply, was on its way."""
        try:
            return (await self.media.track_stats(track)).get("state") in ("recording", "paused")
        except MediaRefusedError:
            return False

    def _begin(self, core: RecordingSession, action: MediaAction | DiscardTrack) -> _Work:
        """Send at once what the action asks; what is returned waits for the reply and reports it."""
        match action:
            case OpenTrack():
                opening = self.media.open_track(action.track, core.data.id, self.address, action.settings)
                return self._opened(core, action, opening)
            case UpdateTrack():
                return self._updated(core, action, self.media.update_track(action.track, action.changes))
            case RotateTrack() | CloseTrack():
                return self._ended(core, action, self._end(action))
            case DiscardTrack():
                return self._discard(action.track)

    async def _opened(self, core: RecordingSession, action: OpenTrack, reply: Pending[OpenedTrack]) -> Sequence[Action]:
        try:
            opened = await reply
        except MediaError as error:
            logger.error("track_not_opened", track=action.track, error=str(error))
            return core.refused(action.track, str(error))
        core.opened(action.track, opened.rtp_port, opened.rtcp_port)
        return ()

    async def _updated(self, core: RecordingSession, action: UpdateTrack, reply: Pending[None]) -> Sequence[Action]:
        """Tried for a bounded time, a change of state also while the media process is away: what is answered is done."""
        loop = asyncio.get_running_loop()
        until, delay = loop.time() + UPDATE_S, RETRY_FIRST_S
        while True:
            try:
                await reply
                return ()
            except MediaRefusedError as error:
                logger.error("track_not_updated", track=action.track, code=error.code, error=str(error))
                if error.code in GONE:
                    return core.lost(action.track, str(error), datetime.now(UTC))
                if error.code not in TEMPORARY or loop.time() + delay > until:
                    return core.not_updated(action, str(error), temporary=error.code in TEMPORARY)
            except MediaUnavailableError as error:
                logger.warning("track_update_waits", track=action.track, error=str(error))
                if action.repeated or not action.sets_state:
                    return ()  # `attach` comes again with the next connection
                left = until - loop.time()
                if left <= 0 or not await self.media.wait_connected(left):
                    return core.not_updated(action, str(error), temporary=True)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)
            reply = self.media.update_track(action.track, action.changes)

    def _end(self, action: CloseTrack | RotateTrack) -> Pending[ClosedTrack]:
        if isinstance(action, RotateTrack):
            return self.media.rotate_track(action.track, action.following, action.session, action.meta)
        return self.media.close_track(action.track)

    async def _ended(
        self, core: RecordingSession, action: CloseTrack | RotateTrack, reply: Pending[ClosedTrack]
    ) -> Sequence[Action]:
        """Until it is done, or the media process says that it never will be.

        A rotation that is refused keeps the track that there is; a close is tried again where time may mend it.
        """
        delay = RETRY_FIRST_S
        while True:
            try:
                return core.closed(action.track, _packets(await reply))
            except MediaRefusedError as error:
                logger.error("track_not_closed", track=action.track, code=error.code, error=str(error))
                if error.code in GONE:
                    return self._gone(core, action, str(error))
                if isinstance(action, RotateTrack) and error.code != STOPPING:
                    if not await self._has_open(action.following):
                        return core.not_rotated(action, str(error), datetime.now(UTC))
                    action = CloseTrack(
                        action.track
                    )  # a kill came between the opening of the one and the end of the other
                elif error.code not in TEMPORARY:
                    return core.closed(action.track, None, f"the media process could not end the track: {error}")
            except MediaUnavailableError:
                pass
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)
            reply = self._end(action)

    def _gone(self, core: RecordingSession, action: CloseTrack | RotateTrack, why: str) -> Sequence[Action]:
        """There is no such track (any more), hence nothing that could go on in the following one."""
        found = core.closed(action.track, None, "the media process did not know the track when it was to end")
        if isinstance(action, RotateTrack):
            found += core.lost(action.following, why, datetime.now(UTC))
        return found

    async def _discard(self, track: str) -> Sequence[Action]:
        """Also of a track whose opening failed on the way: it may be open all the same."""
        try:
            await self.media.shred_track(track)
            await self.media.release_track(track)
        except MediaError as error:
            logger.info("track_not_discarded", track=track, error=str(error))
        return ()


def _packets(closed: ClosedTrack) -> int | None:
    value = closed.stats.get("packets")
    return value if isinstance(value, int) else None


async def _all(begun: list[_Work]) -> list[Action]:
    """Wait for requests that were all sent before; what they make necessary."""
    found: list[Action] = []
    waiting = iter(begun)
    try:
        for work in waiting:
            found += await work
    finally:
        for work in waiting:  # only when this was cancelled
            work.close()
    return found
