"""Finding the media program and writing its configuration."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from callward.platform.paths import DataPaths
from callward.platform.settings import Settings

MEDIA_BINARY = "CALLWARD_MEDIA_BINARY"


class MediaProgramError(Exception):
    """callward-media is not beside this Python: run `make build` (or set CALLWARD_MEDIA_BINARY)."""


def media_program() -> Path:
    """The path of `callward-media`: named by the environment, else beside this Python.

    Raises:
        MediaProgramError: there is none.
    """
    named = os.environ.get(MEDIA_BINARY)
    found = Path(named) if named else Path(sys.executable).with_name("callward-media")
    if not os.access(found, os.X_OK):
        raise MediaProgramError(f"{found}: {MediaProgramError.__doc__}")
    return found


def write_configuration(settings: Settings) -> Path:
    """Write the configuration that `callward-media serve` reads (docs/reference/media-protocol.md); returns its path."""
    paths = DataPaths(settings.data)
    paths.create()
    media = settings.media
    configuration = {
        "runtime_dir": str(paths.runtime),
        "journal_dir": str(paths.journal_audio),
        "keys_dir": str(paths.journal_keys),
        "addresses": [media.address or settings.recorder.host],
        "port_min": media.port_min,
        "port_max": media.port_max,
        "sync_interval_ms": media.sync_interval_ms,
        "segment_bytes": media.segment_bytes,
        "journal_max_bytes": media.journal_max_bytes,
        "disk_reserve_bytes": media.disk_reserve_bytes,
        "cpu": media.cpu,
        "receive": media.receive,
    }
    path = paths.runtime / "media.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(configuration, indent=1), encoding="utf-8")
    fresh.rename(path)
    return path
