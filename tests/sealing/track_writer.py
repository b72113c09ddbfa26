"""Writes extracted tracks (`CWTRACK1`) as the media process does, for tests of sealing."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from callward.media import g711
from callward.media.track_file import PACKET

BASE_NS = 1_800_000_000_000_000_000
"""Start of all test calls: 2027-01-15 08:00:00 UTC."""


@dataclass(frozen=True)
class Packet:
    """One RTP packet as it arrived."""

    at_ms: float
    sequence: int
    timestamp: int
    payload: bytes
    payload_type: int = 8
    ssrc: int = 0x1234
    marker: bool = False


@dataclass
class TrackBuilder:
    track: str
    payload_types: list[dict[str, Any]] = field(default_factory=lambda: [announced(8, "PCMA")])
    packets: list[Packet] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    base_ns: int = BASE_NS

    def write(self, path: Path) -> Path:
        ordered = sorted(self.packets, key=lambda packet: packet.at_ms)
        table = np.zeros(len(ordered), PACKET)
        payload = bytearray()
        for row, packet in zip(table, ordered, strict=True):
            row["arrival_ns"] = self.base_ns + int(packet.at_ms * 1e6)
            row["offset"] = len(payload)
            row["timestamp"] = packet.timestamp % (1 << 32)
            row["ssrc"] = packet.ssrc
            row["sequence"] = packet.sequence % (1 << 16)
            row["length"] = len(packet.payload)
            row["payload_type"] = packet.payload_type
            row["flags"] = int(packet.marker)
            payload += packet.payload
        body = table.tobytes() + bytes(payload)
        header = {
            "track": self.track,
            "session": "01JZZZZZZZZZZZZZZZZZZZZZZZ",
            "meta": {},
            "complete": True,
            "started_at_ns": self.base_ns,
            "ended_at_ns": self.base_ns + int((ordered[-1].at_ms if ordered else 0) * 1e6),
            "payload_types": self.payload_types,
            "marks": self.marks,
            "stats": {"packets": len(ordered)},
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        encoded = json.dumps(header).encode()
        encoded += b" " * (-(12 + len(encoded)) % 8)
        path.write_bytes(b"CWTRACK1" + struct.pack("<I", len(encoded)) + encoded + struct.pack("<Q", len(table)) + body)
        return path

    def mark(self, at_ms: float, kind: str) -> None:
        self.marks.append({"at_ns": self.base_ns + int(at_ms * 1e6), "kind": kind})


def announced(payload_type: int, codec: str, clock_hz: int = 8000, channels: int = 1, fmtp: str = "") -> dict[str, Any]:
    return {"payload_type": payload_type, "codec": codec, "clock_hz": clock_hz, "channels": channels, "fmtp": fmtp}


def tone(hz: float, seconds: float, rate: int = 8000, amplitude: float = 8000.0, phase_s: float = 0.0) -> np.ndarray:
    at = np.arange(round(seconds * rate)) / rate + phase_s
    return (np.sin(2 * np.pi * hz * at) * amplitude).astype(np.int16)


def g711_packets(
    samples: np.ndarray,
    *,
    codec: str = "PCMA",
    start_ms: float = 0.0,
    ptime_ms: int = 20,
    sequence: int = 65_500,
    timestamp: int = (1 << 32) - 4000,
    ssrc: int = 0x1234,
    payload_type: int | None = None,
) -> list[Packet]:
    """Packets of a clean sender; by default the counters wrap soon."""
    size = 8 * ptime_ms
    codes = g711.encode(samples, codec)
    number = {"PCMA": 8, "PCMU": 0}[codec] if payload_type is None else payload_type
    return [
        Packet(
            start_ms + (i + 1) * ptime_ms,
            sequence + i,
            timestamp + i * size,
            codes[low : low + size].tobytes(),
            number,
            ssrc,
        )
        for i, low in enumerate(range(0, len(codes), size))
    ]


def shifted(packet: Packet, **changes: Any) -> Packet:
    return replace(packet, **changes)


def level(samples: np.ndarray, hz: float, rate: int) -> float:
    """Goertzel's question: how much of a tone is in the samples, in dB below full scale; -120 for none."""
    samples = samples.astype(np.float64) / 32768
    if not len(samples):
        return -120.0
    at = np.arange(len(samples)) / rate
    window = np.hanning(len(samples))
    part = abs(np.sum(samples * window * np.exp(-2j * np.pi * hz * at))) * 2 / window.sum()
    return float(20 * np.log10(max(part, 1e-6)))
