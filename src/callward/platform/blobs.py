"""The blob store: sealed, encrypted objects under opaque keys, in a folder or in S3. Blocking: call it from a thread."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from callward.platform.settings import Settings

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9_-]{0,63}){0,3}")


class BlobStoreError(Exception):
    """The store could not do it now; trying again later may help."""


class BlobNotFoundError(BlobStoreError):
    """There is no object with this key."""


class BlobChecksumError(BlobStoreError):
    """What the store holds is not what was given to it."""


class BlobKeyError(ValueError):
    """The key could be a path or a command; only letters, digits, `-`, `_` and at most three `/` may be in it."""


class BlobStore(Protocol):
    """Objects by key. An object is replaced as a whole or not at all."""

    def put(self, key: str, source: Path | bytes, sha256: str) -> None:
        """Store an object and make sure that it is there with this SHA-256 (hex) when this returns.

        Raises BlobChecksumError (also when `source` itself does not have the checksum), BlobStoreError.
        """
        ...

    def size(self, key: str) -> int:
        """Bytes of an object. Raises BlobNotFoundError, BlobStoreError."""
        ...

    def read(self, key: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`; fewer at the end. Raises BlobNotFoundError, BlobStoreError."""
        ...

    def exists(self, key: str) -> bool:
        """Say whether there is an object. Raises BlobStoreError."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none. Raises BlobStoreError."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with `prefix`, in order. Raises BlobStoreError."""
        ...


def check_key(key: str) -> str:
    """Return the key; raises BlobKeyError for one that is not opaque."""
    if not _KEY.fullmatch(key):
        raise BlobKeyError(f"{key!r} is no blob key")
    return key


def open_blob_store(settings: Settings) -> BlobStore:
    """The store that the settings name."""
    blobs = settings.blobs
    if blobs.kind == "s3":
        from callward.platform.blobs_s3 import S3Store  # boto3 takes a second to import

        return S3Store(
            bucket=blobs.s3_bucket or "",
            endpoint_url=blobs.s3_endpoint_url,
            region=blobs.s3_region,
            access_key=blobs.s3_access_key.get_secret_value() if blobs.s3_access_key else None,
            secret_key=blobs.s3_secret_key.get_secret_value() if blobs.s3_secret_key else None,
            prefix=blobs.s3_prefix,
        )
    from callward.platform.blobs_folder import FolderStore

    return FolderStore(blobs.folder or settings.data / "blobs")
