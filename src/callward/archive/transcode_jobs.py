"""What the codec worker is told for each format of a download."""

from __future__ import annotations

import struct
from typing import Any

from callward.archive.model import Recording
from callward.archive.schemas import AudioFormat

INPUT_FORMATS = {"opus": "ogg", "flac": "flac"}
MP3_BIT_RATE = 64_000
"""Of each channel: speech."""
OPUS_BIT_RATE = 32_000


def transcode_job(
    recording: Recording, audio_format: AudioFormat, offset_ms: int, length_ms: int
) -> tuple[dict[str, Any], bytes, str]:
    """The codec worker's job, what comes before its output, and the media type."""
    rate, channels = recording.sample_rate_hz, recording.channels
    head = b""
    job: dict[str, Any] = {
        "input_format": INPUT_FORMATS[recording.codec or "opus"],
        "offset_ms": offset_ms,
        "options": {},
        "container_options": {},
        "codec": audio_format.value,
    }
    if audio_format is AudioFormat.MP3:
        # At 8 kHz a frame of MP3 is 72 ms, and players cut and pad whole frames.
        channels, rate = min(channels, 2), max(rate, 16_000)
        media_type = "audio/mpeg"
        job |= {"container": "mp3", "codec": "libmp3lame", "bit_rate": MP3_BIT_RATE * channels}
        # Without joint stereo nothing of one party leaks into the other's channel.
        job |= {"options": {"joint_stereo": "0"}, "container_options": {"write_xing": "0", "id3v2_version": "0"}}
    elif audio_format is AudioFormat.WAV:
        media_type = "audio/wav"
        job |= {"container": "pcm"}
    elif audio_format is AudioFormat.FLAC:
        channels = min(channels, 8)
        media_type = "audio/flac"
        job |= {"container": "flac", "codec": "flac", "options": {"frame_size": "4096"}}
    else:
        media_type = "audio/ogg"
        options = {"application": "audio", "frame_duration": "60", "compression_level": "0"}
        if channels > 2:
            options["mapping_family"] = "255"
        job |= {"container": "ogg", "codec": "libopus", "options": options, "bit_rate": OPUS_BIT_RATE * channels}
    job |= {"rate_hz": rate, "channels": channels, "samples": length_ms * rate // 1000}
    if audio_format is AudioFormat.WAV:
        head = _wav_header(rate, channels, job["samples"])
    return job, head, media_type


def _wav_header(rate: int, channels: int, samples: int) -> bytes:
    """RIFF header of 16-bit PCM; sizes that 32 bits cannot hold are left open, as players expect of streams."""
    size = samples * channels * 2
    data, riff = min(size, 0xFFFFFFFF), min(size + 36, 0xFFFFFFFF)
    block = channels * 2
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * block, block, 16)
        + b"data"
        + struct.pack("<I", data)
    )
