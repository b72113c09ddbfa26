"""The web pages: the files that Vite built, and one HTML page for every address that the application's router knows."""

from __future__ import annotations

import secrets
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from callward.portal.problems import ProblemError
from callward.portal.security import page_policy

STATIC = Path(__file__).parent / "static"
NONCE_PLACEHOLDER = "__STYLE_NONCE__"
_MEDIA_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Callward</title>
<h1>The web pages are not built yet</h1><p>Run <code>make build</code> and reload this page. The HTTP API works:
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></html>"""


def router(static: Path = STATIC) -> APIRouter:
    """The routes of the pages; must be the last ones of the application."""
    pages = APIRouter(include_in_schema=False)
    files = {f"/{path.relative_to(static).as_posix()}": path for path in static.rglob("*") if path.is_file()}
    """Known at start: no request's text ever becomes a path."""

    @pages.get("/{address:path}")
    @pages.head("/{address:path}")
    async def page(request: Request, address: str) -> Response:
        if address == "api" or address.startswith("api/"):
            raise ProblemError(404, "not_found", "There is nothing at this address.", "See /api/v1/openapi.json.")
        path = files.get(f"/{address}")
        if path is not None and path.suffix in _MEDIA_TYPES:
            # Vite puts a digest of the content into the names below assets/.
            keep = "public, max-age=31536000, immutable" if address.startswith("assets/") else "no-cache"
            return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers={"Cache-Control": keep})
        if address.startswith("assets/"):
            raise ProblemError(404, "not_found", "There is no such file.", "Reload the page.")
        return _index(files.get("/index.html"))

    return pages


def _index(path: Path | None) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    headers = {"Content-Security-Policy": page_policy(nonce), "Cache-Control": "no-store"}
    if path is None:
        return HTMLResponse(_NOT_BUILT, status_code=503, headers=headers)
    return HTMLResponse(path.read_text(encoding="utf-8").replace(NONCE_PLACEHOLDER, nonce), headers=headers)
