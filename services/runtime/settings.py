"""Settings: frozen classes, filled from the environment, then from a TOML file, then from their defaults.

A service's settings are read from HEADWORKS_<SERVICE>_<FIELD>, then from the table [<service>] of the file that
HEADWORKS_CONFIG names.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
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


class Settings(BaseSettings):
    """The base of every service's settings. A subclass names its `service`; the prefix follows from it."""

    service: ClassVar[str]
    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

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
        "", description="OTLP/gRPC endpoint for traces, such as http://127.0.0.1:4317; empty exports none."
    )
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of new traces that are recorded when an endpoint is set."
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
