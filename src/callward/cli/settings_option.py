"""The settings of this run of the command line: `--config FILE` and the environment."""

from __future__ import annotations

from pathlib import Path

from callward.platform.settings import Settings, load_settings

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
    return load_settings(_config_file)
