"""Settings: sources, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from callward.platform.settings import SettingsError, load_settings
from callward.platform.settings_reference import page


def test_defaults_listen_on_loopback_only() -> None:
    found = load_settings(environment={})
    assert found.portal.host == found.recorder.host == found.metrics.host == "127.0.0.1"
    assert (found.portal.port, found.recorder.sip_port, found.recorder.tls_port) == (8080, 5070, 5071)
    assert (found.media.port_min, found.media.port_max, found.metrics.port) == (10_000, 29_999, 9464)
    assert found.data == Path.cwd() / "var"


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "callward.toml"
    file.write_text("[portal]\nport = 9000\nhost = '127.0.0.2'\n")
    found = load_settings(file, {"CALLWARD_PORTAL__PORT": "9001"})
    assert (found.portal.host, found.portal.port) == ("127.0.0.2", 9001)


def test_the_data_folder_may_hold_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "callward.toml").write_text("[seal]\ncodec = 'flac'\n")
    assert load_settings(environment={"CALLWARD_DATA": str(tmp_path)}).seal.codec == "flac"


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("[portal]\nprot = 1\n", {}, "portal.prot: unknown key"),
        ("[portel]\nport = 1\n", {}, "portel: unknown key"),
        ("[portal]\nport = 'x'\n", {}, "portal.port:"),
        ("[portal]\nport = 70000\n", {}, "portal.port:"),
        ("[recorder]\nhost = 'recorder.example'\n", {}, "recorder.host:"),
        ("[blobs]\nkind = 's3'\n", {}, "blobs: s3_bucket must be set"),
        ("", {"CALLWARD_DATABASE__URL": "mysql://x"}, "database.url: must look like postgresql://"),
        (
            "",
            {"CALLWARD_RECORDER__TLS_CERTIFICATE": "/nosuch.pem"},
            "recorder.tls_certificate: /nosuch.pem cannot be read",
        ),
        (
            "[recorder]\ntls_key = '/dev/null'\n",
            {},
            "recorder: tls_certificate and tls_key must be set together (from ",
        ),
        ("", {"CALLWARD_MEDIA__PORT_MIN": "20001"}, "media: port_min must be even"),
        ("", {"CALLWARD_RECORDER__PROT": "5"}, "recorder.prot: unknown key (from CALLWARD_RECORDER__PROT)"),
        ("data = 'x'\n", {"CALLWARD_DATA__X": "5"}, "CALLWARD_DATA__X: data is a value, not a section"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(
    tmp_path: Path, text: str, environment: dict[str, str], expected: str
) -> None:
    file = tmp_path / "callward.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, environment)
    assert expected in str(caught.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "callward.toml"
    file.write_bytes(b"\xff\xfe[")
    with pytest.raises(SettingsError, match=r"callward\.toml: is not TOML"):
        load_settings(file, {})
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings(tmp_path / "absent.toml", {})


def test_the_reference_page_is_the_one_that_the_schema_makes() -> None:
    found = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
    assert found.read_text(encoding="utf-8") == page(), "run scripts/make-settings-reference"
