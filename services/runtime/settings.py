"""Settings: frozen classes, filled from the environment, then from a TOML file, then from their defaults.

A service's settings are read from HEADWORKS_<SERVICE>_<FIELD>, then from the table [<service>] of the file that
HEADWORKS_CONFIG names.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.runtime import spelling
from services.runtime.identity import LEEWAY
from services.runtime.tls import TlsFiles

CONFIG_FILE_VARIABLE = "HEADWORKS_CONFIG"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,256}")


def prefix(service: str) -> str:
    return f"HEADWORKS_{service.upper()}_"


def toml_table(service: str) -> dict[str, Any]:
    """The service's table of the configuration file; empty where no file is named or it has no such table.

    Raises ValueError where the file cannot be read, or has a table that is no service's.
    """
    name = os.environ.get(CONFIG_FILE_VARIABLE)
    if not name:
        return {}
    try:
        tables = tomllib.loads(Path(name).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{CONFIG_FILE_VARIABLE} names {name}, which cannot be read: {error}") from error
    if wrong := spelling.unknown_tables(tables, {kind.service for kind in _classes(Settings)}):
        raise ValueError(f"{name}: {'; '.join(wrong)}")
    table = tables.get(service, {})
    if not isinstance(table, dict):
        raise ValueError(f"[{service}] in {name} must be a table")
    return table


class _TomlSource(PydanticBaseSettingsSource):
    """The service's table of the configuration file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise LookupError("the table is read whole, by __call__")

    def __call__(self) -> dict[str, Any]:
        service = getattr(self.settings_cls, "service", "")
        table = toml_table(service)
        if wrong := spelling.unknown_keys(service, table, self.settings_cls.model_fields):
            raise ValueError(f"{os.environ.get(CONFIG_FILE_VARIABLE)}: {'; '.join(wrong)}")
        return table


def _records_url(url: str) -> str:
    # Here, for what knows of databases is loaded by those alone whose settings name one.
    from services.runtime.records.engine import parse

    parse(url)
    return url


RecordsUrl = Annotated[str, AfterValidator(_records_url)]
"""The URL of a database that records can be kept in."""


