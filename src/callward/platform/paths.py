"""Where things lie: the data folder and the short runtime folder for sockets."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_MAX_BYTES = 107
"""Longest path of a unix socket on Linux (sun_path without its final NUL)."""


class RuntimeFolderError(Exception):
    """The runtime folder exists, but somebody else could put sockets into it."""


@dataclass(frozen=True, slots=True)
class DataPaths:
    """The folders below the data folder (`CALLWARD_DATA`, default `./var`)."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def journal_audio(self) -> Path:
        return self.root / "journal" / "audio"

    @property
    def journal_keys(self) -> Path:
        return self.root / "journal" / "keys"

    @property
    def journal_recorder(self) -> Path:
        return self.root / "journal" / "recorder"

    @property
    def journal_seal(self) -> Path:
        return self.root / "journal" / "seal"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshot"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def first_sign_in(self) -> Path:
        return self.root / "first-sign-in"

    @property
    def runtime(self) -> Path:
        """Folder of the sockets of this data folder, mode 0700 and short; made when absent."""
        return _runtime_folder(self.root)

    @property
    def media_socket(self) -> Path:
        return self.runtime / "media.sock"

    def create(self) -> None:
        """Make the folders (mode 0700: nobody else reads recordings or keys)."""
        for folder in (
            self.root,
            self.blobs,
            self.journal_audio.parent,
            self.journal_audio,
            self.journal_keys,
            self.journal_recorder,
            self.journal_seal,
            self.keys,
            self.snapshot,
            self.log,
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711 if folder == self.root else 0o700)


def _runtime_folder(root: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = Path(base) if base and os.access(base, os.W_OK) and len(base) < 60 else Path("/tmp")  # noqa: S108
    folder = parent / f"callward-{os.getuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise RuntimeFolderError(
                f"{folder} belongs to somebody else or can be written by others: remove it and start again"
            ) from None
    return folder
