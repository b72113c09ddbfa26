"""Schemathesis over the whole OpenAPI document: whatever is sent, no answer is a 5xx, and each is of a documented shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from tests.access.people import PASSWORD, add_person
from tests.archive.recorded_calls import record_call
from tests.archive.test_first_recording import Platform
from tests.portal.live_portal import live_portal

from callward.media.codec_process import CodecPool
from callward.platform.database import Database
from callward.portal.openapi import document
from callward.records.events import RecordingEnded

EXAMPLES = 5
"""For each operation; more with the nightly runs."""


@pytest.fixture
def portal(database_url: str, tmp_path: Path) -> Iterator[tuple[str, RecordingEnded]]:
    """A portal over the real archive with one stored recording, and what was recorded."""
    codecs = CodecPool(1)
    platform = Platform(tmp_path, codecs)
    ended = record_call(platform.tracks)

    async def prepare(database: Database) -> None:
        await add_person(database, "ann.ant")
        await platform.journal(ended)
        await platform.run_sealer()
        await platform.apply(database)

    with live_portal(database_url, tmp_path, platform.archive, prepare) as address:
        yield address, ended
    codecs.close()


LAST = ("POST /api/v1/session", "POST /api/v1/session/password", "DELETE /api/v1/session")
"""Wrong passwords are slowed, and the last one ends the session."""
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def test_no_input_makes_a_server_error(portal: tuple[str, RecordingEnded]) -> None:
    address, ended = portal
    ids = {"conversation_id": ended.calls[0].conversation, "recording_id": ended.recording}
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
