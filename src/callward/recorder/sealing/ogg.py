"""The head of an Ogg Opus file (RFC 3533, RFC 7845), changed so that every player takes two independent channels.

The encoder is asked for mapping family 255 (each channel a mono stream: nothing of one party leaks into the other, as it does in
coupled stereo). Players refuse or guess at 255; family 1 with two uncoupled streams says the same and is known everywhere.
"""

from __future__ import annotations

from typing import BinaryIO

_POLYNOMIAL = 0x04C11DB7


class OggHeadError(Exception):
    """The file does not begin as our encoder begins it."""


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ _POLYNOMIAL if value & 1 << 31 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return table


_TABLE = _table()


def page_checksum(page: bytes) -> int:
    """CRC of a page whose own checksum field is zero (RFC 3533 section 6)."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value


def use_family_1(file: BinaryIO) -> None:
    """Change a two-channel file from mapping family 255 to 1, in place. Raises OggHeadError."""
    file.seek(0)
    page = bytearray(file.read(512))
    segments = page[26]
    head = 27 + segments
    size = head + sum(page[27:head])
    if page[:4] != b"OggS" or page[head : head + 8] != b"OpusHead" or page[head + 9] != 2 or page[head + 18] != 255:
        raise OggHeadError("the file is no Opus file with two independent channels")
    del page[size:]
    page[head + 18] = 1
    page[22:26] = bytes(4)
    page[22:26] = page_checksum(bytes(page)).to_bytes(4, "little")
    file.seek(0)
    file.write(page)
