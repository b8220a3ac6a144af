"""What the operator lets tools reach: databases, MCP servers, gRPC targets, hosts. Read from a YAML file.

Agents' specs name these things; addresses, commands and secrets are here only, and secrets are read from the
environment.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.orchestrator.tools.databases import ReadOnlyDatabase
from services.runtime import strict_yaml
from services.runtime.file_faults import why
from services.runtime.hosts import HostRule
from services.runtime.strict_yaml import BadYaml, Problem, YamlDocument, dotted
from services.runtime.strict_yaml import Path as FieldPath

NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,30}$"


class BadToolSettings(ValueError):
    """The file of tool settings is wrong; the message names the file, the line and the field."""


class ToolConfigPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _rules(given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        HostRule.parse(one)
    return given


class Http(ToolConfigPart):
    """`hosts`: the most that a spec may allow, * for all of the internet's. `private_hosts`: those of them whose
    addresses may be in a private network."""

    hosts: tuple[str, ...] = ("*",)
    private_hosts: tuple[str, ...] = ()
    max_bytes: int = Field(1 << 20, ge=1, le=64 << 20)

    @field_validator("hosts", "private_hosts")
    @classmethod
    def _are_rules(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return _rules(given)


class SqlDatabase(ToolConfigPart):
    """`url`: SQLAlchemy's. `tables`: those that may be read, all if empty; on PostgreSQL those that are told of."""

    url: str
    tables: tuple[str, ...] = ()
    max_rows: int = Field(200, ge=1, le=10_000)

    @field_validator("url")
    @classmethod
    def _can_be_read_only(cls, given: str) -> str:
        try:
            ReadOnlyDatabase(given)
        except ValueError:
            raise
        except Exception as error:  # SQLAlchemy's own words would show the URL, and a password in it
            raise ValueError("not an SQLAlchemy URL, such as sqlite:////data/sales.db") from error
        return given


class McpServerSettings(ToolConfigPart):
    """`command` or `url`. `env`: variables that the command gets, beside HOME, PATH and the like. `optional`: agents
    run without its tools while it is gone."""

    command: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str = Field("", pattern=r"^(https?://\S+)?$")
    headers: dict[str, str] = Field(default_factory=dict)
    start_seconds: float = Field(20, gt=0, le=300)
    concurrency: int = Field(8, ge=1, le=256)
    optional: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> "McpServerSettings":
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP server has a command or a url")
        if self.url and (self.env or self.cwd):
            raise ValueError("env and cwd belong to a command")
        if self.command and self.headers:
            raise ValueError("headers belong to a url")
        return self


class GrpcTargetSettings(ToolConfigPart):
    """`mesh`: a service of this mesh, which is called as the caller; others get `metadata`."""

    target: str = Field(min_length=1)
    mesh: bool = False
    tls: bool = False
    metadata: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_identity(self) -> "GrpcTargetSettings":
        if self.mesh and (self.metadata or self.tls):
            raise ValueError("a service of the mesh takes the caller's identity, neither metadata nor tls")
        bad = [key for key in self.metadata if not key.islower() or key.startswith("grpc-") or key.endswith("-bin")]
        if bad:
            raise ValueError(f"{bad[0]!r} is no key of metadata: lower case, neither grpc-… nor …-bin")
        return self


class PythonSettings(ToolConfigPart):
    """`max_…`: the most that a spec may ask for. `concurrency`: processes at once."""

    enabled: bool = True
    concurrency: int = Field(4, ge=1, le=64)
    max_memory_mib: int = Field(1024, ge=64)
    max_seconds: float = Field(60, gt=0)


class ToolSettings(ToolConfigPart):
    """The file as a whole. Without one there are no databases, no MCP servers and no gRPC targets but the mesh's."""

    http: Http = Http()
    databases: dict[str, SqlDatabase] = Field(default_factory=dict)
    mcp: dict[str, McpServerSettings] = Field(default_factory=dict)
    grpc: dict[str, GrpcTargetSettings] = Field(default_factory=dict)
    python: PythonSettings = PythonSettings()

    @field_validator("databases", "mcp", "grpc")
    @classmethod
    def _have_names(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name in given:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"{name!r} is no name: up to 31 letters, digits, _ and -")
        return given


def load(path: Path, environment: Mapping[str, str]) -> ToolSettings:
    """The settings in a file; a value {env: NAME} is that variable of `environment`. Raises BadToolSettings."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadToolSettings(f"{path} cannot be read: {why(error)}") from error
    return parse(text, environment, str(path))


def parse(text: str, environment: Mapping[str, str], name: str = "tools.yaml") -> ToolSettings:
    """The settings in a YAML text. Raises BadToolSettings."""
    if not text.strip():
        return ToolSettings()
    try:
        source = strict_yaml.read(text)
    except BadYaml as error:
        raise BadToolSettings(_told(name, error.problems)) from None
    problems: list[Problem] = []
    data = _filled(source.data, (), source, environment, problems)
    if not isinstance(data, dict):
        problems = [Problem("", "the settings are a mapping, such as `http: {hosts: [example.com]}`", 1)]
    if not problems:
        try:
            return ToolSettings.model_validate(data)
        except ValidationError as error:
            problems = source.problems(error, form=ToolSettings)
    raise BadToolSettings(_told(name, problems))


def _told(name: str, problems: Sequence[Problem]) -> str:
    return "; ".join(f"{name}:{one.line}: {one.field}{': ' if one.field else ''}{one.message}" for one in problems)


def _filled(
    value: Any, path: FieldPath, source: YamlDocument, environment: Mapping[str, str], problems: list[Problem]
) -> Any:
    """The value with each {env: NAME} replaced."""
    if isinstance(value, list):
        return [_filled(one, (*path, i), source, environment, problems) for i, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if set(value) == {"env"} and isinstance(value["env"], str):
        found = environment.get(value["env"])
        if found is None:
            problems.append(Problem(dotted(path), f"the variable {value['env']} is not set", source.line(path)))
        return found
    return {key: _filled(one, (*path, key), source, environment, problems) for key, one in value.items()}
