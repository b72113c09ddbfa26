"""What sealing asks of the media process about the tracks of an ended recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from callward.media.client import MediaClient
from callward.media.protocol import MediaRefusedError


class Tracks(Protocol):
    """The tracks that the media process keeps."""

    async def knows(self, track: str) -> bool:
        """Say whether the track is (still) kept. Raises MediaError when nobody can tell."""
        ...

    async def release(self, track: str) -> None:
        """Give a track up: its audio cannot be read any more. Raises MediaError."""
        ...


@dataclass(frozen=True, slots=True)
class MediaTracks:
    """The tracks of the media process behind `client`."""

    client: MediaClient

    async def knows(self, track: str) -> bool:
        """See `Tracks`."""
        try:
            await self.client.track_stats(track)
        except MediaRefusedError as error:
            if error.code == "unknown_track":
                return False
            raise
        return True

    async def release(self, track: str) -> None:
        """See `Tracks`."""
        await self.client.release_track(track)
