"""Comfort noise for silence that the sender did not transmit (RFC 3389, G.729 Annex B): quiet, and the same on each run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

QUIETEST_DBOV = -78
LOUDEST_DBOV = -55
"""Below what counts as sound: noise that we made must never look like a party that speaks."""


def noise_level(payload: bytes) -> int:
    """Level in dBov. RFC 3389: the first byte is its negative; a 2-byte G.729 SID holds a gain index in 5 bits."""
    if not payload:
        return QUIETEST_DBOV
    if len(payload) % 10 == 2 and len(payload) < 12:
        gain = payload[1] >> 1 & 31
        level = -66 + gain * 2
    else:
        level = -(payload[0] & 127)
    return max(QUIETEST_DBOV, min(LOUDEST_DBOV, level))


def comfort_noise(count: int, level_dbov: int, seed: int) -> npt.NDArray[np.int16]:
    """White noise of a level."""
    noise = np.random.default_rng(seed).standard_normal(count) * 32768 * 10 ** (level_dbov / 20)
    return np.clip(np.rint(noise), -32768, 32767).astype(np.int16)
