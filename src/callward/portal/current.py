"""Dependencies of every endpoint: the installation's parts, the client, and the one `current_subject`.

API tokens (issue 5) join here: another way to find the subject, nothing else changes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request, Response

from callward.access.audit import write
from callward.access.decision import Action, ObjectRef, can
from callward.access.sign_in import Client, SessionPolicy, csrf_token, resolve
from callward.access.subject import Subject
from callward.archive.service import Archive
from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal.problems import ProblemError
from callward.portal.security import SAFE_METHODS

CSRF_HEADER = "x-csrf-token"
BACKGROUND_HEADER = "x-callward-background"
"""Set by a page for what it asks by itself (live update): does not count as use of the session."""


@dataclass(frozen=True, slots=True)
class Portal:
    """What the endpoints work with; one per application, in `app.state.portal`."""

    settings: Settings
    database: Database
    archive: Archive
    clock: Callable[[], datetime]

    @property
    def policy(self) -> SessionPolicy:
        portal = self.settings.portal
        return SessionPolicy(timedelta(minutes=portal.session_idle_minutes), timedelta(hours=portal.session_hours))

    @property
    def secure(self) -> bool:
        """People reach the portal over TLS: cookies are for TLS only then."""
        return (self.settings.portal.public_url or "").startswith("https://")

    @property
    def cookie_name(self) -> str:
        return "__Host-callward" if self.secure else "callward"


def portal_of(request: Request) -> Portal:
    portal: Portal = request.app.state.portal
    return portal


PortalParts = Annotated[Portal, Depends(portal_of)]


def client_of(request: Request) -> Client:
    """Where the request comes from."""
    return Client(
        address=request.client.host[:64] if request.client else "unknown",
        browser=request.headers.get("user-agent", "")[:300],
    )


RequestClient = Annotated[Client, Depends(client_of)]


async def signed_in(request: Request, portal: PortalParts, client: RequestClient) -> Subject:
    """Who asks, also when the password must still be changed.

    Raises:
        ProblemError: 401 without a living session; 403 for a change without the session's CSRF token.
    """
    token = request.cookies.get(portal.cookie_name, "")
    subject = None
    if token:
        subject = await resolve(
            portal.database,
            token,
            client=client,
            policy=portal.policy,
            now=portal.clock(),
            background=BACKGROUND_HEADER in request.headers,
        )
    if subject is None:
        raise ProblemError(401, "not_signed_in", "You are not signed in, or your session has ended.", "Sign in again.")
    if request.method not in SAFE_METHODS:
        sent = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode(), csrf_token(token).encode()):
            raise ProblemError(
                403,
                "csrf",
                "The request does not carry this session's token.",
                "Send the csrf_token of GET /api/v1/session in the header X-CSRF-Token; in a browser, reload the page.",
            )
    return subject


SignedInSubject = Annotated[Subject, Depends(signed_in)]


async def current_subject(subject: SignedInSubject) -> Subject:
    """Who asks; everything but the session itself waits until a first password was changed."""
    if subject.must_change_password:
        raise ProblemError(
            403,
            "password_change_required",
            "The first password must be changed before anything else.",
            "Send the new one to POST /api/v1/session/password.",
        )
    return subject


CurrentSubject = Annotated[Subject, Depends(current_subject)]


async def require(portal: Portal, subject: Subject, action: Action, target: ObjectRef) -> None:
    """Go on only when `subject` may do `action` on `target`; a refusal stands in the audit.

    Raises:
        ProblemError: 404 for an object that the subject may not even know of, else 403 with the reason.
    """
    decision = can(subject, action, target)
    if decision.allowed:
        return
    async with portal.database.begin(subject.scope) as session:
        own = ObjectRef(target.kind, target.id, subject.organisation_id)
        await write(session, subject=subject, action=action.value, target=own, now=portal.clock(), outcome="refused")
    if target.id and not can(subject, Action.CONVERSATION_VIEW, target).allowed:
        raise not_found()
    raise ProblemError(403, "not_allowed", decision.reason)


def not_found() -> ProblemError:
    return ProblemError(
        404, "not_found", "There is no such thing here, or it is not yours to see.", "Check the address."
    )


def set_session_cookie(response: Response, portal: Portal, token: str, max_age_s: int) -> None:
    response.set_cookie(
        portal.cookie_name, token, max_age=max_age_s, path="/", secure=portal.secure, httponly=True, samesite="strict"
    )


def clear_session_cookie(response: Response, portal: Portal) -> None:
    response.delete_cookie(portal.cookie_name, path="/", secure=portal.secure, httponly=True, samesite="strict")
