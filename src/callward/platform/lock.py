"""One Callward for each data folder: a lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "lock"


class AlreadyRunningError(Exception):
    """Callward already runs on this data folder: stop it first, or choose another with CALLWARD_DATA."""


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder's lock.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    with (data / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(
                f"Callward already runs on {data}: stop it first, or choose another folder with CALLWARD_DATA"
            ) from None
        yield


def runs_here(data: Path) -> bool:
    """Say whether Callward runs on this data folder now."""
    try:
        with (data / LOCK_FILE).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
