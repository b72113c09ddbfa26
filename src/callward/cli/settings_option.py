"""The settings of this run of the command line: `--config FILE` and the environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callward.platform.settings import Settings

_config_file: Path | None = None


def set_config_file(path: Path | None) -> None:
    """Remember `--config FILE`."""
    global _config_file
    _config_file = path


def config_file() -> Path | None:
    """The file of `--config`, when given."""
    return _config_file


def settings() -> Settings:
    """Load the settings.

    Raises:
        SettingsError: an unknown key or a bad value.
    """
    from callward.platform.settings import load_settings

    return load_settings(_config_file)
