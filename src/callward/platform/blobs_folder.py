"""Blobs in a folder: temporary file, fsync, rename, fsync of the folder; two levels of fan-out by the key's hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from callward.platform.blobs import BlobChecksumError, BlobNotFoundError, BlobStoreError, check_key

_COPY_BYTES = 1 << 20


class FolderStore:
    """Objects below a folder of a local or network file system. See `BlobStore`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, key: str, source: Path | bytes, sha256: str) -> None:
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._make(path.parent)
            with temporary.open("xb") as file:
                if isinstance(source, bytes):
                    file.write(source)
                else:
                    with source.open("rb") as original:
                        shutil.copyfileobj(original, file, _COPY_BYTES)
                file.flush()
                os.fsync(file.fileno())
            with temporary.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise BlobChecksumError(f"{key} has the checksum {found}, not {sha256}")
            temporary.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise BlobStoreError(f"{key} cannot be written to {self.folder}: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def size(self, key: str) -> int:
        with _reading(key):
            return self._path(key).stat().st_size

    def read(self, key: str, start: int, length: int) -> bytes:
        with _reading(key), self._path(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync(path.parent)
        except OSError as error:
            raise BlobStoreError(f"{key} cannot be removed: {error.strerror or error}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        found = []
        for path in self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            key = path.name.replace(".", "/")
            if not path.name.startswith(".") and key.startswith(prefix):
                found.append(key)
        yield from sorted(found)

    def _path(self, key: str) -> Path:
        name = check_key(key).replace("/", ".")
        fan = hashlib.sha256(key.split("/")[0].encode()).hexdigest()
        return self.folder / fan[:2] / fan[2:4] / name

    def _make(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            _sync(path.parent)


@contextlib.contextmanager
def _reading(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BlobNotFoundError(f"there is no object {key}") from None
    except OSError as error:
        raise BlobStoreError(f"{key} cannot be read: {error.strerror or error}") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
