"""Schemathesis over the whole OpenAPI document: whatever is sent, no answer is a 5xx, and each is of a documented shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from threading import Thread

import pytest
import requests
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from tests.access.people import PASSWORD, add_person
from tests.portal.shelf import Shelf

from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal.app import create_app
from callward.portal.openapi import document

EXAMPLES = 5
"""For each operation; more with the nightly runs."""


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The test's process keeps its own."""


@pytest.fixture
def portal(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Shelf]]:
    """A portal on a port of its own, with its own event loop, as a stranger's program sees it."""
    shelf = Shelf()
    server: list[_Server] = []

    async def serve() -> None:
        database = Database(database_url)
        await add_person(database, "ann.ant")
        app: FastAPI = create_app(Settings(data=tmp_path_factory.mktemp("data")), database, shelf)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        server.append(_Server(config))
        await server[0].serve()
        await database.close()

    thread = Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    while not (server and server[0].started):
        thread.join(0.02)
        assert thread.is_alive()
    port = server[0].servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", shelf
    server[0].should_exit = True
    thread.join(10)


LAST = ("POST /api/v1/session", "POST /api/v1/session/password", "DELETE /api/v1/session")
"""Wrong passwords are slowed, and the last one ends the session."""
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def test_no_input_makes_a_server_error(portal: tuple[str, Shelf]) -> None:
    address, shelf = portal
    known = shelf.add()
    ids = {"conversation_id": known.id, "recording_id": known.recordings[0].id}
    schema = schemathesis.openapi.from_dict(json.loads(document()))
    operations = {one.ok().label: one.ok() for one in schema.get_all_operations()}
    assert len(operations) >= 13
    http = requests.Session()
    opened = http.post(f"{address}/api/v1/session", json={"user_name": "ann.ant", "password": PASSWORD}, timeout=10)
    http.headers["X-CSRF-Token"] = opened.json()["csrf_token"]
    for label in [*(label for label in operations if label not in LAST), *LAST]:
        operation = operations[label]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with_known_ids = mode is GenerationMode.POSITIVE and "conversation_id" in operation.path
            path = {name: value for name, value in ids.items() if name in operation.path} if with_known_ids else None
            _exercise(operation.as_strategy(mode, path_parameters=path), address, http)


def _exercise(cases: SearchStrategy[schemathesis.Case], address: str, http: requests.Session) -> None:
    headers = {"X-CSRF-Token": str(http.headers["X-CSRF-Token"])}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def check(case: schemathesis.Case) -> None:
        case.cookies = {}
        case.validate_response(case.call(base_url=address, session=http, headers=headers), checks=CHECKS)

    check()
