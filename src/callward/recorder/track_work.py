"""Carrying out a session's actions at the media process, and reporting back to its core."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from callward.media.client import MediaClient
from callward.media.protocol import ClosedTrack, ListedTrack, MediaError, MediaRefusedError, MediaUnavailableError
from callward.platform.telemetry import logger
from callward.recorder.actions import (
    Action,
    CloseTrack,
    DiscardTrack,
    OpenTrack,
    RequestSnapshot,
    RotateTrack,
    UpdateTrack,
)
from callward.recorder.session import RecordingSession

RETRY_FIRST_S = 0.1
RETRY_MAX_S = 2.0
GONE = frozenset({"unknown_track", "closed"})


class TrackWork:
    """Runs actions against the media process. `address`: the local address that ports are leased on."""

    def __init__(self, media: MediaClient, address: str) -> None:
        self.media = media
        self.address = address

    async def perform(self, core: RecordingSession, actions: Sequence[Action]) -> list[RequestSnapshot]:
        """Do all of it: rotations first, because later actions speak of the new tracks; the rest side by side.

        Returns what is not the media process's business. Closing is tried until it is done; the rest fails at once and
        is repaired
        by `attach` when the media process is back.
        """
        asked: list[RequestSnapshot] = []
        waiting = list(actions)
        while waiting:
            asked += [action for action in waiting if isinstance(action, RequestSnapshot)]
            rotations = [action for action in waiting if isinstance(action, RotateTrack)]
            others = [action for action in waiting if not isinstance(action, RotateTrack | RequestSnapshot)]
            found = await asyncio.gather(*[self._one(core, action) for action in rotations])
            found += await asyncio.gather(*[self._one(core, action) for action in others])
            waiting = [action for more in found for action in more]
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
            actions.append(UpdateTrack(stream.track, changes))
        streams = {stream.track for stream in core.data.streams.values()}
        waiting = {action.track for action in actions if isinstance(action, CloseTrack)}
        for recording in core.data.recordings.values():
            for item in recording.tracks:
                if not item.closed and item.track not in streams and item.track not in waiting:
                    actions.append(CloseTrack(item.track))
        return actions

    async def _has_open(self, track: str) -> bool:
        """Whether a track is open after all: it was opened while the list was on its way."""
        try:
            return (await self.media.track_stats(track)).get("state") in ("recording", "paused")
        except MediaRefusedError:
            return False

    async def _one(self, core: RecordingSession, action: Action) -> Iterable[Action]:
        match action:
            case OpenTrack():
                return await self._open(core, action)
            case UpdateTrack():
                return await self._update(core, action)
            case RotateTrack():
                closed = await self._until_done(action)
                problem = "" if closed else "the media process did not know the track when it was rotated"
                return core.closed(action.track, _packets(closed), problem)
            case CloseTrack():
                closed = await self._until_done(action)
                problem = "" if closed else "the media process did not know the track when it was closed"
                return core.closed(action.track, _packets(closed), problem)
            case DiscardTrack():
                await self._discard(action.track)
        return ()

    async def _open(self, core: RecordingSession, action: OpenTrack) -> Iterable[Action]:
        try:
            opened = await self.media.open_track(action.track, core.data.id, self.address, action.settings)
        except MediaError as error:
            logger.error("track_not_opened", track=action.track, error=str(error))
            return core.refused(action.track, str(error))
        core.opened(action.track, opened.rtp_port, opened.rtcp_port)
        return ()

    async def _update(self, core: RecordingSession, action: UpdateTrack) -> Iterable[Action]:
        try:
            await self.media.update_track(action.track, action.changes)
        except MediaRefusedError as error:
            logger.error("track_not_updated", track=action.track, error=str(error))
            if error.code in GONE:
                return core.lost(action.track, str(error), datetime.now(UTC))
        except MediaUnavailableError as error:
            logger.warning("track_update_waits", track=action.track, error=str(error))
        return ()

    async def _until_done(self, action: CloseTrack | RotateTrack) -> ClosedTrack | None:
        """None: the media process has no such track (any more)."""
        delay = RETRY_FIRST_S
        while True:
            try:
                if isinstance(action, RotateTrack):
                    return await self.media.rotate_track(action.track, action.following, action.session, action.meta)
                return await self.media.close_track(action.track)
            except MediaRefusedError as error:
                logger.error("track_not_closed", track=action.track, code=error.code, error=str(error))
                if error.code in GONE:
                    return None
            except MediaUnavailableError:
                pass
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)

    async def _discard(self, track: str) -> None:
        """Also of a track whose opening failed on the way: it may be open all the same."""
        try:
            await self.media.shred_track(track)
            await self.media.release_track(track)
        except MediaError as error:
            logger.info("track_not_discarded", track=track, error=str(error))


def _packets(closed: ClosedTrack | None) -> int:
    value = closed.stats.get("packets", 0) if closed is not None else 0
    return value if isinstance(value, int) else 0
