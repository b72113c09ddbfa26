"""Extracted tracks (`CWTRACK1`, docs/reference/media-protocol.md): the packets of one stored stream, mapped into memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MAGIC = b"CWTRACK1"
HEADER_MAX_BYTES = 16 << 20
"""The JSON header: 10,000 marks and gaps fit many times."""

PACKET = np.dtype(
    [
        ("arrival_ns", "<i8"),
        ("offset", "<u8"),
        ("timestamp", "<u4"),
        ("ssrc", "<u4"),
        ("sequence", "<u2"),
        ("length", "<u2"),
        ("payload_type", "u1"),
        ("flags", "u1"),
        ("zero", "<u2"),
    ]
)
"""One row of the packet table; 32 bytes."""

Packets = npt.NDArray[np.void]
Bytes = npt.NDArray[np.uint8]


class TrackFileError(Exception):
    """The file is no extracted track, or it was cut."""


class PayloadType(BaseModel):
    """What a payload type number means (SDP `a=rtpmap`)."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    payload_type: int = Field(ge=0, le=127)
    codec: str = ""
    clock_hz: int = Field(default=8000, ge=0, le=1_000_000)
    channels: int = Field(default=1, ge=0, le=255)
    fmtp: str = ""


class TrackMark(BaseModel):
    """A moment of the track: `pause`, `resume`, `restart`, `overflow`, `source`, `payload_types`, `rekey`, `csrc`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    at_ns: int
    kind: str


class TrackHeader(BaseModel):
    """The JSON header of an extracted track."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    track: str
    session: str = ""
    meta: dict[str, Any] = Field(default_factory=dict)
    complete: bool = False
    started_at_ns: int = 0
    ended_at_ns: int = 0
    payload_types: list[PayloadType] = Field(default_factory=list)
    marks: list[TrackMark] = Field(default_factory=list)
    stats: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _tolerate(cls, value: Any) -> Any:
        """A track whose beginning was lost has empty fields, and an odd payload type must not cost the others."""
        if not isinstance(value, dict):
            return value
        known = {key: entry for key, entry in value.items() if entry is not None}
        for key, shape in (("payload_types", PayloadType), ("marks", TrackMark)):
            entries = known.get(key, [])
            known[key] = [entry for entry in entries if _fits(shape, entry)] if isinstance(entries, list) else []
        return known


def _fits(shape: type[BaseModel], entry: Any) -> bool:
    try:
        shape.model_validate(entry)
    except ValidationError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TrackFile:
    """A track: header, packet table in the order of arrival, payload area."""

    header: TrackHeader
    packets: Packets
    payload: Bytes
    cut: bool
    """Packets whose payload is missing at the end of the file were left out."""


def read_track(path: Path) -> TrackFile:
    """Map an extracted track into memory; nothing is copied.

    Raises:
        TrackFileError: it is no extracted track.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if len(start) < 12 or start[:8] != MAGIC:
            raise TrackFileError(f"{path.name} is no extracted track")
        (header_bytes,) = struct.unpack("<I", start[8:])
        if header_bytes > HEADER_MAX_BYTES:
            raise TrackFileError(f"{path.name} has a header of {header_bytes} bytes; {HEADER_MAX_BYTES} are allowed")
        raw = file.read(header_bytes)
        count_bytes = file.read(8)
    try:
        header = TrackHeader.model_validate_json(raw)
    except ValidationError as error:
        raise TrackFileError(f"{path.name}: {error.errors()[0]['msg']} in the header") from None
    table_at = 12 + header_bytes + 8
    if len(count_bytes) < 8:
        raise TrackFileError(f"{path.name} ends in its header")
    (count,) = struct.unpack("<Q", count_bytes)
    available = (size - table_at) // PACKET.itemsize
    cut = count > available
    count = min(count, available)
    if not count:
        return TrackFile(header, np.zeros(0, PACKET), np.zeros(0, np.uint8), cut)
    packets: Packets = np.memmap(path, PACKET, "r", offset=table_at, shape=(count,))
    payload_at = table_at + count * PACKET.itemsize
    payload_bytes = size - payload_at
    payload: Bytes = (
        np.memmap(path, np.uint8, "r", offset=payload_at, shape=(payload_bytes,))
        if payload_bytes
        else np.zeros(0, np.uint8)
    )
    inside = (packets["offset"] <= payload_bytes) & (packets["offset"] + packets["length"] <= payload_bytes)
    if not inside.all():
        packets, cut = packets[inside], True
    return TrackFile(header, packets, payload, cut)
