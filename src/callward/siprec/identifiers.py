"""Ids of RFC 7865 section 6.10: base64 of a UUID; the field also writes `urn:uuid:` and plain text."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

_HEX_UUID = re.compile(
    r"(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?", re.I
)


_MAX_USUAL = 64
"""Characters up to which keys are remembered, so that strangers cannot fill the memory."""


def identity_key(text: str) -> str:
    """The same key for every spelling of one UUID; any other text is its own key."""
    # An id comes many times in a document, and again in every document after it.
    return _usual_key(text) if len(text) <= _MAX_USUAL else _key(text)


def _key(text: str) -> str:
    value = text.strip()
    if match := _HEX_UUID.fullmatch(value):
        return "".join(match.groups()).lower()
    if len(value) in (22, 24):
        try:
            raw = base64.b64decode(value.rstrip("=") + "==", validate=True)
        except (binascii.Error, ValueError):
            return value
        if len(raw) == 16:
            return raw.hex()
    return value


_usual_key = lru_cache(maxsize=2048)(_key)


def base64_uuid(entropy: bytes) -> str:
    """An id for a document of ours from 16 random bytes (a UUID of version 4, base64). Raises ValueError for another length."""
    if len(entropy) != 16:
        raise ValueError("an id needs 16 random bytes")
    raw = bytearray(entropy)
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return base64.b64encode(bytes(raw)).decode("ascii")
