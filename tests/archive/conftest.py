"""Codec workers are started once for all tests of the archive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from callward.media.codec_process import CodecPool


@pytest.fixture(scope="session")
def codecs() -> Iterator[CodecPool]:
    pool = CodecPool(2)
    yield pool
    pool.close()
