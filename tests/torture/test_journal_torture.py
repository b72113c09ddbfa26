"""The torture harness of the audio journal in its short form (reliability.md, faults 1, 2, 4, 6, 7, 8).

The journal runs in children that are killed; the oracle remembers in a process of its own what was acknowledged. Each run prints its
seed: a failing one is repeated with `journal-torture VERB --seed N`. The long form is `make torture`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# The first run builds the harness.
pytestmark = pytest.mark.timeout(600)

RUST = Path(__file__).resolve().parents[2] / "rust"


@pytest.fixture(scope="session")
def journal_torture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harness, built with planted faults into a folder of its own: a release never has them."""
    cargo = shutil.which("cargo")
    assert cargo is not None, "cargo is missing; install Rust as `callward doctor` says"
    subprocess.run([RUST.parent / "scripts" / "build-faults"], check=True, timeout=600)
    return Path(os.environ.get("CARGO_TARGET_DIR", RUST / "target")) / "faults" / "journal-torture"


def _run(program: Path, folder: Path, *words: str) -> str:
    outcome = subprocess.run(
        [str(program), *words, "--dir", str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def test_faults_1_and_2_no_acknowledged_byte_is_lost_by_kill_or_power_loss(
    journal_torture: Path, tmp_path: Path
) -> None:
    printed = _run(journal_torture, tmp_path, "run", "--kills", "8")
    assert "seed" in printed
    assert ", lost 0" in printed


def test_fault_4_a_kill_at_each_step_leaves_a_journal_that_opens_and_is_whole(
    journal_torture: Path, tmp_path: Path
) -> None:
    printed = _run(journal_torture, tmp_path, "points")
    assert "not reached: []" in printed
    assert ", lost 0" in printed


def test_faults_6_7_8_full_failing_and_slow_disks_lose_nothing_acknowledged(
    journal_torture: Path, tmp_path: Path
) -> None:
    printed = _run(journal_torture, tmp_path, "faults")
    assert printed.count("as it must be") == 3


def test_each_deliberately_broken_build_is_caught(journal_torture: Path, tmp_path: Path) -> None:
    printed = _run(journal_torture, tmp_path, "mutants")
    assert printed.count(": caught at attempt") == 3
