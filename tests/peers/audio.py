"""Tones as G.711, and what is in a WAV file: written for the tests, independent of the product's codecs."""

from __future__ import annotations

import io
import subprocess
import wave

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
PACKET_SAMPLES = 160


def linear_to_alaw(samples: NDArray[np.int16]) -> bytes:
    """G.711 A-law, by its definition (ITU-T G.711 table 1a)."""
    pcm = samples.astype(np.int32)
    sign = np.where(pcm >= 0, 0x80, 0x00)
    magnitude = np.minimum(np.where(pcm >= 0, pcm, -pcm - 1) >> 3, 4095)
    exponent = np.maximum(0, np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4)
    mantissa = np.where(exponent == 0, magnitude >> 1, magnitude >> exponent) & 0x0F
    return bytes(((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8))


def linear_to_ulaw(samples: NDArray[np.int16]) -> bytes:
    """G.711 mu-law, by its definition (ITU-T G.711 table 2a)."""
    pcm = samples.astype(np.int32)
    sign = np.where(pcm >= 0, 0x80, 0x00)
    magnitude = np.minimum(np.abs(pcm), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return bytes(((0x7F - ((exponent << 4) | mantissa)) | sign).astype(np.uint8))


def opus_packets(samples: NDArray[np.int16]) -> list[bytes]:
    """Opus packets of 20 ms each, as `opusenc` makes them."""
    done = subprocess.run(
        ["opusenc", "--quiet", "--raw", "--raw-rate", str(RATE_HZ), "--raw-chan", "1", "--framesize", "20", "-", "-"],
        input=samples.tobytes(),
        capture_output=True,
        check=True,
        timeout=20,
    )
    return _ogg_packets(done.stdout)[2:]


def _ogg_packets(data: bytes) -> list[bytes]:
    """The packets of an Ogg stream (RFC 3533 section 6); the first two of Opus are its headers."""
    packets, packet, at = [], b"", 0
    while at < len(data):
        sizes = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + len(sizes)
        for size in sizes:
            packet += data[at : at + size]
            at += size
            if size < 255:
                packets.append(packet)
                packet = b""
    return packets


def tone(frequency_hz: float, seconds: float, *, level: float = 0.3, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    """A sine wave."""
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    return (np.sin(2 * np.pi * frequency_hz * at) * level * 32767).astype(np.int16)


def read_wav(data: bytes) -> tuple[int, NDArray[np.float64]]:
    """Sample rate and samples (frames x channels, -1 to 1) of a 16-bit WAV file."""
    with wave.open(io.BytesIO(data)) as file:
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64) / 32768
        return file.getframerate(), samples.reshape(-1, file.getnchannels())


def tone_level(samples: NDArray[np.float64], rate_hz: int, frequency_hz: float) -> float:
    """Amplitude of one frequency in some samples (a single bin of a Fourier transform)."""
    if not len(samples):
        return 0.0
    at = np.arange(len(samples)) / rate_hz
    return float(2 * abs(np.mean(samples * np.exp(-2j * np.pi * frequency_hz * at))))


def loud_spans(
    samples: NDArray[np.float64], rate_hz: int, *, window_s: float = 0.01, level: float = 0.02
) -> list[tuple[float, float]]:
    """Where one channel is not silent: list of (start, end) in seconds."""
    window = int(rate_hz * window_s)
    frames = len(samples) // window
    loud = np.sqrt(np.mean(samples[: frames * window].reshape(frames, window) ** 2, axis=1)) > level
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(np.int8), [0]))))
    return [(float(a * window_s), float(b * window_s)) for a, b in edges.reshape(-1, 2)]
