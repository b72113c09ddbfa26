"""What a power loss leaves: writes that were not synced are undone, torn or mixed with garbage.

The fault build notes in `CALLWARD_POWER_LOG` each write with what stood there before, each sync, failed sync and rename (the format is
told in rust/journal/src/disk.rs).
"""

from __future__ import annotations

import contextlib
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

PAGE = 4096


@dataclass(frozen=True, slots=True)
class Write:
    """A write, and what it replaced (shorter at the end of a file)."""

    offset: int
    length: int
    old: bytes


@dataclass(slots=True)
class Unsynced:
    """Of one file: writes that may be lost, and those that a failed sync has lost for certain."""

    writes: list[Write] = field(default_factory=list)
    doomed: list[Write] = field(default_factory=list)


def lose_power(log: Path, random: Random) -> None:
    """Undo, tear and garble what was not synced; also the renames whose folder was not."""
    files, renames = _read(log.read_bytes())
    for path, unsynced in files.items():
        if path.exists():
            with path.open("r+b") as file:
                for write in reversed(unsynced.writes):
                    kept, garbage = _fate(path, write, random)
                    file.seek(write.offset + kept)
                    file.write(garbage + _old(write, kept + len(garbage)))
                for write in reversed(unsynced.doomed):
                    file.seek(write.offset)
                    file.write(_old(write, 0))
    for old, new in reversed(renames[len(renames) - random.randrange(len(renames) + 1) :]):
        if new.exists() and not old.exists():
            new.rename(old)
    log.unlink()


def drop_failed(log: Path) -> None:
    """What a failed sync leaves although the machine goes on: the kernel dropped the pages."""
    files, _ = _read(log.read_bytes())
    for path, unsynced in files.items():
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            for write in reversed(unsynced.doomed):
                file.seek(write.offset)
                file.write(_old(write, 0))
    log.unlink()


def _fate(path: Path, write: Write, random: Random) -> tuple[int, bytes]:
    """How many bytes of a write came through, and the garbage behind them."""
    choice = random.randrange(4)
    if path.name == "ring":  # a slot lies inside one sector: it is old or new
        return (write.length if choice < 2 else 0), b""
    if choice == 0:
        return write.length, b""
    kept = random.randrange(write.length + 1) if choice < 3 else random.randrange(write.length + 1) // PAGE * PAGE
    return kept, random.randbytes(min(random.randrange(PAGE), write.length - kept)) if choice == 1 else b""


def _old(write: Write, begin: int) -> bytes:
    return (write.old + bytes(write.length - len(write.old)))[begin:]


def _read(data: bytes) -> tuple[dict[Path, Unsynced], list[tuple[Path, Path]]]:
    """What is not synced at the end of the log. The last entry may be cut by the kill."""
    files: dict[Path, Unsynced] = defaultdict(Unsynced)
    renames: list[tuple[Path, Path]] = []
    at = 0

    def text() -> Path:
        nonlocal at
        (length,) = struct.unpack_from("<H", data, at)
        if at + 2 + length > len(data):
            raise EOFError
        at += 2 + length
        return Path(data[at - length : at].decode())

    with contextlib.suppress(struct.error, EOFError):
        while at < len(data):
            letter = data[at : at + 1]
            at += 1
            path = text()
            if letter == b"W":
                offset, length, have = struct.unpack_from("<QLL", data, at)
                if at + 16 + have > len(data):
                    raise EOFError
                at += 16 + have
                files[path].writes.append(Write(offset, length, data[at - have : at]))
            elif letter == b"S":
                files[path].writes.clear()
            elif letter == b"E":
                files[path].doomed += files[path].writes
                files[path].writes = []
            elif letter == b"D":
                renames = [one for one in renames if one[0].parent != path]
            else:
                new = text()
                if path in files:
                    files[new] = files.pop(path)
                renames.append((path, new))
    return files, renames
