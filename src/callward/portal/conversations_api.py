"""Endpoints of conversations: list, show, play, waveform, download, raw metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from callward.access import audit
from callward.access.decision import Action, ObjectRef
from callward.access.subject import Subject
from callward.archive import service as archive
from callward.archive.schemas import (
    AudioFormat,
    ConversationDetail,
    ConversationFilter,
    ConversationPage,
    MetadataDocument,
    PageRequest,
    PeaksView,
    RecordingView,
)
from callward.portal.audio import UnsatisfiableRangeError, close_audio, download_response, parse_range, ranged_response
from callward.portal.current import CurrentSubject, Portal, PortalParts, not_found, require
from callward.portal.problems import ProblemError, responses

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])

ONE_ACT = timedelta(minutes=30)
"""A player reads a recording piece by piece and a page refreshes itself: within this time that is one act in the audit."""
RETRY_AFTER_S = "10"

UlidInPath = Annotated[str, Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
AUDIO: dict[str, Any] = {"content": {"audio/ogg": {}, "audio/flac": {}}}


class ConversationQuery(ConversationFilter, PageRequest):
    """Filter, order and page of the list."""


@asynccontextmanager
async def archive_problems() -> AsyncIterator[None]:
    """Say what the archive could not do."""
    try:
        yield
    except archive.NotFoundError:
        raise not_found() from None
    except archive.NotReadyError as error:
        raise ProblemError(409, "not_ready", str(error), "Wait until the conversation is ready.") from None
    except archive.BadCursorError:
        raise ProblemError(
            422, "bad_cursor", "The cursor does not belong to this list.", "Start again without a cursor."
        ) from None
    except archive.RangeNotSatisfiableError:
        raise ProblemError(416, "bad_range", "The range begins behind the end of the file.") from None
    except archive.BusyError as error:
        raise ProblemError(
            503,
            "busy",
            f"{str(error).capitalize()}.",
            "Try again in a moment, or take the format `master`, which is not converted.",
            headers={"Retry-After": RETRY_AFTER_S},
        ) from None
    except archive.ArchiveError as error:
        raise ProblemError(503, "archive", str(error), "The system page shows what is wrong.") from None


def _ref(conversation: ConversationDetail) -> ObjectRef:
    return ObjectRef("conversation", conversation.id, conversation.organisation_id)


async def _allowed(
    portal: Portal, session: AsyncSession, subject: Subject, action: Action, conversation_id: str
) -> ConversationDetail:
    """The conversation, if the subject may do this with it."""
    conversation = await portal.archive.conversation(session, conversation_id)
    await require(portal, subject, action, _ref(conversation))
    return conversation


def _recording(conversation: ConversationDetail, recording_id: str) -> RecordingView:
    for recording in conversation.recordings:
        if recording.id == recording_id:
            return recording
    raise not_found()


@router.get("", responses=responses(401, 403))
async def list_conversations(
    query: Annotated[ConversationQuery, Query()], portal: PortalParts, subject: CurrentSubject
) -> ConversationPage:
    """Conversations, newest first unless asked otherwise, page by page."""
    await require(portal, subject, Action.CONVERSATION_LIST, ObjectRef("conversation"))
    filters = ConversationFilter.model_validate(query.model_dump(include=set(ConversationFilter.model_fields)))
    page = PageRequest.model_validate(query.model_dump(include=set(PageRequest.model_fields)))
    async with archive_problems(), portal.database.begin(subject.scope) as session:
        return await portal.archive.list_conversations(session, filters, page)


@router.get("/{conversation_id}", responses=responses(401, 403, 404))
async def show_conversation(
    conversation_id: UlidInPath, portal: PortalParts, subject: CurrentSubject
) -> ConversationDetail:
    """One conversation with its recordings, parties, tracks, marks and problems."""
    async with archive_problems(), portal.database.begin(subject.scope) as session:
        conversation = await _allowed(portal, session, subject, Action.CONVERSATION_VIEW, conversation_id)
        await _audit_once(portal, session, subject, Action.CONVERSATION_VIEW, conversation)
    return conversation


async def _audit_once(
    portal: Portal, session: AsyncSession, subject: Subject, action: Action, conversation: ConversationDetail
) -> None:
    await audit.write_once(
        session, subject=subject, action=action.value, target=_ref(conversation), now=portal.clock(), within=ONE_ACT
    )


@router.get(
    "/{conversation_id}/recordings/{recording_id}/audio",
    response_class=StreamingResponse,
    responses={200: AUDIO, 206: {"description": "A part", **AUDIO}, **responses(401, 403, 404, 409, 416)},
)
@router.head("/{conversation_id}/recordings/{recording_id}/audio", include_in_schema=False)
async def play(
    conversation_id: UlidInPath,
    recording_id: UlidInPath,
    portal: PortalParts,
    subject: CurrentSubject,
    range_header: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", max_length=200)] = None,
) -> Response:
    """The stored master, decrypted; takes byte ranges."""
    async with archive_problems():
        async with portal.database.begin(subject.scope) as session:
            conversation = await _allowed(portal, session, subject, Action.CONVERSATION_PLAY, conversation_id)
            recording = _recording(conversation, recording_id)
            master = next((blob for blob in recording.blobs if blob.kind == "master"), None)
            if not recording.playable or master is None:
                raise archive.NotReadyError("The recording has no audio to play (yet).")
            etag = f'"{master.sha256[:32]}"'
            try:
                wanted = None if if_range not in (None, etag) else parse_range(range_header, master.size_bytes)
            except UnsatisfiableRangeError:
                raise ProblemError(
                    416,
                    "bad_range",
                    "The range begins behind the end of the file.",
                    headers={"Content-Range": f"bytes */{master.size_bytes}"},
                ) from None
            audio = await portal.archive.open_audio(
                session, recording_id, start=wanted.start if wanted else 0, end=wanted.end if wanted else None
            )
            await _audit_once(portal, session, subject, Action.CONVERSATION_PLAY, conversation)
        return ranged_response(audio, size=master.size_bytes, etag=etag, wanted=wanted)


@router.get("/{conversation_id}/recordings/{recording_id}/peaks", responses=responses(401, 403, 404, 409))
async def show_peaks(
    conversation_id: UlidInPath,
    recording_id: UlidInPath,
    portal: PortalParts,
    subject: CurrentSubject,
    points: Annotated[int, Query(ge=10, le=8000, description="At most so many points for each channel")] = 2000,
) -> PeaksView:
    """The waveform: for each channel minimum and maximum in turn, -127..127. It shows who spoke when, so it needs the right to play."""
    async with archive_problems(), portal.database.begin(subject.scope) as session:
        conversation = await _allowed(portal, session, subject, Action.CONVERSATION_PLAY, conversation_id)
        _recording(conversation, recording_id)
        return await portal.archive.peaks_view(session, recording_id, points)


@router.get(
    "/{conversation_id}/recordings/{recording_id}/download",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"audio/mpeg": {}, "audio/wav": {}, "audio/ogg": {}, "audio/flac": {}}},
        **responses(401, 403, 404, 409),
    },
)
async def download(
    conversation_id: UlidInPath,
    recording_id: UlidInPath,
    portal: PortalParts,
    subject: CurrentSubject,
    audio_format: Annotated[AudioFormat, Query(alias="format", description="`master`: the stored file itself")],
    offset_ms: Annotated[int, Query(ge=0, le=2**40)] = 0,
    length_ms: Annotated[int | None, Query(ge=1, le=2**40)] = None,
) -> StreamingResponse:
    """The conversation's part of a recording as a file to keep; `offset_ms` and `length_ms` choose a piece of it."""
    async with archive_problems():
        async with portal.database.begin(subject.scope) as session:
            conversation = await _allowed(portal, session, subject, Action.CONVERSATION_DOWNLOAD, conversation_id)
            recording = _recording(conversation, recording_id)
            if audio_format is AudioFormat.MASTER:
                audio = await portal.archive.open_audio(session, recording_id)
            else:
                left = (recording.length_ms or recording.duration_ms - recording.offset_ms) - offset_ms
                if left <= 0 and recording.playable:
                    raise ProblemError(
                        422,
                        "bad_part",
                        "The piece begins behind the end of the conversation.",
                        "Choose a smaller offset_ms.",
                    )
                audio = await portal.archive.transcode(
                    session,
                    recording_id,
                    audio_format,
                    offset_ms=recording.offset_ms + offset_ms,
                    length_ms=max(1, left if length_ms is None else min(left, length_ms)),
                )
            try:
                await audit.write(
                    session,
                    subject=subject,
                    action=Action.CONVERSATION_DOWNLOAD.value,
                    target=_ref(conversation),
                    now=portal.clock(),
                    detail={"recording": recording_id, "format": audio_format.value},
                )
            except BaseException:
                await close_audio(audio)
                raise
        return download_response(audio, _file_name(conversation, audio.file_name))


def _file_name(conversation: ConversationDetail, archive_name: str) -> str:
    """A name that sorts by time and holds nothing that a stranger wrote."""
    suffix = archive_name.rsplit(".", 1)[-1]
    return f"{conversation.started_at:%Y-%m-%dT%H-%M-%SZ}-{conversation.id}.{suffix}"


@router.get("/{conversation_id}/recordings/{recording_id}/metadata", responses=responses(401, 403, 404, 409))
async def show_metadata(
    conversation_id: UlidInPath, recording_id: UlidInPath, portal: PortalParts, subject: CurrentSubject
) -> list[MetadataDocument]:
    """The metadata documents exactly as the recording client sent them."""
    async with archive_problems(), portal.database.begin(subject.scope) as session:
        conversation = await _allowed(portal, session, subject, Action.CONVERSATION_METADATA, conversation_id)
        _recording(conversation, recording_id)
        documents = await portal.archive.metadata(session, recording_id)
        await _audit_once(portal, session, subject, Action.CONVERSATION_METADATA, conversation)
    return documents
