"""Who asks: the one value that every endpoint receives and every decision takes."""

from __future__ import annotations

from dataclasses import dataclass

from callward.platform.database import Scope


@dataclass(frozen=True, slots=True)
class Subject:
    """A signed-in person, in one sign-in session, from one address."""

    person_id: str
    organisation_id: str | None
    """None: the person belongs to the provider (the installation itself)."""
    user_name: str
    display_name: str
    profiles: frozenset[str]
    """Names of `decision.PROFILES`; they combine."""
    session_id: str
    address: str
    """Address that the request came from; for the audit."""
    must_change_password: bool = False

    @property
    def scope(self) -> Scope:
        """What the database shows to this person, whatever a query asks for (row-level security)."""
        if self.organisation_id is None:
            return Scope.provider()
        return Scope.organisation(self.organisation_id)
