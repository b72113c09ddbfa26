"""One recording into the archive: extracted, sealed, encrypted in the spool; then stored. Every step can be repeated.

Blob keys are made of the recording's id, so a repeated step writes over what the first one left. The spool entry gets its
`ready.json` last, synced: with it only storing is left, without it the entry is made anew. Blocking: call it from a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from callward.archive.encryption import encrypt_file, new_data_key, wrap
from callward.archive.extraction import Extractor, TrackGoneError, TrackOpenError
from callward.archive.keys import ArchiveKeys
from callward.media.codec_process import CodecPool
from callward.platform.blobs import BlobStore, BlobStoreError
from callward.recorder.sealing.seal import SealedFile, SealedRecording, SealOptions, raw_only, seal
from callward.records.events import (
    EVENT,
    Blob,
    Problem,
    RecordingEnded,
    RecordingFailed,
    RecordingStored,
)

READY = "ready.json"
MANIFEST = "manifest"
KEY = "key"
"""Object with the wrapped data key: with it and the private keys the archive can be read without the database."""
SALT_BYTES = 16

BEGUN = "begun"
"""In a spool entry: its objects may be in the store already, so that they are no other entry's."""

Outcome = RecordingStored | RecordingFailed
Checkpoint = Callable[[str], None]


class AlreadyStoredError(Exception):
    """The object store holds another sealed copy of the recording, which must not be written over."""


class TrackUnconfirmedError(Exception):
    """The extractor says that `track` is gone; the media process has to say so too before it is believed."""

    def __init__(self, track: str, message: str) -> None:
        super().__init__(message)
        self.track = track


