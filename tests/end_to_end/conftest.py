"""One running Callward for all end-to-end tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.machine import Browser, Machine, running
from tests.sip.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates that clients of the shared machine must show on TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o711)
    _, revoked = authority.issue("revoked-client.pem", names=("revoked.example",))
    environment = {
        "CALLWARD_RECORDER__TLS_CLIENT_CA": str(authority.file),
        "CALLWARD_RECORDER__TLS_CLIENT_CRL": str(authority.revoke(revoked)),
    }
    yield from running(Machine(folder, rtp_from=40_000, environment=environment))


@pytest.fixture(scope="session")
def browser(machine: Machine) -> Browser:
    return Browser(machine)


@pytest.fixture(scope="session")
def revoked_certificate(machine: Machine, authority: Authority) -> Path:
    return authority.folder / "revoked-client.pem"
