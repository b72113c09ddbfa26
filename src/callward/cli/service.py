"""Run one process of Callward: as a child of `callward up`, under systemd, or alone on its own host."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from callward.cli.settings_option import settings

if TYPE_CHECKING:
    from callward.platform.settings import Settings


def _recorder(found: Settings) -> None:
    from callward.cli.recorder import run_recorder

    run_recorder(found)


def _seal(found: Settings) -> None:
    from callward.cli.seal import run_seal

    run_seal(found)


def _worker(found: Settings) -> None:
    from callward.cli.worker import run_worker

    run_worker(found)


def _portal(found: Settings) -> None:
    from callward.cli.portal import run_portal

    run_portal(found)


def _media(found: Settings) -> None:
    from callward.media.program import media_program, write_configuration

    binary = str(media_program())
    arguments = [binary, "serve", "--config", str(write_configuration(found))]
    sys.stdout.flush()
    os.execv(binary, arguments)


_RUN: dict[str, Callable[[Settings], None]] = {
    "recorder": _recorder,
    "seal": _seal,
    "worker": _worker,
    "portal": _portal,
    "media": _media,
}


def run(name: str) -> None:
    """Run the named process until it is asked to stop."""
    _RUN[name](settings())