def no_checkpoint(_step: str) -> None:
    """Nothing happens between the steps, except in the kill tests."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """What sealing needs: where tracks come from, where objects go."""

    spool: Path
    extract: Extractor
    codecs: CodecPool
    keys: ArchiveKeys
    store: BlobStore
    options: SealOptions
    checkpoint: Checkpoint = no_checkpoint

    def prepare(self, ended: RecordingEnded, *, gone: Collection[str] = frozenset(), give_up: bool = False) -> Outcome:
        """Seal and encrypt a recording in the spool, or take what a process before this one had finished there.

        `gone`: tracks that the media process does not know. `give_up`: no master could be made of it: keep the packets only.
        Raises AlreadyStoredError, CodecError, ExtractionError, TrackUnconfirmedError, TrackOpenError (unless `give_up`), OSError.
        """
        folder = self.spool / ended.recording
        done = self.ready(ended.recording)
        if done is not None:
            return done
        with contextlib.suppress(BlobStoreError):  # a store that is away is asked again by `put`
            if self.store.exists(f"{ended.recording}/{MANIFEST}"):
                raise AlreadyStoredError(f"{ended.recording} is in the archive already")
        shutil.rmtree(folder, ignore_errors=True)
        work = folder / "work"
        for made in (self.spool, folder, work):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.checkpoint("spool made")
        try:
            outcome = self._seal(ended, folder, work, gone, give_up=give_up)
            shutil.rmtree(work)
        finally:  # it holds plain audio
            shutil.rmtree(work, ignore_errors=True)
        _write_synced(folder / READY, outcome.model_dump_json().encode())
        self.checkpoint("ready")
        return outcome

    def _seal(
        self, ended: RecordingEnded, folder: Path, work: Path, gone: Collection[str], *, give_up: bool
    ) -> Outcome:
        """Encrypted objects in `folder`, made by way of plain files in `work`."""
        extracted, problems = self._extract(ended, work, gone, partial=give_up)
        self.checkpoint("extracted")
        salt = os.urandom(SALT_BYTES)
        if give_up:
            sealed = raw_only(ended, extracted, work, salt)
        else:
            sealed = seal(ended, extracted, work, self.options, self.codecs, salt)
        self.checkpoint("sealed")
        outcome = self._encrypt(ended, sealed, problems, folder)
        self.checkpoint("encrypted")
        return outcome

    def ready(self, recording: str) -> Outcome | None:
        """The outcome of a finished spool entry; None when there is none."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            event = EVENT.validate_json((self.spool / recording / READY).read_bytes())
            if isinstance(event, RecordingStored | RecordingFailed):
                return event
        return None

    def put(self, outcome: Outcome) -> None:
        """Store the objects of a finished spool entry; returns when the store holds each with its checksum.

        The manifest comes last: where it is, everything is. Raises AlreadyStoredError, BlobStoreError, OSError.
        """
        folder = self.spool / outcome.recording
        if not (folder / BEGUN).exists():
            self._refuse_other_copy(outcome)
            (folder / BEGUN).touch()
        if outcome.wrapped_key:
            wrapped = outcome.wrapped_key.encode()
            self.store.put(f"{outcome.recording}/{KEY}", wrapped, hashlib.sha256(wrapped).hexdigest())
            self.checkpoint("put key")
        for blob in outcome.blobs:
            self.store.put(blob.key, folder / blob.key.rpartition("/")[2], blob.stored_sha256)
            self.checkpoint(f"put {blob.kind}")

    def _refuse_other_copy(self, outcome: Outcome) -> None:
        """Raise AlreadyStoredError when the store holds a manifest of the recording that is not this one's."""
        manifest = next((blob for blob in outcome.blobs if blob.kind == MANIFEST), None)
        key = f"{outcome.recording}/{MANIFEST}"
        if not self.store.exists(key):
            return
        if manifest is not None and self.store.size(key) == manifest.stored_bytes:
            found = hashlib.sha256(self.store.read(key, 0, manifest.stored_bytes)).hexdigest()
            if found == manifest.stored_sha256:
                return
        raise AlreadyStoredError(f"{outcome.recording} is in the archive already")

    def discard(self, recording: str) -> None:
        """Remove the spool entry of a stored recording."""
        shutil.rmtree(self.spool / recording, ignore_errors=True)

    def sweep(self, released: Collection[str]) -> None:
        """Remove what earlier lives left in the spool: entries of `released` recordings, unfinished ones, plain audio."""
        with contextlib.suppress(OSError):
            self.spool.chmod(0o700)
            for folder in self.spool.iterdir():
                if folder.name in released or self.ready(folder.name) is None:
                    self.discard(folder.name)

    def _extract(
        self, ended: RecordingEnded, work: Path, gone: Collection[str], *, partial: bool
    ) -> tuple[dict[str, Path], list[Problem]]:
        found: dict[str, Path] = {}
        problems = []
        for track in ended.tracks:
            path = work / f"{track.track}.track"
            try:
                self.extract(track.track, path)
            except TrackGoneError as error:
                if track.track not in gone:
                    raise TrackUnconfirmedError(track.track, str(error)) from error
                problems.append(Problem(code="track_missing", detail=str(error)[:4096]))
            except TrackOpenError as error:
                if not partial:
                    raise
                self.extract(track.track, path, partial=True)
                problems.append(Problem(code="track_open", detail=str(error)[:4096]))
                found[track.track] = path
            else:
                found[track.track] = path
        return found, problems

    def _encrypt(
        self, ended: RecordingEnded, sealed: SealedRecording, problems: list[Problem], folder: Path
    ) -> Outcome:
        organisation = _organisation(ended)
        data_key = new_data_key()
        wrapped = wrap(data_key, ended.recording, self.keys.public_key(organisation))
        blobs = [self._encrypt_one(ended.recording, file, data_key, folder) for file in sealed.files]
        at = datetime.now(UTC)
        master = sealed.master
        if master is None:
            return RecordingFailed(
                recording=ended.recording,
                organisation=organisation,
                at=at,
                problems=problems + sealed.problems,
                blobs=blobs,
                wrapped_key=wrapped,
                tracks=sealed.tracks,
            )
        return RecordingStored(
            recording=ended.recording,
            organisation=organisation,
            at=at,
            started_at=datetime.fromtimestamp(master.started_at_ns / 1e9, UTC),
            duration_ms=master.duration_ms,
            codec=master.codec,
            channels=master.channels,
            sample_rate_hz=master.sample_rate_hz,
            blobs=blobs,
            wrapped_key=wrapped,
            tracks=sealed.tracks,
            problems=problems + sealed.problems,
        )

    def _encrypt_one(self, recording: str, file: SealedFile, data_key: bytes, folder: Path) -> Blob:
        done = encrypt_file(file.path, folder / file.name, data_key, recording, file.name)
        return Blob(
            kind=file.kind,
            key=f"{recording}/{file.name}",
            media_type=file.media_type,
            size_bytes=done.size_bytes,
            stored_bytes=done.stored_bytes,
            sha256=done.sha256,
            stored_sha256=done.stored_sha256,
        )


def _organisation(ended: RecordingEnded) -> str | None:
    """The organisation that all calls of the recording belong to; None (the provider) when there is none or several."""
    found = {call.organisation for call in ended.calls}
    return found.pop() if len(found) == 1 else None


def _write_synced(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
