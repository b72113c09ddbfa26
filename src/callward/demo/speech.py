"""The two spoken voices of the demo call: A-law, 8000 Hz, mono, 20 ms packets."""

from __future__ import annotations

from importlib.resources import files

PACKET_BYTES = 160
"""20 ms of G.711."""
PACKET_MS = 20
_SILENCE = b"\xd5"


class SpeechError(Exception):
    """A speech clip is missing or is no A-law WAV file: the installation is damaged, run `make build`."""


def packets(name: str) -> list[bytes]:
    """The RTP payloads of a clip that ships with the package (`adviser` or `client`).

    Raises:
        SpeechError: it is missing or of another format.
    """
    try:
        data = files("callward.demo").joinpath("clips", f"{name}.wav").read_bytes()
    except FileNotFoundError:
        raise SpeechError(SpeechError.__doc__) from None
    samples = _data_chunk(data)
    samples += _SILENCE * (-len(samples) % PACKET_BYTES)
    return [samples[at : at + PACKET_BYTES] for at in range(0, len(samples), PACKET_BYTES)]


def _data_chunk(data: bytes) -> bytes:
    """Walk the RIFF chunks to the samples."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise SpeechError(SpeechError.__doc__)
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise SpeechError(SpeechError.__doc__)
