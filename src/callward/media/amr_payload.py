"""AMR and AMR-WB out of RTP (RFC 4867 section 4): bandwidth-efficient and octet-aligned payloads to storage frames.

A storage frame (section 5.3) is one byte `0 FT(4) Q(1) 00` and the speech bits, which is what decoders take.
"""

from __future__ import annotations

from dataclasses import dataclass

NARROW_BITS = (95, 103, 118, 134, 148, 159, 204, 244, 39)
"""Speech bits of frame types 0-7 and of SID (8); 15 is NO_DATA (3GPP TS 26.101)."""
WIDE_BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
"""Speech bits of frame types 0-8 and of SID (9); 14 is a lost frame, 15 NO_DATA (3GPP TS 26.201)."""
NO_DATA = bytes([15 << 3 | 4])
FRAMES_MAX = 64


@dataclass(frozen=True, slots=True)
class AmrFormat:
    """How the payload is laid out (`a=fmtp`)."""

    wide: bool
    octet_aligned: bool = False
    crc: bool = False
    interleaved: bool = False
    channels: int = 1

    @classmethod
    def of(cls, *, wide: bool, parameters: dict[str, str], channels: int) -> AmrFormat:
        """Read `octet-align`, `crc`, `interleaving` and `robust-sorting`; the last three imply octet alignment."""
        crc = parameters.get("crc") == "1"
        interleaved = "interleaving" in parameters
        aligned = parameters.get("octet-align") == "1" or crc or interleaved or parameters.get("robust-sorting") == "1"
        return cls(wide, aligned, crc, interleaved, max(1, channels))


def unpack(payload: bytes, layout: AmrFormat) -> list[bytes] | None:
    """The storage frames of one payload in time order; None: malformed.

    Of several channels the first is kept.
    """
    bits = WIDE_BITS if layout.wide else NARROW_BITS
    frames = _aligned(payload, layout, bits) if layout.octet_aligned else _efficient(payload, bits)
    return frames[:: layout.channels] if frames else None


def _size(frame_type: int, bits: tuple[int, ...]) -> int | None:
    if frame_type < len(bits):
        return bits[frame_type]
    return 0 if frame_type >= 14 else None


def _aligned(payload: bytes, layout: AmrFormat, bits: tuple[int, ...]) -> list[bytes] | None:
    position = 2 if layout.interleaved else 1
    entries: list[int] = []
    while True:
        if position >= len(payload) or len(entries) >= FRAMES_MAX:
            return None
        entry = payload[position]
        position += 1
        entries.append(entry & 0x7C)
        if not entry & 0x80:
            break
    if layout.crc:
        position += sum(1 for entry in entries if (entry >> 3 & 15) < len(bits))
    frames = []
    for entry in entries:
        size = _size(entry >> 3 & 15, bits)
        if size is None:
            return None
        octets = (size + 7) // 8
        if position + octets > len(payload):
            return None
        frames.append(bytes([entry]) + payload[position : position + octets])
        position += octets
    return frames


def _efficient(payload: bytes, bits: tuple[int, ...]) -> list[bytes] | None:
    total = len(payload) * 8
    value = int.from_bytes(payload, "big")

    def take(start: int, count: int) -> int:
        return value >> (total - start - count) & ((1 << count) - 1)

    position = 4
    entries: list[int] = []
    while True:
        if position + 6 > total or len(entries) >= FRAMES_MAX:
            return None
        entry = take(position, 6)
        position += 6
        entries.append(entry & 0x1F)
        if not entry & 0x20:
            break
    frames = []
    for entry in entries:
        size = _size(entry >> 1, bits)
        if size is None or position + size > total:
            return None
        octets = (size + 7) // 8
        speech = take(position, size) << (octets * 8 - size) if size else 0
        frames.append(bytes([entry << 2]) + speech.to_bytes(octets, "big"))
        position += size
    return frames
