"""Audio answers: byte ranges (RFC 9110 section 14) and streams that stop when the client goes away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi.responses import StreamingResponse

from callward.archive.service import AudioStream

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


class UnsatisfiableRangeError(ValueError):
    """The range begins behind the end of the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to and without `end`."""

    start: int
    end: int


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Read a Range header. None: send everything (no header, several ranges, or nothing that we understand).

    Raises:
        UnsatisfiableRangeError: to be answered with 416.
    """
    match = _RANGE.match(header.strip()) if header else None
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first == "":
        wanted = int(last)
        if wanted == 0 or size == 0:
            raise UnsatisfiableRangeError
        return ByteRange(max(0, size - wanted), size)
    start = int(first)
    end = int(last) + 1 if last else size
    if end <= start and last:
        return None
    if start >= size:
        raise UnsatisfiableRangeError
    return ByteRange(start, min(end, size))


async def close_audio(audio: AudioStream) -> None:
    """Say that nobody reads it any more."""
    close = getattr(audio.chunks, "aclose", None)
    if close is not None:
        await close()


async def _until_gone(audio: AudioStream) -> AsyncIterator[bytes]:
    try:
        async for chunk in audio.chunks:
            yield chunk
    finally:
        await close_audio(audio)


def ranged_response(audio: AudioStream, *, size: int, etag: str, wanted: ByteRange | None) -> StreamingResponse:
    """Send a stored file or a part of it."""
    headers = {"Accept-Ranges": "bytes", "ETag": etag, "Content-Disposition": "inline"}
    if wanted is None:
        headers["Content-Length"] = str(size)
        return StreamingResponse(_until_gone(audio), media_type=audio.media_type, headers=headers)
    headers["Content-Length"] = str(wanted.end - wanted.start)
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{size}"
    return StreamingResponse(_until_gone(audio), status_code=206, media_type=audio.media_type, headers=headers)


def download_response(audio: AudioStream, file_name: str) -> StreamingResponse:
    """Send a file to keep. `file_name`: ASCII without quotes."""
    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    if audio.length is not None:
        headers["Content-Length"] = str(audio.length)
    return StreamingResponse(_until_gone(audio), media_type=audio.media_type, headers=headers)
