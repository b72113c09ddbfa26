"""Stored recordings: sealed, encrypted, listed, played."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callward.archive.service import Archive
    from callward.platform.settings import Settings


def open_archive(settings: Settings) -> Archive:
    """The archive that the settings name, for the portal."""
    from callward.archive.keys import ArchiveKeys
    from callward.archive.stored import TRANSCODES_MAX, StoredArchive
    from callward.media.codec_process import CodecPool
    from callward.platform.blobs import open_blob_store
    from callward.platform.paths import DataPaths

    keys = ArchiveKeys(DataPaths(settings.data).keys / "archive")
    return StoredArchive(open_blob_store(settings), keys, CodecPool(TRANSCODES_MAX))
