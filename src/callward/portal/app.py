"""The portal's application: routers, errors, security, pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from callward.archive.service import Archive
from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal import conversations_api, pages, problems, session_api, system_api
from callward.portal.current import Portal
from callward.portal.security import SecurityMiddleware

API_VERSION = "1.0.0"


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _operation_id(route: APIRoute) -> str:
    """`list_conversations` becomes `listConversations`: the name of the function in generated clients."""
    first, *rest = route.name.split("_")
    return first + "".join(part.title() for part in rest)


def create_app(
    settings: Settings, database: Database, archive: Archive, *, clock: Callable[[], datetime] = _utc_now
) -> FastAPI:
    """Assemble the portal."""
    app = FastAPI(
        title="Callward",
        version=API_VERSION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.portal = Portal(settings, database, archive, clock)
    problems.install(app)
    app.add_middleware(SecurityMiddleware, public_url=settings.portal.public_url)
    for router in (session_api.router, conversations_api.router, system_api.router, system_api.probes, pages.router()):
        app.include_router(router)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The schema, with the problem shape and the cookie's and token's names."""
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description="Conversations, recordings and the state of a Callward installation. See docs/reference/http-api.md.",
        routes=app.routes,
    )
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    shape = problems.ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(shape.pop("$defs", {}))
    schemas["ProblemDetails"] = shape
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"session": {"type": "apiKey", "in": "cookie", "name": "callward"}}
    schema["security"] = [{"session": []}]
    return schema
