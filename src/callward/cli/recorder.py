"""`callward recorder`: the recording server."""

from __future__ import annotations

from callward.platform.process import run_service
from callward.platform.settings import Settings
from callward.recorder.server import serve


def run_recorder(settings: Settings) -> None:
    """Run the recording server until it is asked to stop."""
    run_service("recorder", serve, settings)
