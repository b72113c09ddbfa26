"""The archive's port in memory: what the portal's own rules are tested against. The real archive stands in tests/browser and end to end."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from callward.archive.schemas import (
    AudioFormat,
    BlobView,
    ConversationDetail,
    ConversationFilter,
    ConversationPage,
    ConversationSummary,
    MetadataDocument,
    PageRequest,
    PartyView,
    PeaksView,
    RecordingView,
    TrackView,
)
from callward.archive.service import AudioStream, BadCursorError, BusyError, NotFoundError, NotReadyError
from callward.platform.ids import new_ulid

AUDIO = bytes(range(256)) * 40
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = '<img src=x onerror="window.pwned=1">'


class Shelf:
    """Holds conversations; every one has the same audio."""

    def __init__(self) -> None:
        self.conversations: dict[str, ConversationDetail] = {}
        self.closed = 0
        self.busy = False

    def add(self, *, organisation_id: str | None = None, ready: bool = True) -> ConversationDetail:
        recording = RecordingView(
            id=new_ulid(),
            state="ready" if ready else "recording",
            started_at=AT,
            ended_at=AT + timedelta(seconds=20) if ready else None,
            duration_ms=20_000 if ready else 0,
            offset_ms=1_000,
            length_ms=18_000,
            why_ended="bye" if ready else "",
            codec="opus" if ready else None,
            channels=2,
            sample_rate_hz=48_000,
            playable=ready,
            tracks=[TrackView(track=new_ulid(), parties=["a"], channel=0)],
            marks=[],
            problems=[],
            blobs=[
                BlobView(
                    kind="master",
                    media_type="audio/ogg",
                    size_bytes=len(AUDIO),
                    sha256=hashlib.sha256(AUDIO).hexdigest(),
                )
            ]
            if ready
            else [],
        )
        conversation = ConversationDetail(
            id=new_ulid(),
            organisation_id=organisation_id,
            started_at=AT,
            ended_at=None,
            duration_ms=18_000,
            direction="in",
            caller_number="+3225550142",
            caller_name=NAME,
            called_number="+3225550143",
            called_name="",
            parties=[PartyView(party="a", name=NAME)],
            state="ready" if ready else "recording",
            problems=[],
            peer="sbc",
            vendor="",
            address="192.0.2.1",
            session_ids={},
            extensions={},
            marks=[],
            recordings=[recording],
            related=[],
        )
        self.conversations[conversation.id] = conversation
        return conversation

    async def list_conversations(
        self, session: AsyncSession, filters: ConversationFilter, page: PageRequest
    ) -> ConversationPage:
        if page.cursor is not None and not page.cursor.isdigit():
            raise BadCursorError("bad")
        start = int(page.cursor or 0)
        rows = list(self.conversations.values())
        part = [ConversationSummary.model_validate(row) for row in rows[start : start + page.limit]]
        end = start + page.limit
        return ConversationPage(items=part, next_cursor=str(end) if end < len(rows) else None)

    async def conversation(self, session: AsyncSession, conversation_id: str) -> ConversationDetail:
        try:
            return self.conversations[conversation_id]
        except KeyError:
            raise NotFoundError("none") from None

    async def metadata(self, session: AsyncSession, recording_id: str) -> list[MetadataDocument]:
        return [
            MetadataDocument(at=AT, content_type="application/rs-metadata+xml", text="<r/>", base64="", truncated=False)
        ]

    async def open_audio(
        self, session: AsyncSession, recording_id: str, *, start: int = 0, end: int | None = None
    ) -> AudioStream:
        part = AUDIO[start:end]
        return AudioStream("audio/ogg", f"{recording_id}.opus", '"e"', len(AUDIO), start, len(part), self._send(part))

    async def _send(self, part: bytes) -> AsyncIterator[bytes]:
        try:
            for at in range(0, len(part), 1000):
                yield part[at : at + 1000]
        finally:
            self.closed += 1

    async def transcode(
        self,
        session: AsyncSession,
        recording_id: str,
        audio_format: AudioFormat,
        *,
        offset_ms: int = 0,
        length_ms: int | None = None,
    ) -> AudioStream:
        if self.busy:
            raise BusyError("4 downloads are being converted")
        text = f"{audio_format.value} {offset_ms} {length_ms}".encode()
        return AudioStream("audio/mpeg", f"{recording_id}.{audio_format.value}", '"e"', None, 0, None, self._send(text))

    async def peaks(self, session: AsyncSession, recording_id: str) -> bytes:
        return b"CWPEAKS1"

    async def peaks_view(self, session: AsyncSession, recording_id: str, points: int = 2000) -> PeaksView:
        if not any(
            row.recordings[0].id == recording_id and row.recordings[0].playable for row in self.conversations.values()
        ):
            raise NotReadyError("not yet")
        return PeaksView(channels=[[-1, 1]], points_per_second=0.05, duration_ms=20_000)

    def close(self) -> None:
        self.conversations.clear()
