"""`callward bench seal`: how fast closed tracks become an encrypted master, next to FFmpeg's command line on the same audio."""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from callward.archive.encryption import encrypt_file, new_data_key
from callward.bench.processor import cpu_seconds
from callward.bench.report import Figure, PeerMissingError
from callward.media import g711
from callward.media.codec_process import CodecPool
from callward.media.track_file import PACKET
from callward.platform.ids import new_ulid
from callward.recorder.sealing.master import MasterCodec
from callward.recorder.sealing.seal import SealOptions, seal
from callward.records.events import RecordingEnded, TrackRef

MINUTES = 10
RATE_HZ = 8000
PACKET_SAMPLES = 160
OPUS_BITRATE = 32_000
ROUNDS = 3
"""The best counts: the machine's other work only ever makes it slower."""

Samples = npt.NDArray[np.int16]


def measure() -> list[Figure]:
    """Seal ten minutes of a two-party G.711 call to FLAC and to Opus. Raises PeerMissingError."""
    peer = shutil.which("ffmpeg")
    if peer is None:
        raise PeerMissingError("ffmpeg is the peer of this benchmark: install it (apt install ffmpeg)")
    figures = []
    with tempfile.TemporaryDirectory(prefix="callward-bench-") as name:
        folder = Path(name)
        parties = [_speech(1), _speech(2)]
        tracks = {new_ulid(): party for party in parties}
        paths = {track: _write_track(folder / track, track, codes) for track, codes in tracks.items()}
        sound = folder / "call.wav"
        _write_wav(sound, [g711.A_LAW[codes] for codes in tracks.values()])
        pool = CodecPool(1)
        try:
            for codec, label in (("flac", "FLAC"), ("opus", "Opus")):
                own = max(_own_speed(folder, paths, codec, pool) for _ in range(ROUNDS))  # type: ignore[arg-type]
                other = max(_peer_speed(peer, sound, folder, codec) for _ in range(ROUNDS))
                figures += [
                    Figure(f"sealing to {label}", own, "x real time", "CPU of one core; two parties, PCMA, encrypted"),
                    Figure(f"ffmpeg to {label}", other, "x real time", "the same audio from a WAV file"),
                    Figure(f"sealing / ffmpeg, {label}", own / other, "", "ratio in this run"),
                ]
        finally:
            pool.close()
    return figures


def _speech(seed: int) -> npt.NDArray[np.uint8]:
    """A-law codes of something as hard to encode as speech: coloured noise in syllables, with pauses between sentences."""
    random = np.random.default_rng(seed)
    count = MINUTES * 60 * RATE_HZ
    noise = np.convolve(random.standard_normal(count), np.hanning(9), "same")
    at = np.arange(count) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * f * at) / n for n, f in enumerate((140, 280, 420, 700, 1150, 2400), 1))
    syllables = np.abs(np.sin(2 * np.pi * 2.3 * at + seed)) * (np.sin(2 * np.pi * 0.11 * at + 2 * seed) > 0)
    return g711.encode(np.clip((voice * 3000 + noise * 600) * syllables, -32768, 32767).astype(np.int16), "PCMA")


def _write_track(path: Path, track: str, codes: npt.NDArray[np.uint8]) -> Path:
    count = len(codes) // PACKET_SAMPLES
    table = np.zeros(count, PACKET)
    index = np.arange(count)
    jitter = np.random.default_rng(3).integers(0, 5_000_000, count)
    table["arrival_ns"] = time.time_ns() + index * 20_000_000 + jitter
    table["offset"] = index * PACKET_SAMPLES
    table["timestamp"] = index * PACKET_SAMPLES
    table["ssrc"], table["payload_type"], table["length"] = 1, 8, PACKET_SAMPLES
    table["sequence"] = index & 0xFFFF
    header = f'{{"track": "{track}", "payload_types": [], "marks": [], "stats": {{}}}}'.encode()
    header += b" " * (-(12 + len(header)) % 8)
    head = b"CWTRACK1" + struct.pack("<I", len(header)) + header + struct.pack("<Q", count)
    path.write_bytes(head + table.tobytes() + codes.tobytes())
    return path


def _write_wav(path: Path, channels: list[Samples]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((len(channels), 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.stack(channels, axis=1).tobytes())


def _own_speed(folder: Path, paths: dict[str, Path], codec: MasterCodec, pool: CodecPool) -> float:
    started_at = datetime.now(UTC)
    recording = new_ulid()
    ended = RecordingEnded(
        recording=recording,
        session=new_ulid(),
        started_at=started_at,
        ended_at=started_at + timedelta(minutes=MINUTES),
        tracks=[TrackRef(track=track) for track in paths],
    )
    work = folder / recording
    work.mkdir()
    with pool.worker() as worker:
        before = time.process_time() + (cpu_seconds(worker.pid) if worker.pid is not None else 0.0)
    sealed = seal(ended, paths, work, SealOptions(codec, OPUS_BITRATE), pool, os.urandom(16))
    data_key = new_data_key()
    for file in sealed.files:
        encrypt_file(file.path, work / f"{file.name}.stored", data_key, recording, file.name)
    with pool.worker() as worker:
        spent = time.process_time() + (cpu_seconds(worker.pid) if worker.pid is not None else 0.0) - before
    shutil.rmtree(work)
    return MINUTES * 60 / spent


def _peer_speed(program: str, sound: Path, folder: Path, codec: str) -> float:
    output = folder / f"peer.{codec}"
    encoder = ["-c:a", "flac", "-frame_size", "4096"]
    if codec == "opus":
        encoder = [
            "-c:a", "libopus", "-b:a", str(2 * OPUS_BITRATE), "-compression_level", "0", "-application", "audio",
            "-frame_duration", "60", "-mapping_family", "255",
        ]  # fmt: skip
    with _children_cpu() as spent:
        subprocess.run(
            [program, "-nostdin", "-v", "error", "-y", "-threads", "1", "-i", str(sound), *encoder, str(output)],
            check=True,
            timeout=300,
        )
    return MINUTES * 60 / spent[0]


@contextmanager
def _children_cpu() -> Iterator[list[float]]:
    """Processor time of the children that ended meanwhile, in the list's only element."""
    spent = [0.0]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield spent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent[0] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
