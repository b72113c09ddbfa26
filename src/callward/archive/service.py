"""What the archive does for the portal: list, show, play, download.

Every function takes the session of the caller's transaction (`Database.begin(scope)`), so that row-level security applies and an access
commits together with its audit entry. Audio is read after the transaction, in bounded chunks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from callward.archive.schemas import (
    AudioFormat,
    ConversationDetail,
    ConversationFilter,
    ConversationPage,
    MetadataDocument,
    PageRequest,
    PeaksView,
)


class ArchiveError(Exception):
    """The archive cannot do what was asked; the message says why."""


class NotFoundError(ArchiveError):
    """No such conversation or recording, or it is another organisation's: the answer is 404 either way."""


class NotReadyError(ArchiveError):
    """The recording has no master (still recorded or sealed, or nothing was received): 409."""


class BadCursorError(ArchiveError):
    """The cursor does not belong to this list: 422."""


class RangeNotSatisfiableError(ArchiveError):
    """The range begins behind the end of the file: 416."""


class BusyError(ArchiveError):
    """So much is converted that there is no room for one more now: 503 with Retry-After."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """Plain audio to send: `chunks` yields `length` bytes from `start` of a file of `size` bytes."""

    media_type: str
    file_name: str
    """Safe ASCII name for Content-Disposition: the recording's id and the suffix."""
    etag: str
    size: int | None
    """Bytes of the whole file; None for a transcode, whose size nobody knows before the end."""
    start: int
    length: int | None
    chunks: AsyncIterator[bytes]
    """Close it (`aclose`) when the client goes away."""


class Archive(Protocol):
    """The portal's view of the archive; `archive.open_archive(settings)` makes it."""

    async def list_conversations(
        self, session: AsyncSession, filters: ConversationFilter, page: PageRequest
    ) -> ConversationPage:
        """List conversations. Raises BadCursorError."""
        ...

    async def conversation(self, session: AsyncSession, conversation_id: str) -> ConversationDetail:
        """One conversation with recordings, parties, tracks, marks, problems. Raises NotFoundError."""
        ...

    async def metadata(self, session: AsyncSession, recording_id: str) -> list[MetadataDocument]:
        """The raw metadata documents of a recording. Raises NotFoundError, NotReadyError, ArchiveError."""
        ...

    async def open_audio(
        self, session: AsyncSession, recording_id: str, *, start: int = 0, end: int | None = None
    ) -> AudioStream:
        """The decrypted master from byte `start` up to and without `end` (None: to its end).

        Raises NotFoundError, NotReadyError, RangeNotSatisfiableError, ArchiveError (key missing, tampered).
        """
        ...

    async def transcode(
        self,
        session: AsyncSession,
        recording_id: str,
        audio_format: AudioFormat,
        *,
        offset_ms: int = 0,
        length_ms: int | None = None,
    ) -> AudioStream:
        """The recording (or a part of it) as MP3, WAV, Opus or FLAC, encoded while it is sent; no byte ranges.

        More than two channels become two in MP3 (first channel left, the others right). A stream that nobody reads is given up after
        some time. Raises BusyError, and what `open_audio` raises.
        """
        ...

    async def peaks(self, session: AsyncSession, recording_id: str) -> bytes:
        """The waveform as stored (`CWPEAKS1`, docs/reference/sealing.md)."""
        ...

    async def peaks_view(self, session: AsyncSession, recording_id: str, points: int = 2000) -> PeaksView:
        """The waveform in at most `points` points a channel, for JSON."""
        ...

    def close(self) -> None:
        """End the codec workers and threads; nothing can be converted afterwards."""
        ...
