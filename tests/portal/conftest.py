"""A portal with a real database and an archive in memory, and browsers that talk to it without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.access.people import PASSWORD
from tests.portal.shelf import Shelf

from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal.app import create_app

ADDRESS = "http://portal.test"


@dataclass
class Clock:
    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class Browser:
    """One cookie jar with its session's CSRF token."""

    http: httpx.AsyncClient
    csrf: str = ""
    session: dict[str, object] = field(default_factory=dict)

    async def sign_in(self, user_name: str, password: str = PASSWORD) -> httpx.Response:
        answer = await self.http.post("/api/v1/session", json={"user_name": user_name, "password": password})
        if answer.status_code == 201:
            self._keep(answer)
        return answer

    async def change_password(self, current: str, new: str) -> httpx.Response:
        answer = await self.send("POST", "/session/password", {"current_password": current, "new_password": new})
        if answer.status_code == 200:
            self._keep(answer)
        return answer

    def _keep(self, answer: httpx.Response) -> None:
        self.session = answer.json()
        self.csrf = str(self.session["csrf_token"])

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(f"/api/v1{path}", headers=headers)

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        sent = {"X-CSRF-Token": self.csrf, **headers}
        return await self.http.request(method, f"/api/v1{path}", json=body, headers=sent)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def app(database: Database, shelf: Shelf, clock: Clock, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data=tmp_path), database, shelf, clock=clock)


@pytest.fixture
async def open_browser(app: FastAPI) -> AsyncIterator[Callable[..., Browser]]:
    opened: list[httpx.AsyncClient] = []

    def make(address: str = "192.0.2.10") -> Browser:
        transport = httpx.ASGITransport(app=app, client=(address, 40000), raise_app_exceptions=False)
        opened.append(httpx.AsyncClient(transport=transport, base_url=ADDRESS))
        return Browser(opened[-1])

    yield make
    for client in opened:
        await client.aclose()


@pytest.fixture
def browser(open_browser: Callable[..., Browser]) -> Browser:
    return open_browser()
