"""What every request and every answer of the portal obeys, whatever endpoint it is for.

- Bodies are bounded before they are parsed.
- A request that changes something and comes from another site's page is refused (Origin, Sec-Fetch-Site); the CSRF
  token of `current` is the second lock, the cookie's SameSite the third.
- Answers carry a strict Content-Security-Policy: scripts from this address only, no inline script, no plug-in, no frame.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callward.portal import problems

BODY_MAX_BYTES = 64 * 1024
"""Largest JSON body. No endpoint takes more yet."""
URL_MAX_BYTES = 8 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


def page_policy(nonce: str) -> str:
    """The policy of a page. `nonce` admits the style elements that the component library makes while it runs; scripts get none."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "media-src 'self' blob:",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityMiddleware:
    """Bounds, cross-site refusal and headers."""

    def __init__(self, app: ASGIApp, *, public_url: str | None) -> None:
        self.app = app
        parts = urlsplit(public_url) if public_url else None
        self._public_host = parts.netloc if parts else None
        self._https = parts is not None and parts.scheme == "https"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = self._with_headers(send, is_api=scope["path"].startswith("/api/"))
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._bounded(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_MAX_BYTES:
            return problems.answer(400, "url_too_long", "The address is too long.", "Shorten the query.")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > BODY_MAX_BYTES:
            return problems.answer(413, "too_large", f"The body has more than {BODY_MAX_BYTES} bytes.", "Send less.")
        if scope["method"] not in SAFE_METHODS and not self._same_site(headers):
            return problems.answer(
                403, "cross_site", "The request came from a page of another site.", "Use the portal's own address."
            )
        return None

    def _same_site(self, headers: Headers) -> bool:
        """Programs send neither header; browsers send at least one with every request that changes something."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        return urlsplit(origin).netloc in {headers.get("host", ""), self._public_host} - {"", None}

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that is longer than it said or that did not say (chunked)."""
        taken = 0

        async def bounded_receive() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_MAX_BYTES:
                # FastAPI passes this kind on while it reads a body; everything else it would call a parsing error.
                raise HTTPException(413)
            return message

        await self.app(scope, bounded_receive, send)

    def _with_headers(self, send: Send, *, is_api: bool) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", API_POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
                if is_api:
                    headers.setdefault("Cache-Control", "no-store")
                if self._https:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        return send_with_headers
