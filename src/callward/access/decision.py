"""The one place that decides who may do what.

Theory: a profile is a named set of actions. A subject may do an action on an object when one of its profiles holds the
action and the object lies within the subject's reach: a person of an organisation reaches the objects of that organisation,
a person of the provider reaches objects without an organisation and, on an embedded installation, those of its
organisations. Row-level security holds the same line a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from callward.access.subject import Subject


class Action(StrEnum):
    """Everything that needs a permission. The names are stable: they stand in the audit."""

    CONVERSATION_LIST = "conversation.list"
    CONVERSATION_VIEW = "conversation.view"
    CONVERSATION_PLAY = "conversation.play"
    CONVERSATION_DOWNLOAD = "conversation.download"
    CONVERSATION_METADATA = "conversation.metadata"
    """Read the metadata as the peer sent it."""
    SYSTEM_VIEW = "system.view"
    """See the state of the recorder, events and alarms."""


PROFILES: dict[str, frozenset[Action]] = {
    "administrator": frozenset({Action.CONVERSATION_LIST, Action.CONVERSATION_VIEW, Action.SYSTEM_VIEW}),
    "recording_administrator": frozenset(
        {
            Action.CONVERSATION_LIST,
            Action.CONVERSATION_VIEW,
            Action.CONVERSATION_PLAY,
            Action.CONVERSATION_DOWNLOAD,
            Action.CONVERSATION_METADATA,
        }
    ),
}
"""Built-in profiles. The first account of an embedded installation holds both."""


PROVIDER_ONLY = frozenset({Action.SYSTEM_VIEW})
"""Never within the reach of an organisation's people: the installation is not theirs."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object of another room. `id` is empty for a kind as a whole (a list, the system)."""

    kind: str
    id: str = ""
    organisation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, with the reason as a sentence for the person who asked."""

    allowed: bool
    reason: str


def can(subject: Subject, action: Action, target: ObjectRef) -> Decision:
    """Decide whether `subject` may do `action` on `target`."""
    if subject.must_change_password:
        return Decision(False, "Choose a new password first.")
    if not any(action in PROFILES.get(profile, frozenset()) for profile in subject.profiles):
        return Decision(False, f"Your profile does not include the right {action.value}. Ask an administrator for it.")
    if subject.organisation_id is not None and action in PROVIDER_ONLY:
        return Decision(False, "Only people of the provider may see this.")
    if subject.organisation_id is not None and target.id and target.organisation_id != subject.organisation_id:
        return Decision(False, "This belongs to another organisation.")
    return Decision(True, f"Granted by profile: {', '.join(sorted(subject.profiles))}.")


def actions_of(subject: Subject) -> list[Action]:
    """Every action that the subject's profiles hold, so that a page shows no dead buttons."""
    found = {action for profile in subject.profiles for action in PROFILES.get(profile, frozenset())}
    return sorted(found if subject.organisation_id is None else found - PROVIDER_ONLY)
