"""Getting a track out of the audio journal by `callward-media extract`."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from callward.media.program import MediaProgramError, media_program

TIMEOUT_S = 900


class TrackGoneError(Exception):
    """The journal has no such track, or its key is destroyed or damaged: nothing can be read."""


class TrackOpenError(Exception):
    """The end of the track is not written yet."""


class ExtractionError(Exception):
    """The track cannot be read now; trying again may help."""


class Extractor(Protocol):
    """Writes the packets of a track into a file (`CWTRACK1`)."""

    def __call__(self, track: str, output: Path, *, partial: bool = False) -> None:
        """Raises TrackGoneError, TrackOpenError (unless `partial`), ExtractionError."""
        ...


@dataclass(frozen=True, slots=True)
class MediaExtractor:
    """The media program as extractor."""

    journal: Path
    keys: Path

    def __call__(self, track: str, output: Path, *, partial: bool = False) -> None:
        """See `Extractor`."""
        try:
            command = [
                str(media_program()), "extract", "--journal", str(self.journal), "--keys", str(self.keys),
                "--track", track, "--output", str(output),
            ]  # fmt: skip
            done = subprocess.run(
                [*command, "--partial"] if partial else command,
                capture_output=True,
                timeout=TIMEOUT_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, MediaProgramError, subprocess.TimeoutExpired) as error:
            raise ExtractionError(f"callward-media extract: {error}") from error
        if done.returncode == 0:
            return
        said = done.stderr.decode(errors="replace").strip()[-500:]
        if "knows no track" in said or "the key of track" in said:
            raise TrackGoneError(said)
        if "is still open" in said:
            raise TrackOpenError(said)
        raise ExtractionError(said or f"callward-media extract ended with {done.returncode}")


def lower_priority() -> None:
    """Sealing never takes the processor from reception."""
    try:
        os.nice(10)
    except OSError:
        return
