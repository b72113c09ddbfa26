"""Sealing of one recording, from extracted tracks to the files that the archive stores. No network, no database, no keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callward.media.codec_process import CodecPool
from callward.media.track_file import TrackFileError, read_track
from callward.recorder.sealing import waveform
from callward.recorder.sealing.manifest import manifest, stored_track
from callward.recorder.sealing.master import MasterCodec, MasterFile, channel_of, encode_master
from callward.recorder.sealing.problems import find_problems
from callward.recorder.sealing.track import LaidOutTrack, TrackTooLongError, lay_out
from callward.records.events import Problem, RecordingEnded, StoredTrack, TrackRef

Kind = Literal["master", "peaks", "metadata", "raw", "manifest"]


@dataclass(frozen=True, slots=True)
class SealOptions:
    """How masters are made."""

    codec: MasterCodec = "opus"
    opus_bitrate: int = 32_000
    """Bits per second and channel."""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A plain file to encrypt and store under `name`."""

    kind: Kind
    name: str
    path: Path
    media_type: str


@dataclass(frozen=True, slots=True)
class SealedRecording:
    """What came out. Without a master there is nothing to hear (yet): `problems` say why."""

    master: MasterFile | None
    tracks: list[StoredTrack]
    problems: list[Problem]
    files: list[SealedFile]


def ordered_tracks(ended: RecordingEnded) -> list[TrackRef]:
    """The caller's track first, then the called party's, then by their order in the session."""
    caller = next((call.caller.party for call in ended.calls if call.caller is not None), None)
    called = next((call.called.party for call in ended.calls if call.called is not None), None)

    def place(entry: tuple[int, TrackRef]) -> tuple[int, int]:
        index, track = entry
        if caller is not None and track.parties == [caller]:
            return 0, index
        if called is not None and track.parties == [called]:
            return 1, index
        return 2, index

    return [track for _, track in sorted(enumerate(ended.tracks), key=place)]


def seal(
    ended: RecordingEnded,
    extracted: dict[str, Path],
    folder: Path,
    options: SealOptions,
    codecs: CodecPool,
    salt: bytes,
) -> SealedRecording:
    """Make master, waveform, metadata and manifest of a recording in `folder`.

    `extracted`: track id to its extracted file; a track that is not in it had nothing stored. A file that cannot be read or laid
    out, and one whose packets nobody will hear, is kept as it is. Raises CodecError (encoder), OSError.
    """
    problems: list[Problem] = []
    refs, files, laid_out = [], [], []
    unreadable: list[Path] = []
    for index, ref in enumerate(ordered_tracks(ended)):
        path = extracted.get(ref.track)
        if path is None:
            continue
        try:
            file = read_track(path)
            layout = lay_out(file, folder / f"track-{index}.pcm", codecs)
        except (TrackFileError, TrackTooLongError) as error:
            problems.append(Problem(code="unreadable_track", detail=str(error)[:4096]))
            unreadable.append(path)
            continue
        refs.append(ref)
        files.append(file)
        laid_out.append(layout)
    master = _master(laid_out, folder, options, codecs)
    tracks = [
        stored_track(layout, file, ref.label, list(ref.parties), channel_of(index), master)
        for index, (layout, file, ref) in enumerate(zip(laid_out, files, refs, strict=True))
    ]
    if master is not None:
        silent = [meter.silent for meter in master.meters]
        problems += find_problems(laid_out, silent, master.duration_ms, ended.started_at, ended.ended_at)
    else:
        if not unreadable and not any(len(file.packets) for file in files):
            problems.append(Problem(code="no_media", detail="no packet was received"))
        else:
            problems += find_problems(laid_out, [], 0, ended.started_at, ended.ended_at)
            if not problems:
                problems.append(Problem(code="no_audio", detail="packets were received, but no audio; they are stored"))
    for layout in laid_out:
        _discard(layout)
    kept = [
        extracted[layout.track]
        for layout, file in zip(laid_out, files, strict=True)
        if layout.keeps_raw or (len(file.packets) and (master is None or not len(layout.samples)))
    ]
    sealed = _files(ended, master, laid_out, [*kept, *unreadable], folder)
    digests = {file.name: _sha256(file.path) for file in sealed}
    document = folder / "manifest.json"
    document.write_bytes(manifest(ended, master, tracks, files, digests, problems, salt))
    sealed.append(SealedFile("manifest", "manifest", document, "application/json"))
    return SealedRecording(master, tracks, problems, sealed)


def _master(
    laid_out: Sequence[LaidOutTrack], folder: Path, options: SealOptions, codecs: CodecPool
) -> MasterFile | None:
    if not any(len(layout.samples) for layout in laid_out):
        return None
    return encode_master(laid_out, folder / "master", options.codec, options.opus_bitrate, codecs)


def _files(
    ended: RecordingEnded,
    master: MasterFile | None,
    laid_out: Sequence[LaidOutTrack],
    raw: Sequence[Path],
    folder: Path,
) -> list[SealedFile]:
    """The files beside the manifest; `raw`: extracted tracks that are stored as they are."""
    found = []
    if master is not None:
        found.append(SealedFile("master", "master", master.path, master.media_type))
        peaks = folder / "peaks"
        channels = [meter.peaks() for meter in master.meters]
        peaks.write_bytes(waveform.pack(channels, master.sample_rate_hz, master.samples))
        found.append(SealedFile("peaks", "peaks", peaks, "application/octet-stream"))
    if ended.metadata:
        metadata = folder / "metadata.json"
        documents = [document.model_dump(mode="json") for document in ended.metadata]
        metadata.write_text(json.dumps(documents, ensure_ascii=False))
        found.append(SealedFile("metadata", "metadata", metadata, "application/json"))
    found += [SealedFile("raw", f"raw-{index}", path, "application/octet-stream") for index, path in enumerate(raw)]
    return found


def _discard(layout: LaidOutTrack) -> None:
    """The samples are in the master: free their disk space."""
    if layout.path is not None:
        layout.path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def raw_only(ended: RecordingEnded, extracted: dict[str, Path], folder: Path, salt: bytes) -> SealedRecording:
    """Keep the packets of a recording of which no master could be made: decodable later. Raises OSError."""
    problems = [Problem(code="sealing_failed", detail="no master could be made; the packets are stored")]
    raw = [extracted[ref.track] for ref in ordered_tracks(ended) if ref.track in extracted]
    files = _files(ended, None, [], raw, folder)
    digests = {file.name: _sha256(file.path) for file in files}
    document = folder / "manifest.json"
    document.write_bytes(manifest(ended, None, [], [], digests, problems, salt))
    files.append(SealedFile("manifest", "manifest", document, "application/json"))
    return SealedRecording(None, [], problems, files)
