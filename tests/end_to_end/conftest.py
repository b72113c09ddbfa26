"""One running Callward for all end-to-end tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.machine import Browser, Machine, running


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o711)
    yield from running(Machine(folder, rtp_from=40_000))


@pytest.fixture(scope="session")
def browser(machine: Machine) -> Browser:
    return Browser(machine)
