"""G.711 by table: 8 bits to 16 bits linear, for whole recordings at once (ITU-T G.711)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]


def _mu_law() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code & 0x70) >> 4
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, mantissa + 0x108 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


MU_LAW: Samples = _mu_law()
A_LAW: Samples = _a_law()
TABLES: dict[str, Samples] = {"PCMU": MU_LAW, "PCMA": A_LAW}


def _inverse(table: Samples) -> Codes:
    """For each 16-bit value the code whose value is nearest."""
    order = np.argsort(table, kind="stable")
    values = table[order].astype(np.int32)
    borders = (values[1:] + values[:-1]) // 2
    return order[np.searchsorted(borders, np.arange(-32768, 32768), side="left")].astype(np.uint8)


def encode(samples: Samples, codec: str) -> Codes:
    """Linear samples to G.711 codes (`PCMU` or `PCMA`): for test signals and the demo."""
    return _inverse(TABLES[codec])[samples.astype(np.int32) + 32768]
