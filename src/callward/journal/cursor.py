"""How far a consumer has come: one small file `consumers/<name>` per consumer, replaced atomically and synced.

The writer removes a segment only when every consumer's cursor has passed it (`EventJournal.release`).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from callward.journal import segment
from callward.journal.errors import JournalError

FOLDER = "consumers"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class CursorState:
    """The offset that a consumer wants next, and of which journal."""

    journal_id: str
    offset: int


class Cursor:
    """A consumer's place in the journal below `folder`. Names: lower-case letters, digits, `_`, `-`."""

    def __init__(self, folder: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise JournalError(f"{name!r} is no name for a journal's consumer")
        self.path = folder / FOLDER / name

    def load(self) -> CursorState | None:
        """The stored state;

        None when there is none yet or it cannot be read (the consumer then begins at the start).
        """
        try:
            value = json.loads(self.path.read_bytes()[:1000])
            return CursorState(journal_id=str(value["journal"]), offset=int(value["offset"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def store(self, journal_id: str, offset: int) -> None:
        """Remember durably that everything before `offset` has been consumed.

        Raises OSError (e.g. disk full): try again later.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            file.write(json.dumps({"journal": journal_id, "offset": offset}).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        segment.sync_folder(self.path.parent)


def consumers(folder: Path) -> dict[str, CursorState]:
    """All cursors of a journal by their consumer's name."""
    found = {}
    try:
        names = sorted(path.name for path in (folder / FOLDER).iterdir())
    except FileNotFoundError:
        return {}
    for name in names:
        if _NAME.fullmatch(name) and (state := Cursor(folder, name).load()) is not None:
            found[name] = state
    return found
