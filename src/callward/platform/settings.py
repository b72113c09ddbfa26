"""Settings: one annotated schema that makes the defaults, the checks and the reference page.

Sources, strongest first: environment (`CALLWARD_PORTAL__PORT=8081`), TOML file (`--config`, else `CALLWARD_CONFIG`, else
`<data>/callward.toml`, else `/etc/callward/callward.toml`), defaults. Unknown keys and bad values are errors that name the key.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

ENVIRONMENT_PREFIX = "CALLWARD_"
NOT_SETTINGS = frozenset({"CALLWARD_CONFIG", "CALLWARD_MEDIA_BINARY", "CALLWARD_POSTGRES_BIN", "CALLWARD_SERVICE"})
"""Variables with the prefix that are read elsewhere (documented in docs/reference/settings.md)."""


class SettingsError(Exception):
    """A setting is unknown or has a bad value; `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _address(value: str) -> str:
    ipaddress.ip_address(value)
    return value


Address = Annotated[str, AfterValidator(_address)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _comma_separated(value: Any) -> Any:
    """A list from the environment is one text."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


MetadataNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9@:/_.-]{1,200}$")], ...], BeforeValidator(_comma_separated)
]
"""Names of elements or `@attributes`, or paths of them."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DatabaseSettings(_Section):
    url: SecretStr | None = Field(None, description="postgresql://… of an own server; empty: embedded PostgreSQL")
    pool_size: int = Field(10, ge=1, le=200, description="Connections that each process keeps at most")

    @field_validator("url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"^postgres(ql)?(\+psycopg)?://", value.get_secret_value()):
            raise ValueError("must look like postgresql://user:password@host:5432/name")
        return value


class PortalSettings(_Section):
    host: Address = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(8080, description="TCP port of the portal and the API")
    public_url: str | None = Field(None, max_length=500, description="Address that people use (behind a proxy)")
    session_idle_minutes: int = Field(60, ge=1, le=1440, description="A sign-in ends after so long without use")
    session_hours: int = Field(12, ge=1, le=168, description="A sign-in ends after so long at the latest")


class RecorderSettings(_Section):
    host: Address = Field("127.0.0.1", description="Address to listen on for SIP")
    sip_port: Port = Field(5070, description="UDP and TCP port of the recorder")
    tls_port: Port = Field(5071, description="TLS port of the recorder")
    advertised_address: Address | None = Field(None, description="Address to name in Contact and SDP (default: host)")
    tls_certificate: Path | None = Field(None, description="PEM file; empty: a self-signed one is made for loopback")
    tls_key: Path | None = Field(None, description="PEM file of the private key")
    tls_client_ca: Path | None = Field(
        None, description="PEM file: clients must show a certificate signed by one of these"
    )
    tls_client_crl: Path | None = Field(None, description="PEM file of revoked client certificates")
    max_sessions: int = Field(10_000, ge=1, le=100_000, description="Recording sessions at the same time")
    metadata_drop: MetadataNames = Field(
        (), max_length=200, description="Metadata that is never stored, e.g. `nameID/@aor`, `apkt:ucid`"
    )
    metadata_mask: MetadataNames = Field((), max_length=200, description="Metadata of which only *** is stored")
    silence_timeout_s: int = Field(7200, ge=60, le=604_800, description="End a session that neither talks nor signals")

    @field_validator("tls_certificate", "tls_key", "tls_client_ca", "tls_client_crl")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                with value.open("rb"):
                    pass
            except OSError as error:
                raise ValueError(f"{value} cannot be read: {error.strerror}") from None
        return value

    @model_validator(mode="after")
    def _pair(self) -> RecorderSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be set together")
        return self


class MediaSettings(_Section):
    address: Address | None = Field(None, description="Address for RTP (default: recorder.host)")
    port_min: Port = Field(10_000, description="First RTP port (even)")
    port_max: Port = Field(29_999, description="Last RTP port")
    sync_interval_ms: int = Field(100, ge=10, le=2000, description="Audio is synced to disk this often")
    segment_bytes: int = Field(64 << 20, ge=1 << 20, le=1 << 30, description="Size of a journal segment")
    journal_max_bytes: int = Field(20 << 30, ge=8 << 20, description="New calls are refused (503) above this")
    disk_reserve_bytes: int = Field(1 << 30, ge=0, description="New calls are refused (503) when less disk is free")
    cpu: int | None = Field(None, ge=0, le=4095, description="Pin the receiving thread to this CPU")
    receive: Literal["auto", "io_uring", "recvmmsg"] = Field("auto", description="How packets are received")

    @model_validator(mode="after")
    def _range(self) -> MediaSettings:
        if self.port_max < self.port_min + 3:
            raise ValueError("port_max must be at least 3 above port_min")
        if self.port_min % 2:
            raise ValueError("port_min must be even: RTP takes even ports, RTCP the next one")
        return self


class BlobSettings(_Section):
    kind: Literal["folder", "s3"] = Field("folder", description="Where sealed recordings are stored")
    folder: Path | None = Field(None, description="Default: <data>/blobs")
    s3_bucket: str | None = Field(None, max_length=63)
    s3_endpoint_url: str | None = Field(None, max_length=500, description="Empty: the provider's own")
    s3_region: str | None = Field(None, max_length=60)
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_prefix: str = Field("", max_length=200, pattern=r"^[A-Za-z0-9/_-]*$")

    @model_validator(mode="after")
    def _bucket(self) -> BlobSettings:
        if self.kind == "s3" and not self.s3_bucket:
            raise ValueError("s3_bucket must be set when kind is s3")
        return self


class SealSettings(_Section):
    codec: Literal["opus", "flac"] = Field("opus", description="Codec of the stored master")
    opus_bitrate: int = Field(32_000, ge=8_000, le=510_000, description="Bits per second and channel")
    jobs: int = Field(1, ge=1, le=64, description="Recordings sealed at the same time")


class MetricsSettings(_Section):
    host: Address = Field("127.0.0.1", description="Address of /metrics, /healthz and /readyz")
    port: Port = Field(9464)


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, else JSON lines"
    )


class Settings(_Section):
    """Everything that can be set."""

    data: Path = Field(Path("var"), description="Data folder (CALLWARD_DATA)")
    host_name: str = Field(
        "local", pattern=r"^[a-z0-9-]{1,60}$", description="Name of this host in journals and the database"
    )
    database: DatabaseSettings = DatabaseSettings()
    portal: PortalSettings = PortalSettings()
    recorder: RecorderSettings = RecorderSettings()
    media: MediaSettings = MediaSettings()
    blobs: BlobSettings = BlobSettings()
    seal: SealSettings = SealSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()


def load_settings(config: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; `data` becomes absolute.

    Raises:
        SettingsError: a file that cannot be read, an unknown key or a bad value, each with the key's name and its source.
    """
    env = os.environ if environment is None else environment
    origin: dict[tuple[str, ...], str] = {}
    values: dict[str, Any] = {}
    path = _config_file(config, env)
    if path is not None:
        values = _read_toml(path)
        _note_origin(values, (), str(path), origin)
    problems = _merge_environment(values, env, origin)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(problems + [_sentence(e, origin) for e in error.errors()]) from None
    if problems:
        raise SettingsError(problems)
    return settings.model_copy(update={"data": settings.data.absolute()})


def _config_file(config: Path | None, env: Mapping[str, str]) -> Path | None:
    named = config or (Path(env["CALLWARD_CONFIG"]) if env.get("CALLWARD_CONFIG") else None)
    if named is not None:
        return named
    for path in (Path(env.get("CALLWARD_DATA", "var")) / "callward.toml", Path("/etc/callward/callward.toml")):
        if path.is_file():
            return path
    return None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from None


def _note_origin(
    values: Mapping[str, Any], at: tuple[str, ...], source: str, origin: dict[tuple[str, ...], str]
) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _note_origin(value, (*at, key), source, origin)
        origin[(*at, key)] = source


def _merge_environment(values: dict[str, Any], env: Mapping[str, str], origin: dict[tuple[str, ...], str]) -> list[str]:
    """Lay environment variables over the file's values; return a sentence for each that cannot be one."""
    problems = []
    for name in sorted(env):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in NOT_SETTINGS:
            continue
        keys = tuple(part.lower() for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__"))
        place = values
        for key in keys[:-1]:
            inner = place.setdefault(key, {})
            if not isinstance(inner, dict):
                problems.append(f"{name}: {key} is a value, not a section")
                break
            place = inner
        else:
            place[keys[-1]] = env[name] if env[name] != "" else None
            if place[keys[-1]] is None:
                del place[keys[-1]]
            origin[keys] = name
    return problems


def _sentence(error: Any, origin: dict[tuple[str, ...], str]) -> str:
    keys = tuple(str(part) for part in error["loc"])
    source = next((origin[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in origin), None)
    if source is None:  # a whole section: name what was set in it
        inner = sorted({where for key, where in origin.items() if key[: len(keys)] == keys})
        source = ", ".join(inner) or "default"
    name = ".".join(keys) or "settings"
    if error["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1])
        return f"{name}: unknown key (from {source}); known here: {', '.join(known)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message} (from {source})"


def _known_keys(section: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for key in section:
        field = model.model_fields.get(key)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return sorted(model.model_fields)
