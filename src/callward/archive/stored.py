"""The archive over its tables and the blob store; see `service.Archive` for what each method promises."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from callward.archive import listing
from callward.archive.encryption import EncryptedReader, EncryptionError
from callward.archive.keys import ArchiveKeys
from callward.archive.model import Conversation, ConversationRecording, Recording, StoredBlob
from callward.archive.schemas import (
    AudioFormat,
    ConversationDetail,
    ConversationFilter,
    ConversationPage,
    ConversationSummary,
    MetadataDocument,
    PageRequest,
    PeaksView,
    RecordingView,
)
from callward.archive.service import (
    ArchiveError,
    AudioStream,
    BadCursorError,
    NotFoundError,
    NotReadyError,
    RangeNotSatisfiableError,
)
from callward.archive.transcode_jobs import transcode_job
from callward.archive.transcoding import Transcodes
from callward.media.codec_process import CodecError, CodecPool
from callward.platform.blobs import BlobStore, BlobStoreError
from callward.recorder.sealing import waveform

WORKER_WAIT_S = 30.0
TRANSCODES_MAX = 4
"""At a time; each has a codec worker and a thread."""
SUFFIXES = {"opus": "opus", "flac": "flac"}
SMALL_MAX_BYTES = 64 << 20
"""Waveforms and metadata are read whole."""


class StoredArchive:
    """`service.Archive` in production."""

    def __init__(
        self, store: BlobStore, keys: ArchiveKeys, codecs: CodecPool, transcodes: Transcodes | None = None
    ) -> None:
        self._store = store
        self._keys = keys
        self._codecs = codecs
        self._transcodes = transcodes or Transcodes(TRANSCODES_MAX)

    def close(self) -> None:
        self._codecs.close()
        self._transcodes.close()

    async def list_conversations(
        self, session: AsyncSession, filters: ConversationFilter, page: PageRequest
    ) -> ConversationPage:
        try:
            rows, following = await listing.find_page(session, filters, page)
        except listing.CursorFormatError as error:
            raise BadCursorError(str(error)) from None
        return ConversationPage(items=[ConversationSummary.model_validate(row) for row in rows], next_cursor=following)

    async def conversation(self, session: AsyncSession, conversation_id: str) -> ConversationDetail:
        row = await session.get(Conversation, conversation_id)
        if row is None:
            raise NotFoundError("there is no such conversation")
        found = (
            await session.execute(
                select(ConversationRecording, Recording)
                .join(Recording, Recording.id == ConversationRecording.recording_id)
                .where(ConversationRecording.conversation_id == row.id)
                .order_by(Recording.started_at, Recording.id)
            )
        ).all()
        blobs = (
            await session.scalars(
                select(StoredBlob)
                .where(StoredBlob.recording_id.in_([recording.id for _, recording in found]))
                .order_by(StoredBlob.key)
            )
        ).all()
        recordings = [
            _recording_view(link, recording, [blob for blob in blobs if blob.recording_id == recording.id])
            for link, recording in found
        ]
        summary = ConversationSummary.model_validate(row).model_dump()
        return ConversationDetail.model_validate(
            {
                **summary,
                "address": row.address,
                "session_ids": row.session_ids,
                "extensions": row.extensions,
                "marks": row.marks,
                "recordings": recordings,
                "related": [ConversationSummary.model_validate(leg) for leg in await listing.related(session, row)],
            }
        )

    async def metadata(self, session: AsyncSession, recording_id: str) -> list[MetadataDocument]:
        recording = await self._recording(session, recording_id)
        blob = await self._blob(session, recording_id, "metadata")
        if blob is None:
            if recording.stored_at is None:
                raise NotReadyError("the recording is not sealed yet")
            return []
        raw = json.loads(await self._read_small(recording, blob))
        return [_document(entry) for entry in raw]

    async def open_audio(
        self, session: AsyncSession, recording_id: str, *, start: int = 0, end: int | None = None
    ) -> AudioStream:
        recording, blob = await self._master(session, recording_id)
        size = blob.size_bytes
        stop = size if end is None else min(end, size)
        if start < 0 or start >= max(size, 1) or stop <= start:
            raise RangeNotSatisfiableError(f"the file has {size} bytes")
        reader = await asyncio.to_thread(self._open, recording, blob)
        return AudioStream(
            media_type=blob.media_type,
            file_name=f"{recording.id}.{SUFFIXES[recording.codec or 'opus']}",
            etag=blob.sha256,
            size=size,
            start=start,
            length=stop - start,
            chunks=_in_threads(lambda: reader.chunks(start, stop)),
        )

    async def transcode(
        self,
        session: AsyncSession,
        recording_id: str,
        audio_format: AudioFormat,
        *,
        offset_ms: int = 0,
        length_ms: int | None = None,
    ) -> AudioStream:
        if audio_format is AudioFormat.MASTER:
            return await self.open_audio(session, recording_id)
        recording, blob = await self._master(session, recording_id)
        left = recording.duration_ms - max(0, offset_ms)
        if left <= 0:
            raise RangeNotSatisfiableError(f"the recording lasts {recording.duration_ms} ms")
        length = left if length_ms is None else min(max(0, length_ms), left)
        job, head, media_type = transcode_job(recording, audio_format, max(0, offset_ms), length)
        job["input_bytes"] = blob.size_bytes
        self._transcodes.check()
        reader = await asyncio.to_thread(self._open, recording, blob)
        size = len(head) + job["samples"] * job["channels"] * 2 if audio_format is AudioFormat.WAV else None

        def pieces() -> Iterator[bytes]:
            if head:
                yield head
            try:
                with self._codecs.worker(WORKER_WAIT_S) as worker:
                    yield from worker.transcode(job, reader.read)
            except CodecError as error:
                raise ArchiveError(f"the recording cannot be converted: {error}") from error

        return AudioStream(
            media_type=media_type,
            file_name=f"{recording.id}.{audio_format.value}",
            etag=f"{blob.sha256}-{audio_format.value}-{offset_ms}-{length}",
            size=size,
            start=0,
            length=size,
            chunks=self._transcodes.start(pieces),
        )

    async def peaks(self, session: AsyncSession, recording_id: str) -> bytes:
        recording = await self._recording(session, recording_id)
        blob = await self._blob(session, recording_id, "peaks")
        if blob is None:
            raise NotReadyError("the recording has no waveform (yet)")
        return await self._read_small(recording, blob)

    async def peaks_view(self, session: AsyncSession, recording_id: str, points: int = 2000) -> PeaksView:
        try:
            channels, rate, samples = waveform.unpack(await self.peaks(session, recording_id))
        except waveform.PeaksError as error:
            raise ArchiveError(str(error)) from None
        stored = len(channels[0]) // 2 if channels else 0
        step = max(1, -(-stored // max(points, 1)))
        return PeaksView(
            channels=[waveform.overview(channel, points) for channel in channels],
            points_per_second=waveform.PEAKS_PER_SECOND / step,
            duration_ms=samples * 1000 // rate if rate else 0,
        )

    async def _recording(self, session: AsyncSession, recording_id: str) -> Recording:
        recording = await session.get(Recording, recording_id)
        if recording is None:
            raise NotFoundError("there is no such recording")
        return recording

    async def _blob(self, session: AsyncSession, recording_id: str, kind: str) -> StoredBlob | None:
        query = select(StoredBlob).where(StoredBlob.recording_id == recording_id, StoredBlob.kind == kind)
        return (await session.scalars(query.limit(1))).first()

    async def _master(self, session: AsyncSession, recording_id: str) -> tuple[Recording, StoredBlob]:
        recording = await self._recording(session, recording_id)
        blob = await self._blob(session, recording_id, "master")
        if recording.state != "ready" or blob is None:
            raise NotReadyError("the recording has no audio to play (yet)")
        return recording, blob

    def _open(self, recording: Recording, blob: StoredBlob) -> EncryptedReader:
        """A reader of the decrypted object. Raises ArchiveError."""
        if recording.wrapped_key is None:
            raise ArchiveError("the recording's key is missing")
        try:
            data_key = self._keys.open(recording.wrapped_key, recording.id)
            name = blob.key.rpartition("/")[2]

            def read(start: int, length: int) -> bytes:
                return self._store.read(blob.key, start, length)

            return EncryptedReader(read, blob.size_bytes, data_key, recording.id, name)
        except (EncryptionError, BlobStoreError) as error:
            raise ArchiveError(str(error)) from error

    async def _read_small(self, recording: Recording, blob: StoredBlob) -> bytes:
        def read() -> bytes:
            try:
                return self._open(recording, blob).read(0, min(blob.size_bytes, SMALL_MAX_BYTES))
            except (EncryptionError, BlobStoreError) as error:
                raise ArchiveError(str(error)) from error

        return await asyncio.to_thread(read)


def _recording_view(link: ConversationRecording, recording: Recording, blobs: list[StoredBlob]) -> RecordingView:
    return RecordingView.model_validate(
        {
            **{
                name: getattr(recording, name)
                for name in (
                    "id", "state", "started_at", "ended_at", "duration_ms", "why_ended", "codec", "channels",
                    "sample_rate_hz", "tracks", "marks",
                )
            },
            "offset_ms": link.offset_ms,
            "length_ms": link.length_ms,
            "playable": recording.state == "ready" and any(blob.kind == "master" for blob in blobs),
            "problems": [*recording.problems, *recording.seal_problems],
            "blobs": blobs,
        },
        from_attributes=True,
    )  # fmt: skip


def _document(entry: dict[str, Any]) -> MetadataDocument:
    encoded = str(entry.get("body_base64", ""))
    try:
        text: str | None = base64.b64decode(encoded).decode()
    except ValueError:
        text = None
    return MetadataDocument.model_validate(
        {
            "at": entry["at"],
            "content_type": entry.get("content_type", ""),
            "text": text,
            "base64": encoded,
            "truncated": entry.get("truncated", False),
        }
    )


async def _in_threads(make: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
    """The pieces of a blocking iterator, each made in a thread."""
    pieces = make()
    try:
        while True:
            try:
                piece = await asyncio.to_thread(next, pieces, None)
            except (EncryptionError, BlobStoreError) as error:
                raise ArchiveError(str(error)) from error
            if piece is None:
                return
            yield piece
    finally:
        close = cast("Callable[[], None] | None", getattr(pieces, "close", None))
        if close is not None:
            await asyncio.shield(asyncio.to_thread(close))
