"""Encryption of stored objects: what was changed is refused; the documented test vector."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callward.archive import encryption
from callward.archive.encryption import CHUNK_BYTES, EncryptedReader, EncryptionError, encrypt_file, unwrap, wrap
from callward.archive.keys import ArchiveKeys, KeyMissingError

RECORDING = "01KR0000000000000000000001"
KEY = bytes(range(32))


def encrypted(folder: Path, data: bytes, name: str = "master") -> tuple[bytes, encryption.EncryptedFile]:
    source, target = folder / "plain", folder / "stored"
    source.write_bytes(data)
    done = encrypt_file(source, target, KEY, RECORDING, name)
    return target.read_bytes(), done


def reader(
    stored: bytes, size: int, *, key: bytes = KEY, recording: str = RECORDING, name: str = "master"
) -> EncryptedReader:
    return EncryptedReader(lambda start, length: stored[start : start + length], size, key, recording, name)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5])
def test_any_size_comes_back(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    stored, done = encrypted(tmp_path, data)
    assert done.size_bytes == size and done.stored_bytes == len(stored)
    found = reader(stored, size)
    assert found.read(0, size) == data and b"".join(found.chunks(0, size, 2)) == data


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, 3 * CHUNK_BYTES), length=st.integers(0, 2 * CHUNK_BYTES))
def test_any_range_comes_back(tmp_path: Path, start: int, length: int) -> None:
    data = bytes(i % 251 for i in range(2 * CHUNK_BYTES + 777))
    stored, _ = encrypted(tmp_path, data)
    assert reader(stored, len(data)).read(start, length) == data[start : start + length]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 0.99999), bit=st.integers(0, 7))
def test_any_changed_bit_is_found(tmp_path: Path, place: float, bit: int) -> None:
    data = os.urandom(CHUNK_BYTES + 100)
    stored, _ = encrypted(tmp_path, data)
    changed = bytearray(stored)
    changed[int(place * len(stored))] ^= 1 << bit
    with pytest.raises(EncryptionError):
        reader(bytes(changed), len(data)).read(0, len(data))


def test_chunks_cannot_be_moved_cut_off_or_taken_from_elsewhere(tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK_BYTES)
    stored, _ = encrypted(tmp_path, data)
    whole = CHUNK_BYTES + 16
    swapped = stored[:16] + stored[16 + whole :] + stored[16 : 16 + whole]
    for bad, size in ((swapped, len(data)), (stored[: 16 + whole], CHUNK_BYTES), (stored[:-1], len(data))):
        with pytest.raises(EncryptionError):
            reader(bad, size).read(0, size)
    for change in ({"key": bytes(32)}, {"recording": "01KR0000000000000000000002"}, {"name": "peaks"}):
        with pytest.raises(EncryptionError):
            reader(stored, len(data), **change).read(0, 10)  # type: ignore[arg-type]


def test_data_key_opens_for_its_recording_and_private_key_only() -> None:
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    wrapped = wrap(KEY, RECORDING, public)
    assert unwrap(wrapped, RECORDING, private.private_bytes_raw()) == KEY
    with pytest.raises(EncryptionError):
        unwrap(wrapped, "01KR0000000000000000000002", private.private_bytes_raw())
    with pytest.raises(EncryptionError):
        unwrap(wrapped, RECORDING, X25519PrivateKey.generate().private_bytes_raw())


@given(st.text(max_size=200))
def test_hostile_wrapped_keys_are_refused(text: str) -> None:
    with pytest.raises(EncryptionError):
        unwrap(text, RECORDING, bytes(range(32)))


def test_the_documented_vector(tmp_path: Path) -> None:
    """docs/reference/archive-encryption.md: someone else must be able to write another reader."""
    stored, done = encrypted(tmp_path, b"hello, archive")
    text = (Path(__file__).parents[2] / "docs/reference/archive-encryption.md").read_text()
    assert stored.hex() in text.replace("\n", "").replace(" ", "") and done.stored_sha256 in text
    private = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    ephemeral = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
    wrapped = wrap(KEY, RECORDING, private.public_key().public_bytes_raw(), ephemeral=ephemeral)
    assert wrapped in text.replace("\n", "")


def test_key_pairs_are_made_once_and_the_private_one_is_private(tmp_path: Path) -> None:
    keys = ArchiveKeys(tmp_path / "archive")
    public = keys.public_key(None)
    assert ArchiveKeys(tmp_path / "archive").public_key(None) == public
    own = keys.public_key("01KXXXXXXXXXXXXXXXXXXXXXXX")
    assert own != public and keys.public_key("../../etc") == public
    for path in (tmp_path / "archive" / "private").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.open(wrap(KEY, RECORDING, own), RECORDING) == KEY


def test_a_missing_private_key_is_named(tmp_path: Path) -> None:
    keys = ArchiveKeys(tmp_path / "archive")
    wrapped = wrap(KEY, RECORDING, X25519PrivateKey.generate().public_key().public_bytes_raw())
    with pytest.raises(KeyMissingError, match=encryption.wrapped_to(wrapped)):
        keys.open(wrapped, RECORDING)


def test_every_folder_above_a_new_key_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    keys = tmp_path / "keys"
    ArchiveKeys(keys / "archive").public_key(None)
    assert {str(folder) for folder in (tmp_path, keys, keys / "archive", keys / "archive" / "private")} <= synced
    assert (keys / "archive" / "private").stat().st_mode & 0o777 == 0o700
