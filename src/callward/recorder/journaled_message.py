"""A SIP message as it may be written into the recorder's journal: without SRTP keys, and without metadata that may not be stored (S41)."""

from __future__ import annotations

import re

from callward.sip import multipart
from callward.sip.message import Request, Response
from callward.siprec.observation import Observation
from callward.siprec.storage_policy import StoragePolicy

_KEY = re.compile(rb"(inline:)([A-Za-z0-9+/=]+)")
_OF_THE_BODY = ("Content-Type", "Content-Length", "Content-Disposition", "Content-Encoding")
_BOUNDARY = "callward-stored"


def blank_keys(raw: bytes) -> bytes:
    """A message without its SRTP keys; the length stays."""
    return _KEY.sub(lambda found: found[1] + b"A" * len(found[2]), raw)


def journaled(message: Request | Response, observation: Observation, policy: StoragePolicy) -> bytes:
    """The message for the journal. `observation`: what was read of it, after the policy.

    Under a policy its body is made anew: the SDP, and the metadata that is left. Nobody knows what other parts hold.
    """
    if policy.stores_all or not message.body:
        return blank_keys(message.raw or message.to_bytes())
    kept = message.copy()
    parts = [part for part in multipart.parse(message.content_type, message.body) if _is_sdp(part)]
    parts += [
        multipart.Part.of(part.content_type, part.body, part.disposition or None)
        for part in observation.raw_metadata
        if part.body
    ]
    boundary = _BOUNDARY
    while any(boundary.encode() in part.body for part in parts):
        boundary += "-"
    for name in _OF_THE_BODY:
        kept.headers.remove(name)
    kept.body = multipart.build(parts, boundary) if parts else b""
    if parts:
        kept.headers.add("Content-Type", str(multipart.content_type(boundary)))
    return blank_keys(kept.to_bytes())


def _is_sdp(part: multipart.Part) -> bool:
    return part.content_type.name == "application/sdp"
