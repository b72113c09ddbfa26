"""Encryption of stored objects (docs/reference/archive-encryption.md).

A recording has a random data key. Each object is encrypted with a key derived from it, in chunks of 64 KiB under AES-256-GCM; recording,
kind, chunk number and whether it is the last chunk are authenticated, so that no chunk can be changed, moved, cut off or taken from
another object. The data key is wrapped to the X25519 public key of the organisation: who seals cannot decrypt what is sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"CWBLOB01"
HEADER_BYTES = 16
"""Magic, u32 chunk size, u32 zero."""
CHUNK_BYTES = 64 << 10
TAG_BYTES = 16
KEY_BYTES = 32
_WRAP_INFO = b"callward archive data key v1"
_OBJECT_INFO = b"callward archive object v1:"


class EncryptionError(Exception):
    """The object or its key was changed, belongs to another recording, or was wrapped to another key."""


@dataclass(frozen=True, slots=True)
class EncryptedFile:
    """What became of a plain file: sizes and digests of both sides."""

    size_bytes: int
    sha256: str
    stored_bytes: int
    stored_sha256: str


def new_data_key() -> bytes:
    """A random data key."""
    return os.urandom(KEY_BYTES)


def key_id(public_key: bytes) -> str:
    """Short name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def wrap(data_key: bytes, recording: str, public_key: bytes, *, ephemeral: X25519PrivateKey | None = None) -> str:
    """Seal the data key to a public key (32 bytes). The text holds key id, ephemeral public key and sealed key."""
    one_time = ephemeral or X25519PrivateKey.generate()
    own = one_time.public_key().public_bytes_raw()
    shared = one_time.exchange(X25519PublicKey.from_public_bytes(public_key))
    sealed = AESGCM(_wrapping_key(shared, own, public_key)).encrypt(bytes(12), data_key, recording.encode())
    return f"v1.{key_id(public_key)}.{_text(own)}.{_text(sealed)}"


def wrapped_to(wrapped: str) -> str:
    """Id of the key that a data key is wrapped to. Raises EncryptionError."""
    parts = wrapped.split(".")
    if len(parts) != 4 or parts[0] != "v1":
        raise EncryptionError("the wrapped data key is in no known format")
    return parts[1]


def unwrap(wrapped: str, recording: str, private_key: bytes) -> bytes:
    """Open a wrapped data key. Raises EncryptionError."""
    wrapped_to(wrapped)
    own = X25519PrivateKey.from_private_bytes(private_key)
    public = own.public_key().public_bytes_raw()
    try:
        sender, sealed = (base64.urlsafe_b64decode(part + "==") for part in wrapped.split(".")[2:])
        shared = own.exchange(X25519PublicKey.from_public_bytes(sender))
        return AESGCM(_wrapping_key(shared, sender, public)).decrypt(bytes(12), sealed, recording.encode())
    except (InvalidTag, ValueError, binascii.Error):
        raise EncryptionError("the data key cannot be opened with this private key") from None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _wrapping_key(shared: bytes, sender: bytes, recipient: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, sender + recipient, _WRAP_INFO).derive(shared)


def _object_cipher(data_key: bytes, name: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, None, _OBJECT_INFO + name.encode()).derive(data_key))


def _associated(recording: str, name: str, number: int, last: bool) -> bytes:
    return f"{recording}/{name}/".encode() + struct.pack("<QB", number, last)


def encrypt_file(source: Path, target: Path, data_key: bytes, recording: str, name: str) -> EncryptedFile:
    """Encrypt a file; `name` is the object's name in the recording, e.g. `master`. Target is synced to disk."""
    cipher = _object_cipher(data_key, name)
    plain, stored = hashlib.sha256(), hashlib.sha256()
    size = written = 0
    with source.open("rb") as reader, target.open("wb") as writer:

        def write(data: bytes) -> None:
            nonlocal written
            writer.write(data)
            stored.update(data)
            written += len(data)

        write(MAGIC + struct.pack("<II", CHUNK_BYTES, 0))
        chunk, number = reader.read(CHUNK_BYTES), 0
        while True:
            following = reader.read(CHUNK_BYTES) if len(chunk) == CHUNK_BYTES else b""
            plain.update(chunk)
            size += len(chunk)
            last = not following
            nonce = struct.pack("<IQ", 0, number)
            write(cipher.encrypt(nonce, chunk, _associated(recording, name, number, last)))
            if last:
                break
            chunk, number = following, number + 1
        writer.flush()
        os.fsync(writer.fileno())
    return EncryptedFile(size, plain.hexdigest(), written, stored.hexdigest())


class EncryptedReader:
    """Reads any part of an encrypted object; `read(position, length)` gives stored bytes. Raises EncryptionError."""

    def __init__(
        self, read: Callable[[int, int], bytes], size_bytes: int, data_key: bytes, recording: str, name: str
    ) -> None:
        self._read = read
        self._cipher = _object_cipher(data_key, name)
        self._recording, self._name = recording, name
        self.size_bytes = size_bytes
        self._chunks = max(1, -(-size_bytes // CHUNK_BYTES))
        header = read(0, HEADER_BYTES)
        if header != MAGIC + struct.pack("<II", CHUNK_BYTES, 0):
            raise EncryptionError("the object is not in the archive's format")

    def read(self, start: int, length: int) -> bytes:
        """Plain bytes; fewer at the end of the object."""
        end = min(start + max(length, 0), self.size_bytes)
        if start >= end:
            return b""
        first, last = start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        plain = b"".join(self._chunk_run(first, last))
        return plain[start - first * CHUNK_BYTES :][: end - start]

    def chunks(self, start: int, end: int, run_chunks: int = 4) -> Iterator[bytes]:
        """Plain bytes from `start` up to `end`, in pieces of at most `run_chunks` chunks."""
        step = CHUNK_BYTES * run_chunks
        while start < end:
            upto = min(end, (start // step + 1) * step)
            yield self.read(start, upto - start)
            start = upto

    def _chunk_run(self, first: int, last: int) -> Iterator[bytes]:
        whole = CHUNK_BYTES + TAG_BYTES
        stored = self._read(HEADER_BYTES + first * whole, (last - first + 1) * whole)
        for number in range(first, last + 1):
            is_last = number == self._chunks - 1
            size = (self.size_bytes - number * CHUNK_BYTES if is_last else CHUNK_BYTES) + TAG_BYTES
            piece = stored[(number - first) * whole :][:size]
            try:
                yield self._cipher.decrypt(
                    struct.pack("<IQ", 0, number), piece, _associated(self._recording, self._name, number, is_last)
                )
            except (InvalidTag, ValueError):
                raise EncryptionError(f"chunk {number} of {self._recording} was changed or cut off") from None
