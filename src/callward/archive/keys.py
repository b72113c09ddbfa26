"""Key pairs of the archive below `<data>/keys/archive`: one for each organisation and one for the provider.

`<owner>.pub` is the key that sealing wraps to; `private/<key id>.key` opens it and is read by the portal only. On a host of its own
the sealer has no `private` folder: its operator copies the `.pub` files there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from callward.archive.encryption import EncryptionError, key_id, unwrap, wrapped_to
from callward.platform.ids import is_ulid

PROVIDER = "provider"


class KeyMissingError(EncryptionError):
    """The key is not on this host; the message says which one and where it belongs."""


class ArchiveKeys:
    """The archive's key pairs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def public_key(self, organisation: str | None) -> bytes:
        """The public key to wrap to; made together with its private key when there is none yet. Raises OSError."""
        owner = organisation if organisation is not None and is_ulid(organisation) else PROVIDER
        path = self.folder / f"{owner}.pub"
        with contextlib.suppress(FileNotFoundError):
            return bytes.fromhex(path.read_text().strip())
        pair = X25519PrivateKey.generate()
        public = pair.public_key().public_bytes_raw()
        private = self.folder / "private"
        _make_folder(private)
        # The private key is on the disk before anything can be wrapped to its public key.
        _write_new(private / f"{key_id(public)}.key", pair.private_bytes_raw().hex(), 0o600)
        with contextlib.suppress(FileExistsError):  # another process was faster: its pair counts
            _write_new(path, public.hex(), 0o644)
        return bytes.fromhex(path.read_text().strip())

    def open(self, wrapped: str, recording: str) -> bytes:
        """The data key of a recording. Raises KeyMissingError, EncryptionError."""
        name = wrapped_to(wrapped)
        if not name.isalnum():
            raise EncryptionError("the wrapped data key names no key")
        path = self.folder / "private" / f"{name}.key"
        try:
            private = bytes.fromhex(path.read_text().strip())
        except (OSError, ValueError):
            raise KeyMissingError(f"the private key {name} is missing: put {name}.key into {path.parent}") from None
        return unwrap(wrapped, recording, private)


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a synced file that must not be there yet, whole or not at all. Raises FileExistsError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def _make_folder(private: Path) -> None:
    """Make `<data>/keys/archive/private` (mode 0700) and put it, and the folders above up to `<data>`, safely on the disk.

    The upper ones may have been made by another process that did not sync them.
    """
    for folder in (private.parent.parent, private.parent, private):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
