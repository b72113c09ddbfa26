"""Which metadata is stored (RFC 7865 section 10: only what policy requires; S41).

A policy names elements or attributes; what it drops or masks is gone before anything is stored, in the model and in the raw document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from callward.siprec.observation import Observation

MASK = "***"


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """Names are compared without case, prefix, `-` and `_`: `name`, `participant/nameID`, `apkt:ucid`, `nameID/@aor`.

    A name with `/` matches the end of the path from the root. Ids that tie the document together cannot be dropped.
    """

    drop: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()

    @classmethod
    def of(cls, drop: Iterable[str] = (), mask: Iterable[str] = ()) -> StoragePolicy:
        return cls(tuple(drop), tuple(mask))


STORE_ALL = StoragePolicy()


def apply_policy(observation: Observation, policy: StoragePolicy) -> Observation:
    """The observation without what may not be stored."""
    raise NotImplementedError
