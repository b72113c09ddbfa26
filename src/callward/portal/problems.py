"""Errors of the HTTP API: problem details (RFC 9457), each with a stable code, a sentence and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from callward.access.audit import AuditUnavailableError
from callward.platform.telemetry import logger

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "The request cannot be understood",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Not possible now",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Invalid input",
    429: "Too many attempts",
    500: "Something went wrong here",
    503: "Not available now",
}


HTTP_PROBLEMS = {
    400: ("bad_request", "The request cannot be read."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("too_large", "The body is too large."),
}
"""What the framework itself refuses."""


class InvalidField(BaseModel):
    """One bad part of a request."""

    field: str = Field(description="Where it stands, as `query.limit` or `body.password`")
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="`urn:callward:problem:` and the code", examples=["urn:callward:problem:not_found"])
    title: str
    status: int
    code: str = Field(description="Stable name of the problem", examples=["not_found"])
    detail: str = Field(description="What went wrong, as a sentence")
    remedy: str = Field(description="What to do about it; empty when nothing can be done")
    errors: list[InvalidField] = Field(default_factory=list)


class ProblemError(Exception):
    """An answer other than success; raised anywhere below an endpoint."""

    def __init__(
        self, status: int, code: str, detail: str, remedy: str = "", *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.headers = dict(headers or {})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of an endpoint's problems."""
    return {
        status: {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in sorted({*statuses, 400, 422, 503})
    }


def answer(
    status: int,
    code: str,
    detail: str,
    remedy: str = "",
    *,
    errors: list[InvalidField] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Make the response of a problem."""
    body = ProblemDetails(
        type=f"urn:callward:problem:{code}",
        title=TITLES.get(status, "The request failed"),
        status=status,
        code=code,
        detail=detail,
        remedy=remedy,
        errors=errors or [],
    )
    return JSONResponse(body.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Turn every exception into a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(_request: Request, error: ProblemError) -> JSONResponse:
        return answer(error.status, error.code, error.detail, error.remedy, headers=error.headers)

    @app.exception_handler(AuditUnavailableError)
    async def _no_audit(_request: Request, _error: AuditUnavailableError) -> JSONResponse:
        detail = "The access cannot be written into the audit, so it is refused."
        return answer(503, "audit_unavailable", detail, "Ask an administrator to look at the database.")

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            InvalidField(field=".".join(str(part) for part in one["loc"])[:200], detail=str(one["msg"])[:300])
            for one in error.errors()[:50]
        ]
        detail = "; ".join(f"{one.field}: {one.detail}" for one in errors[:3]) or "The input is not valid."
        return answer(422, "invalid_input", detail, "Correct the named fields and send it again.", errors=errors)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        code, detail = HTTP_PROBLEMS.get(error.status_code, ("http_error", str(error.detail)[:300]))
        return answer(error.status_code, code, detail, "See /api/v1/openapi.json.", headers=error.headers)

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeoutError)
    async def _database(_request: Request, error: Exception) -> JSONResponse:
        logger.warning("database not reachable", error=type(error).__name__)
        return answer(
            503,
            "database_down",
            "The database does not answer.",
            "Recording goes on without it. Try again in a moment; the system page shows when it is back.",
            headers={"Retry-After": "5"},
        )

    @app.exception_handler(DBAPIError)
    async def _refused(_request: Request, error: DBAPIError) -> JSONResponse:
        if error.connection_invalidated:
            return await _database(_request, error)
        return await _unexpected(_request, error)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("request failed", path=request.url.path, exc_info=error)
        return answer(500, "internal", "Something went wrong here.", "Try again; the log of the portal has the cause.")
