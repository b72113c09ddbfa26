"""Asking the recording client for a complete snapshot (RFC 7866 section 9.2, RFC 7865 section 7; S15)."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from callward.siprec.metadata import MEDIA_TYPE, NAMESPACE

MAX_REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """An UPDATE inside the recording dialog, without SDP; it must not travel in any other transaction."""

    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def snapshot_request(reason: str = "") -> SnapshotRequest:
    """The UPDATE that asks for a snapshot. `reason` is shown to the people of the other side."""
    inner = f"<requestreason>{escape(reason[:MAX_REASON_CHARACTERS])}</requestreason>" if reason else ""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<requestsnapshot xmlns="{NAMESPACE}">{inner}</requestsnapshot>\n'
    headers = (("Content-Type", MEDIA_TYPE), ("Content-Disposition", "recording-session"))
    return SnapshotRequest("UPDATE", headers, body.encode())
