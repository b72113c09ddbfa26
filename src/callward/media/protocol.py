"""The lines of the media protocol, version 1 (docs/reference/media-protocol.md), as typed values. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PROTOCOL = 1
LINE_MAX_BYTES = 256 * 1024
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

TrackState = Literal["recording", "paused"]
SourceCheck = Literal["strict", "symmetric", "learn"]


class MediaError(Exception):
    """The media process cannot be used as asked."""


class MediaUnavailableError(MediaError):
    """The media process is not connected, or did not answer in time: the operation may or may not have been done."""


class MediaRefusedError(MediaError):
    """The media process refused: `code` is one of the protocol's codes (`no_port`, `no_space`, `overload`, ...)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message or code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Hello:
    """First line of a connection. `boot` changes with each start of the media process."""

    protocol: int
    version: str
    pid: int
    boot: str
    receive: str = ""


@dataclass(frozen=True, slots=True)
class PayloadType:
    """One negotiated RTP payload type."""

    payload_type: int
    codec: str
    clock_hz: int
    channels: int = 1
    fmtp: str = ""

    def to_wire(self) -> dict[str, Any]:
        return {
            "payload_type": self.payload_type,
            "codec": self.codec,
            "clock_hz": self.clock_hz,
            "channels": self.channels,
            "fmtp": self.fmtp,
        }


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a stream comes from: `address:port` for RTP and RTCP (IPv6 in brackets)."""

    rtp: str
    rtcp: str = ""

    def to_wire(self) -> dict[str, Any]:
        return {"rtp": self.rtp, "rtcp": self.rtcp or None}


@dataclass(frozen=True, slots=True)
class Srtp:
    """Keys of one direction (RFC 4568): suite name and base64 of master key and salt. Never printed."""

    suite: str
    key: str = field(repr=False)
    mki_bytes: int = 0
    """Length of the master key identifier in each packet; 0: there is none."""

    def to_wire(self) -> dict[str, Any]:
        return {"suite": self.suite, "key": self.key, "mki_bytes": self.mki_bytes}


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """What a track is negotiated to be; sent whole by `open_track` and `update_track`."""

    payload_types: tuple[PayloadType, ...] = ()
    remote: Remote | None = None
    rtcp_mux: bool = False
    srtp: Srtp | None = None
    srtp_send: Srtp | None = None
    state: TrackState = "recording"
    source_check: SourceCheck = "symmetric"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return {
            "payload_types": [payload_type.to_wire() for payload_type in self.payload_types],
            "remote": self.remote.to_wire() if self.remote else None,
            "rtcp_mux": self.rtcp_mux,
            "srtp": self.srtp.to_wire() if self.srtp else None,
            "srtp_send": self.srtp_send.to_wire() if self.srtp_send else None,
            "state": self.state,
            "source_check": self.source_check,
            "meta": dict(self.meta),
        }


@dataclass(frozen=True, slots=True)
class OpenedTrack:
    """Local ports of a new track."""

    rtp_port: int
    rtcp_port: int


@dataclass(frozen=True, slots=True)
class ClosedTrack:
    """Everything received stands synced in the audio journal: `acked_bytes`, with the stream's statistics."""

    acked_bytes: int
    stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ListedTrack:
    """One track that the media process knows. `recovered`: it was open when the process died."""

    track: str
    session: str
    state: str
    rtp_port: int
    rtcp_port: int
    acked_bytes: int
    meta: Mapping[str, Any]
    recovered: bool


@dataclass(frozen=True, slots=True)
class MediaStatus:
    """`status`, bounded to what the recorder looks at; `raw` has all of it."""

    able: bool
    why: str
    open_tracks: int
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MediaEvent:
    """An event line: `name` and its fields as they came."""

    name: str
    fields: Mapping[str, Any]

    def track(self) -> str:
        return str(self.fields.get("track", ""))

    def integer(self, key: str) -> int:
        value = self.fields.get(key, 0)
        return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply line. `error` is (code, message) when it was refused."""

    id: int
    fields: Mapping[str, Any]
    error: tuple[str, str] | None = None


def encode_request(number: int, op: str, arguments: Mapping[str, Any]) -> bytes:
    """One request line.

    Raises:
        MediaError: it would be longer than the protocol allows.
    """
    line = _ENCODER.encode({"id": number, "op": op, **arguments}).encode() + b"\n"
    if len(line) > LINE_MAX_BYTES:
        raise MediaError(f"a {op} request of {len(line)} bytes is longer than the media protocol allows")
    return line


def decode_line(line: bytes) -> Hello | Reply | MediaEvent | None:
    """What the media process said; None when the line makes no sense."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if value.get("event") == "hello":
        return _hello(value)
    if isinstance(value.get("event"), str):
        return MediaEvent(value["event"], value)
    number = value.get("id")
    if not isinstance(number, int):
        return None
    if value.get("ok") is True:
        return Reply(number, value)
    error = value.get("error")
    error = error if isinstance(error, dict) else {}
    return Reply(number, value, (str(error.get("code", "internal"))[:64], str(error.get("message", ""))[:1000]))


def _hello(value: Mapping[str, Any]) -> Hello | None:
    try:
        return Hello(
            protocol=int(value["protocol"]),
            version=str(value.get("version", ""))[:64],
            pid=int(value.get("pid", 0)),
            boot=str(value["boot"])[:64],
            receive=str(value.get("receive", ""))[:64],
        )
    except (KeyError, TypeError, ValueError):
        return None


def listed_tracks(fields: Mapping[str, Any]) -> Sequence[ListedTrack]:
    """The reply of `list_tracks`."""
    found = []
    for item in fields.get("tracks", []):
        if isinstance(item, dict) and isinstance(item.get("track"), str):
            meta = item.get("meta")
            found.append(
                ListedTrack(
                    track=item["track"],
                    session=str(item.get("session", "")),
                    state=str(item.get("state", "")),
                    rtp_port=int(item.get("rtp_port") or 0),
                    rtcp_port=int(item.get("rtcp_port") or 0),
                    acked_bytes=int(item.get("acked_bytes") or 0),
                    meta=meta if isinstance(meta, dict) else {},
                    recovered=bool(item.get("recovered")),
                )
            )
    return found
