"""The settings class of every service, and where each setting's value comes from."""

import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from cli.errors import USAGE, CliError
from cli.output import warn
from services.runtime import spelling
from services.runtime.settings import CONFIG_FILE_VARIABLE, Settings, toml_table

CLASSES = {
    "gateway": "gateway.settings:GatewaySettings",
    "orchestrator": "services.orchestrator.settings:OrchestratorSettings",
    "retrieval": "services.retrieval.settings:RetrievalSettings",
    "control": "services.control.settings:ControlSettings",
    "llm": "services.llm.settings:LlmSettings",
    "models": "services.models.settings:ModelsSettings",
}
UP = "headworks up"
MASK = "********"
SECRET = re.compile(r"(^|_)(password|secret|token|api_key)$")
PASSWORD_IN_URL = re.compile(r"(?<=://)([^/:@\s]*):([^/@\s]+)@")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it takes effect. `source` is an environment variable, a file, "headworks up" or "default"."""

    service: str
    name: str
    variable: str
    value: str
    default: str
    source: str
    description: str


def settings_class(service: str) -> type[Settings]:
    module, _, name = CLASSES[service].partition(":")
    kind: type[Settings] = getattr(importlib.import_module(module), name)
    return kind


def settings_of(service: str, local: Mapping[str, str] | None = None) -> list[Setting]:
    """Every setting of the service; `local` are those that the supervisor sets. Raises CliError for a bad one."""
    kind = settings_class(service)
    local = local or {}
    try:
        table = toml_table(service)
        effective = kind()
    except (ValidationError, ValueError) as error:
        raise CliError(f"the settings of {service} are not valid: {_reasons(error)}") from None
    prefix = str(kind.model_config.get("env_prefix", ""))
    settings = []
    for name, field in kind.model_fields.items():
        variable = f"{prefix}{name}".upper()
        source = _source(name, variable, table, local)
        value = local[name] if source == UP else getattr(effective, name)
        default = field.get_default(call_default_factory=True, validated_data={})
        settings.append(
            Setting(service, name, variable, masked(name, value), as_text(default), source, field.description or "")
        )
    return settings


def check_settings(tables: Mapping[str, Any]) -> None:
    """Refuse what a service would not start with, before anything is started. `tables` are the configuration file's.

    Raises CliError.
    """
    if wrong := spelling.unknown_tables(tables, CLASSES):
        raise CliError(f"the configuration file: {'; '.join(wrong)}", USAGE)
    for service in CLASSES:
        settings_of(service)
    _warn_of_unknown_variables()


def _warn_of_unknown_variables() -> None:
    """On standard error, of variables that no service and no verb reads."""
    fields = {service: settings_class(service).model_fields for service in CLASSES}
    for wrong in spelling.unknown_variables(os.environ, fields):
        warn(f"warning: {wrong}")


def _source(name: str, variable: str, table: Mapping[str, Any], local: Mapping[str, str]) -> str:
    if name in local:
        return UP
    if os.environ.get(variable):
        return variable
    return os.environ.get(CONFIG_FILE_VARIABLE, "") if name in table else "default"


def masked(name: str, value: object) -> str:
    """The value as it may be printed: a secret is not."""
    text = as_text(value)
    if text and not isinstance(value, Path) and SECRET.search(name):
        return MASK
    return PASSWORD_IN_URL.sub(rf"\1:{MASK}@", text)


def as_text(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reasons(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return str(error)
