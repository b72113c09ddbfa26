"""The one place that decides."""

from __future__ import annotations

import dataclasses

import pytest

from callward.access.decision import PROFILES, PROVIDER_ONLY, Action, ObjectRef, actions_of, can
from callward.access.subject import Subject

A, B = "01J00000000000000000000000", "01J00000000000000000000001"
FIRST = Subject(
    person_id="01J00000000000000000000002",
    organisation_id=None,
    user_name="admin.admin",
    display_name="First administrator",
    profiles=frozenset({"administrator", "recording_administrator"}),
    session_id="01J00000000000000000000003",
    address="192.0.2.1",
)


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("organisation", [None, A])
def test_the_first_administrator_may_do_everything_also_with_calls_of_no_organisation(
    action: Action, organisation: str | None
) -> None:
    assert can(FIRST, action, ObjectRef("conversation", "x", organisation)).allowed


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("organisation", [None, B])
def test_32_nobody_of_an_organisation_reaches_outside_it(action: Action, organisation: str | None) -> None:
    subject = dataclasses.replace(FIRST, organisation_id=A)
    assert not can(subject, action, ObjectRef("conversation", "x", organisation)).allowed
    assert can(subject, action, ObjectRef("conversation", "x", A)).allowed is (action not in PROVIDER_ONLY)
    assert (action in actions_of(subject)) is (action not in PROVIDER_ONLY)


def test_d7_an_administrator_sees_but_does_not_listen() -> None:
    subject = dataclasses.replace(FIRST, profiles=frozenset({"administrator"}))
    assert can(subject, Action.CONVERSATION_VIEW, ObjectRef("conversation", "x")).allowed
    for action in (Action.CONVERSATION_PLAY, Action.CONVERSATION_DOWNLOAD, Action.CONVERSATION_METADATA):
        decision = can(subject, action, ObjectRef("conversation", "x"))
        assert not decision.allowed
        assert action.value in decision.reason


def test_nothing_is_allowed_before_the_first_password_is_changed_or_without_a_profile() -> None:
    for subject in (
        dataclasses.replace(FIRST, must_change_password=True),
        dataclasses.replace(FIRST, profiles=frozenset()),
        dataclasses.replace(FIRST, profiles=frozenset({"unheard of"})),
    ):
        assert not any(can(subject, action, ObjectRef("system")).allowed for action in Action)
    assert actions_of(dataclasses.replace(FIRST, profiles=frozenset())) == []


def test_every_action_is_in_a_profile() -> None:
    assert set().union(*PROFILES.values()) == set(Action)
