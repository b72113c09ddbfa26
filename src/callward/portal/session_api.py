"""Endpoints of the own session and account: sign in and out, change the password, list and end sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from callward.access import sign_in as access
from callward.access.decision import Action, actions_of
from callward.access.passwords import MAXIMUM_CHARACTERS, WeakPasswordError
from callward.access.service import FIRST_USER_NAME
from callward.access.subject import Subject
from callward.platform.paths import DataPaths
from callward.platform.telemetry import logger
from callward.portal.current import (
    CurrentSubject,
    Portal,
    PortalParts,
    RequestClient,
    SignedInSubject,
    clear_session_cookie,
    not_found,
    set_session_cookie,
)
from callward.portal.problems import ProblemError, responses

router = APIRouter(prefix="/api/v1", tags=["session"])


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_name: Annotated[str, Field(min_length=1, max_length=200, examples=["admin.admin"])]
    password: Annotated[SecretStr, Field(min_length=1, max_length=MAXIMUM_CHARACTERS)]


class PasswordChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    current_password: Annotated[SecretStr, Field(min_length=1, max_length=MAXIMUM_CHARACTERS)]
    new_password: Annotated[SecretStr, Field(min_length=1, max_length=1024)]


class SessionView(BaseModel):
    """The own session: who is signed in, what the person may do, and the token that changes must carry."""

    user_name: str
    display_name: str
    provider: bool = Field(description="The person belongs to the installation, not to an organisation")
    must_change_password: bool
    rights: list[Action]
    csrf_token: str = Field(description="Send it as X-CSRF-Token with every POST, PUT, PATCH and DELETE")


class SignInView(BaseModel):
    """One session of the own account."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    address: str
    browser: str
    current: bool


def _view(subject: Subject, token: str) -> SessionView:
    return SessionView(
        user_name=subject.user_name,
        display_name=subject.display_name,
        provider=subject.organisation_id is None,
        must_change_password=subject.must_change_password,
        rights=[] if subject.must_change_password else actions_of(subject),
        csrf_token=access.csrf_token(token),
    )


def _too_many(error: access.TooManyAttemptsError) -> ProblemError:
    return ProblemError(
        429,
        "too_many_attempts",
        str(error),
        "Wait that long; after a right password the count begins anew.",
        headers={"Retry-After": str(error.wait_s)},
    )


@router.post("/session", status_code=201, responses=responses(401, 403, 429))
async def sign_in(
    credentials: Credentials, request: Request, response: Response, portal: PortalParts, client: RequestClient
) -> SessionView:
    """Sign in. The answer sets the session's cookie; an earlier session of the same browser ends."""
    before = request.cookies.get(portal.cookie_name, "")
    now = portal.clock()
    try:
        opened = await access.sign_in(
            portal.database,
            user_name=credentials.user_name,
            password=credentials.password.get_secret_value(),
            client=client,
            policy=portal.policy,
            now=now,
        )
    except access.TooManyAttemptsError as error:
        raise _too_many(error) from None
    except access.SignInRefusedError as error:
        raise ProblemError(401, "sign_in_refused", "User name or password is not right.", str(error)) from None
    if before:
        old = await access.resolve(portal.database, before, client=client, policy=portal.policy, now=now)
        if old is not None:
            await access.sign_out(portal.database, old, now)
    set_session_cookie(response, portal, opened.token, int((opened.expires_at - now).total_seconds()))
    return _view(opened.subject, opened.token)


@router.get("/session", responses=responses(401))
async def show_session(request: Request, portal: PortalParts, subject: SignedInSubject) -> SessionView:
    """The own session."""
    return _view(subject, request.cookies[portal.cookie_name])


@router.delete("/session", status_code=204, responses=responses(401, 403))
async def sign_out(response: Response, portal: PortalParts, subject: SignedInSubject) -> None:
    """Sign out."""
    await access.sign_out(portal.database, subject, portal.clock())
    clear_session_cookie(response, portal)


@router.post("/session/password", responses=responses(400, 401, 403, 429))
async def change_password(
    change: PasswordChange,
    response: Response,
    portal: PortalParts,
    client: RequestClient,
    subject: SignedInSubject,
) -> SessionView:
    """Change the own password. Every session of the account ends, and a new one begins for this browser."""
    now = portal.clock()
    try:
        opened = await access.change_password(
            portal.database,
            subject,
            current=change.current_password.get_secret_value(),
            new=change.new_password.get_secret_value(),
            client=client,
            policy=portal.policy,
            now=now,
        )
    except access.TooManyAttemptsError as error:
        raise _too_many(error) from None
    except access.SignInRefusedError as error:
        raise ProblemError(400, "wrong_password", str(error), "Type the current password again.") from None
    except WeakPasswordError as error:
        raise ProblemError(400, "weak_password", str(error), "Choose another password.") from None
    if subject.user_name == FIRST_USER_NAME:
        _forget_first_sign_in(portal)
    set_session_cookie(response, portal, opened.token, int((opened.expires_at - now).total_seconds()))
    return _view(opened.subject, opened.token)


def _forget_first_sign_in(portal: Portal) -> None:
    """The first password counts no more: take away where `callward up` wrote it down."""
    try:
        DataPaths(portal.settings.data).first_sign_in.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("first_sign_in_not_removed", error=str(error))


@router.get("/sessions", responses=responses(401, 403))
async def list_sessions(portal: PortalParts, subject: CurrentSubject) -> list[SignInView]:
    """The own sessions that are alive, newest first."""
    found = await access.sessions_of(portal.database, subject, portal.policy, portal.clock())
    return [SignInView.model_validate(one) for one in found]


@router.delete("/sessions/{session_id}", status_code=204, responses=responses(401, 403, 404))
async def end_session(
    session_id: Annotated[str, Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")],
    portal: PortalParts,
    subject: CurrentSubject,
) -> None:
    """End one of the own sessions."""
    if not await access.end_session(portal.database, subject, session_id, portal.clock()):
        raise not_found()