class Settings(BaseSettings):
    """The base of every service's settings. A subclass names its `service`; the prefix follows from it."""

    service: ClassVar[str]
    model_config = SettingsConfigDict(
        # Values may be secrets, such as the password of a database.
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.model_config["env_prefix"] = prefix(cls.__dict__.get("service", getattr(cls, "service", "")))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _TomlSource(settings_cls)


@dataclass(frozen=True, slots=True)
class TraceExport:
    """Where spans go. `collector` is its whole address, and `endpoint` the same where the service's own settings name
    it: what they leave open, OpenTelemetry's exporter reads from the OTEL_… variables itself. `ratio` is the share of
    new traces that are recorded, None where OTEL_TRACES_SAMPLER says it; `new_traces` is what that comes to."""

    on: bool
    endpoint: str = ""
    collector: str = ""
    http: bool = False
    ratio: float | None = None
    new_traces: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: str = ""


OFF = TraceExport(False)


def trace_export(endpoint: str, ratio: float | None) -> TraceExport:
    """As a service's settings say, else as the usual variables of OpenTelemetry do."""
    exporter, sampler = _otel("TRACES_EXPORTER"), _otel("TRACES_SAMPLER")
    named = _otlp("ENDPOINT")
    if _otel("SDK_DISABLED").lower() == "true" or exporter not in ("", "otlp") or not (endpoint or named or exporter):
        return OFF
    http = not endpoint and _otlp("PROTOCOL").startswith("http/")
    collector = endpoint or named or f"http://127.0.0.1:{4318 if http else 4317}"
    if http and not _otel("EXPORTER_OTLP_TRACES_ENDPOINT"):
        collector = f"{collector.rstrip('/')}/v1/traces"
    return TraceExport(
        True, endpoint, collector if "://" in collector else f"http://{collector}", http,
        1.0 if ratio is None and not sampler else ratio, _new_traces(sampler) if ratio is None else ratio,
        _pairs(_otlp("HEADERS")), _otlp("CERTIFICATE"),
    )  # fmt: skip


def _otel(name: str) -> str:
    return os.environ.get(f"OTEL_{name}", "").strip()


def _otlp(name: str) -> str:
    """A variable of the exporter, that for traces before that for everything."""
    return _otel(f"EXPORTER_OTLP_TRACES_{name}") or _otel(f"EXPORTER_OTLP_{name}")


def _pairs(text: str) -> dict[str, str]:
    """`name=value,name=value`, percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has it."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs}


def _new_traces(sampler: str) -> float:
    if sampler.endswith("always_off"):
        return 0.0
    try:
        return float(_otel("TRACES_SAMPLER_ARG")) if sampler.endswith("traceidratio") else 1.0
    except ValueError:
        return 1.0


def read_token(path: Path) -> str:
    """The token that a file holds. Raises OSError, and ValueError for one that is none, or too short to be one."""
    token = path.read_text("ascii", "replace").strip()
    if not TOKEN.fullmatch(token):
        raise ValueError(f"{path} has to hold one token of 32 to 256 letters, digits, - and _")
    return token


def unknown_variables() -> list[str]:
    """What is wrong with variables of the environment that this process would read if they were settings."""
    return spelling.unknown_variables(os.environ, {kind.service: kind.model_fields for kind in _classes(Settings)})


def _classes(kind: type[Settings]) -> list[type[Settings]]:
    """The settings that this process has loaded."""
    below = kind.__subclasses__()
    return [*(each for each in below if not each.__subclasses__()), *(far for each in below for far in _classes(each))]


class ServerSettings(Settings):
    """What every gRPC server has."""

    service: ClassVar[str] = "server"

    host: str = Field("127.0.0.1", description="Address the gRPC server binds to.")
    port: int = Field(0, ge=0, le=65535, description="Port of the gRPC server; 0 picks a free one.")
    socket: Path | None = Field(
        None,
        description="Unix socket that the gRPC server listens at in place of host and port, without TLS: only its own "
        "user can connect.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of the Prometheus endpoint /metrics; 0 turns it off."
    )
    replica: str = Field(
        "", description="Name of this replica, such as orchestrator-0; the service's name and -0 if empty."
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="Least level that is logged: debug, info, warning, error.",
    )
    identity_public_key: Path | None = Field(
        None, description="PEM file of the Ed25519 public key that identity tokens are checked with."
    )
    identity_leeway_seconds: float = Field(
        LEEWAY,
        ge=0,
        le=60,
        description="How far the gateway's clock and this host's may be apart when identity tokens are checked.",
    )
    max_deadline_seconds: float = Field(
        120, gt=0, description="Longest time a call may take; also the deadline of calls that come without one."
    )
    max_upload_seconds: float = Field(
        3600, gt=0, description="The same for calls that stream their requests, such as an ingestion."
    )
    max_concurrent_rpcs: int = Field(
        2000, gt=0, description="Calls served at once; more are refused with RESOURCE_EXHAUSTED."
    )
    max_message_bytes: int = Field(8 << 20, gt=0, description="Longest single gRPC message, in bytes.")
    drain_seconds: float = Field(
        10, ge=0, description="After SIGTERM: how long calls under way may take to finish before they are cancelled."
    )
    otlp_endpoint: str = Field(
        "",
        description="OTLP/gRPC endpoint for traces, such as http://127.0.0.1:4317. Empty goes by the variables "
        "OTEL_EXPORTER_OTLP_…, and exports none without them.",
    )
    trace_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of new traces that are recorded; unset goes by OTEL_TRACES_SAMPLER, and records all without "
        "it.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file of this service's certificate; with it, its key and the CA, gRPC is mutual TLS. "
        "Read again when it changes.",
    )
    tls_private_key: Path | None = Field(None, description="PEM file of that certificate's private key.")
    tls_ca: Path | None = Field(
        None, description="PEM file of the CA that signed the certificates of all services of the mesh."
    )

    @property
    def replica_name(self) -> str:
        return self.replica or f"{self.service}-0"

    @property
    def trace_export(self) -> TraceExport:
        """Where spans go."""
        return trace_export(self.otlp_endpoint, self.trace_ratio)

    @property
    def tls(self) -> TlsFiles | None:
        """This service's certificates; None where it speaks without TLS."""
        if self.tls_certificate and self.tls_private_key and self.tls_ca:
            return TlsFiles(self.tls_certificate, self.tls_private_key, self.tls_ca)
        return None

    @model_validator(mode="after")
    def _has_all_of_tls_or_none(self) -> Self:
        given = {self.tls_certificate is None, self.tls_private_key is None, self.tls_ca is None}
        if len(given) > 1:
            raise ValueError("tls_certificate, tls_private_key and tls_ca go together: give all three or none")
        return self
