"""Passwords: rules as sentences, argon2id, first passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callward.access.passwords import (
    MINIMUM_CHARACTERS,
    WeakPasswordError,
    check_new_password,
    first_password,
    hash_password,
    verify_password,
)


async def test_a_password_is_stored_as_argon2id_and_verified() -> None:
    stored = await hash_password("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert "correct" not in stored
    assert await verify_password(stored, "correct horse battery")
    assert not await verify_password(stored, "correct horse batterx")


async def test_an_account_that_does_not_exist_is_verified_too_and_never_matches() -> None:
    assert not await verify_password(None, "an account that does not exist")


async def test_two_spellings_of_one_character_are_one_password() -> None:
    stored = await hash_password("caf\u00e9 au lait noir")
    assert await verify_password(stored, "cafe\u0301 au lait noir")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 12"),
        ("x" * 257, "at most 256"),
        ("the current one!", "differs"),
        ("aaaaaaaaaaaa", "easy to guess"),
        ("Password1234", "easy to guess"),
        ("my admin.admin pass", "user name"),
    ],
)
def test_a_weak_password_is_refused_with_the_rule(password: str, reason: str) -> None:
    with pytest.raises(WeakPasswordError, match=reason):
        check_new_password(password, user_name="admin.admin", current="the current one!")


@given(st.text(max_size=300))
def test_any_text_is_accepted_or_refused_with_a_sentence(password: str) -> None:
    refusal = ""
    try:
        check_new_password(password, user_name="ann.ant", current="")
    except WeakPasswordError as error:
        refusal = str(error)
    assert refusal.endswith(".") if refusal else len(password) >= MINIMUM_CHARACTERS


def test_first_passwords_are_long_different_and_pass_the_rules() -> None:
    made = {first_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert len(password) >= MINIMUM_CHARACTERS
        check_new_password(password, user_name="admin.admin", current="")
