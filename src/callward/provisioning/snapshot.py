"""The numbered, signed snapshot of settings that the call path runs on, kept on disk so that it never waits for the
database.

`provisioning` writes it, `recorder` reads it. The file is canonical JSON with an HMAC-SHA256 over everything but the
`signature` itself, keyed with the
host's snapshot key: whoever cannot read that key cannot make the recorder believe other peers.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

FILE = "current.json"
KEY_FILE = "snapshot.key"
MAX_BYTES = 256 * 1024 * 1024
_KEY_BYTES = 32


class SnapshotError(Exception):
    """A snapshot cannot be read or written; the sentence says why."""


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


Network = Annotated[str, AfterValidator(_network)]
Ulid = Annotated[str, Field(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
Name = Annotated[str, Field(max_length=255)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Peer(_Part):
    """A recording client on the allow-list.

    With `certificates` it must show one of them (TLS); then `addresses` only narrow it further.
    """

    id: Annotated[str, Field(max_length=64)]
    name: Name
    organisation: Ulid | None = None
    """Whose calls these are; None for a carrier (then the metadata selects) or for the provider only."""
    addresses: tuple[Network, ...] = ()
    certificates: tuple[Annotated[str, Field(max_length=255)], ...] = ()
    """Subject alternative names, or SHA-256 fingerprints in hex (colons allowed)."""
    dialect: Annotated[str, Field(max_length=40)] = "auto"
    carrier: bool = False
    """Calls of several organisations: the metadata's group id, else the recorded number, selects the organisation."""


class Organisation(_Part):
    """What selects an organisation for a carrier's calls."""

    id: Ulid
    name: Name = ""
    group_ids: tuple[Name, ...] = ()
    numbers: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    """E.164 with a leading +."""


class Snapshot(_Part):
    """Everything that the recorder must know. `number` only grows."""

    number: Annotated[int, Field(ge=0)] = 0
    peers: tuple[Peer, ...] = ()
    organisations: tuple[Organisation, ...] = ()


DEFAULT = Snapshot(
    number=0,
    peers=(Peer(id="loopback", name="loopback", addresses=("127.0.0.0/8", "::1/128")),),
)
"""Used while there is no file: loopback may record, and the calls are the provider's."""


def host_key(keys: Path) -> bytes:
    """The host's snapshot key in the folder `keys`; made (mode 0600) when absent."""
    path = keys / KEY_FILE
    try:
        return _checked_key(path)
    except FileNotFoundError:
        pass
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = keys / f".{KEY_FILE}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link never replaces what another process made in the same moment.
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(keys)
    return _checked_key(path)


def write_snapshot(folder: Path, snapshot: Snapshot, key: bytes) -> Path:
    """Sign the snapshot and put it in place atomically and durably."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    values = snapshot.model_dump(mode="json")
    values["signature"] = _signature(values, key)
    path = folder / FILE
    temporary = folder / f".{FILE}.{secrets.token_hex(8)}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(folder)
    return path


def read_snapshot(folder: Path, key: bytes) -> Snapshot | None:
    """The snapshot in force; None when none was ever written.

    Raises:
        SnapshotError: it is damaged, of another form, or not signed with this host's key. Go on with the one in memory.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SnapshotError(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        raise SnapshotError(f"{path} is no JSON") from None
    if not isinstance(values, dict):
        raise SnapshotError(f"{path} is no JSON object")
    signature = values.pop("signature", None)
    if not isinstance(signature, str) or not hmac.compare_digest(signature, _signature(values, key)):
        raise SnapshotError(f"{path} is not signed with this host's key: publish the settings again from the portal")
    try:
        return Snapshot.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise SnapshotError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _signature(values: dict[str, Any], key: bytes) -> str:
    canonical = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _checked_key(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise SnapshotError(f"{path} is damaged: remove it and publish the settings again from the portal")
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
