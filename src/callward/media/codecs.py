"""Which codecs sealing can decode, and how long a payload of each lasts (RFC 3551, 4867, 7587, 3952, 5574)."""

from __future__ import annotations

from dataclasses import dataclass

from callward.media.track_file import PayloadType

COMFORT_NOISE = "CN"
TELEPHONE_EVENT = "TELEPHONE-EVENT"

STATIC_TYPES: dict[int, PayloadType] = {
    number: PayloadType(payload_type=number, codec=codec, clock_hz=clock, channels=channels)
    for number, codec, clock, channels in (
        (0, "PCMU", 8000, 1),
        (3, "GSM", 8000, 1),
        (8, "PCMA", 8000, 1),
        (9, "G722", 8000, 1),
        (10, "L16", 44100, 2),
        (11, "L16", 44100, 1),
        (13, COMFORT_NOISE, 8000, 1),
        (18, "G729", 8000, 1),
    )
}
"""RFC 3551 table 4: what a number means when nothing was announced for it."""

NAMES = {"G726-32": "G726-32", "G7221": "G7221", "AMRWB": "AMR-WB", "G711U": "PCMU", "G711A": "PCMA", "G729A": "G729"}


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec by its SDP name. `decoder`: name of the FFmpeg decoder; None: decoded by table in this process."""

    name: str
    decoder: str | None
    rate_hz: int
    """Of the decoded samples; 0: the RTP clock rate."""
    frame_bytes: int = 0
    """Length of one frame when every frame has the same; 0: a packet is one unit or is parsed."""


CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("PCMU", None, 8000),
        Codec("PCMA", None, 8000),
        Codec("L16", "pcm_s16be", 0),
        Codec("G722", "g722", 16000),
        Codec("G729", "g729", 8000, 10),
        Codec("OPUS", "libopus", 48000),
        Codec("AMR", "libopencore_amrnb", 8000),
        Codec("AMR-WB", "libopencore_amrwb", 16000),
        Codec("GSM", "gsm", 8000, 33),
        Codec("ILBC", "ilbc", 8000),
        Codec("SPEEX", "speex", 0),
        Codec("G726-16", "g726le", 8000),
        Codec("G726-24", "g726le", 8000),
        Codec("G726-32", "g726le", 8000),
        Codec("G726-40", "g726le", 8000),
    )
}


def codec_name(announced: str) -> str:
    """The name by which a codec is known here: SDP names are compared without case."""
    upper = announced.upper()
    return NAMES.get(upper, upper)


def samples_rate(codec: Codec, announced: PayloadType) -> int:
    """Rate of the decoded samples in Hz."""
    return codec.rate_hz or min(max(announced.clock_hz, 8000), 48000)


def clock_rate(announced: PayloadType) -> int:
    """The RTP clock in Hz; fixed by the RFC where a sender is known to announce something else (G.722, Opus, AMR-WB)."""
    fixed = {"G722": 8000, "OPUS": 48000, "PCMU": 8000, "PCMA": 8000, "AMR": 8000, "AMR-WB": 16000, "G729": 8000}
    return fixed.get(codec_name(announced.codec)) or announced.clock_hz or 8000


def parameters(fmtp: str) -> dict[str, str]:
    """`a=fmtp` parameters by their lower-case name; at most 64."""
    found: dict[str, str] = {}
    for part in fmtp.split(";")[:64]:
        name, _, value = part.strip().partition("=")
        if name:
            found[name.strip().lower()] = value.strip()
    return found
