"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("callward")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CALLWARD_")}
    return subprocess.run(
        [str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean, "COLUMNS": "120", **environment},
    )


def test_help_shows_the_whole_tree() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in (
        "up",
        "recorder",
        "doctor",
        "config",
        "siprec",
        "bench",
        "peer",
        "organisation",
        "demo",
        "--install-completion",
    ):
        assert word in done.stdout


def test_completion_can_be_installed() -> None:
    assert "_CALLWARD_COMPLETE" in run("--show-completion", "bash").stdout


def test_config_check_names_an_unknown_key(tmp_path: Path) -> None:
    file = tmp_path / "callward.toml"
    file.write_text("[recorder]\nsip_prot = 5070\n")
    done = run("--config", str(file), "config", "check")
    assert done.returncode == 2
    assert "recorder.sip_prot: unknown key" in done.stderr
    assert "Traceback" not in done.stderr


def test_config_show_prints_toml_that_can_be_read_again_and_hides_secrets(tmp_path: Path) -> None:
    secret = "postgresql://u:hunter2@db/x"
    done = run("config", "show", CALLWARD_DATA=str(tmp_path), CALLWARD_DATABASE__URL=secret)
    assert done.returncode == 0
    values = tomllib.loads(done.stdout)
    assert values["portal"]["port"] == 8080
    assert "hunter2" not in done.stdout
    shown = run("config", "show", "--json", "--secrets", CALLWARD_DATA=str(tmp_path), CALLWARD_DATABASE__URL=secret)
    assert json.loads(shown.stdout)["database"]["url"] == secret


def test_doctor_finds_this_machine_well_and_names_a_missing_media_program(tmp_path: Path) -> None:
    done = run("doctor", "--json", CALLWARD_DATA=str(tmp_path))
    findings = {f["what"]: f for f in json.loads(done.stdout)}
    assert findings["media program"]["state"] == "well"
    assert findings["PostgreSQL"]["state"] == "well"
    broken = run("doctor", CALLWARD_DATA=str(tmp_path), CALLWARD_MEDIA_BINARY="/nonexistent")
    assert broken.returncode == 1
    assert "make build" in broken.stdout


def test_doctor_names_a_data_folder_that_cannot_be_written() -> None:
    done = run("doctor", "--json", CALLWARD_DATA="/proc/callward")
    finding = next(f for f in json.loads(done.stdout) if f["what"] == "data folder")
    assert done.returncode == 1
    assert "CALLWARD_DATA" in finding["remedy"]


@pytest.mark.parametrize("command", [("peer", "list"), ("organisation", "list")])
def test_without_a_running_database_the_remedy_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(*command, CALLWARD_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "callward up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_call_to_nobody_says_so(tmp_path: Path) -> None:
    done = run("demo", "call", "127.0.0.1:9", CALLWARD_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "callward: " in done.stderr
    assert "Traceback" not in done.stderr


def test_up_names_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("up", CALLWARD_DATA=str(tmp_path), CALLWARD_PORTAL__PORT=str(port))
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 (portal)" in done.stderr
    assert "CALLWARD_PORTAL__PORT" in done.stderr


def test_the_reference_page_is_the_one_that_the_command_tree_makes() -> None:
    script = Path(__file__).parents[2] / "scripts" / "make-command-reference"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
