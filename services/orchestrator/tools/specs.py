"""The `tools` of an agent's spec: what may stand there, with the defaults."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.orchestrator.domain.tool import ToolPolicy
from services.runtime.form_words import words
from services.runtime.hosts import ANY, HostRule
from services.runtime.spelling import meant

NAME = r"^[a-zA-Z0-9_-]{1,64}$"
METHOD = re.compile(r"([a-zA-Z_]\w*\.)*[a-zA-Z_]\w*/[a-zA-Z_]\w*")
# A place below `tools`, and what is wrong there.
Problem: TypeAlias = tuple[tuple[str | int, ...], str]


class ToolSpec(BaseModel):
    """What every entry may set; see ToolPolicy. `default_timeout` holds where none is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    default_timeout: ClassVar[float] = 30.0

    timeout: float | None = Field(None, gt=0, le=3600)
    attempts: int = Field(1, ge=1, le=10)
    result_limit: int = Field(20_000, ge=100, le=1_000_000)
    approval: bool = False
    max_calls: int | None = Field(None, ge=1)

    @property
    def seconds_for_call(self) -> float:
        return self.timeout or self.default_timeout

    @property
    def policy(self) -> ToolPolicy:
        return ToolPolicy(self.seconds_for_call, self.attempts, self.result_limit, self.approval, self.max_calls)


class SearchSpec(ToolSpec):
    """Search in the agent's collections."""


class CalculatorSpec(ToolSpec):
    default_timeout = 5.0


class CurrentTimeSpec(ToolSpec):
    default_timeout = 5.0


class HttpGetSpec(ToolSpec):
    """`hosts`: see HostRule; each must be within what the operator allows."""

    hosts: tuple[str, ...] = Field(min_length=1, max_length=64)

    @field_validator("hosts")
    @classmethod
    def _are_rules(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            if HostRule.parse(one).host == ANY:
                raise ValueError("a spec names its hosts; * is for the operator's settings")
        return given


class SqlSpec(ToolSpec):
    """`database`: by its name in the operator's settings. `tables`: those that may be read."""

    database: str
    name: str = Field("", pattern=r"^[a-zA-Z0-9_-]{0,64}$")
    tables: tuple[str, ...] = ()
    max_rows: int | None = Field(None, ge=1, le=10_000)
    seconds: float = Field(10, gt=0, le=600)

    @property
    def seconds_for_call(self) -> float:
        return self.timeout or self.seconds + 5


class PythonSpec(ToolSpec):
    """The sandbox's limits. `output` in bytes."""

    memory_mib: int = Field(256, ge=64)
    scratch_mib: int = Field(16, ge=1, le=1024)
    seconds: float = Field(10, gt=0)
    output: int = Field(64 << 10, ge=1, le=16 << 20)

    @property
    def seconds_for_call(self) -> float:
        """The code's own limit, and time to start its process."""
        return self.timeout or self.seconds + 20


class GrpcSpec(ToolSpec):
    """`grpc`: package.Service/Method. `target`: by its name in the operator's settings, or a service of the mesh."""

    grpc: str
    target: str
    name: str = Field("", pattern=r"^[a-zA-Z0-9_-]{0,64}$")
    description: str = Field("", max_length=4000)
    max_messages: int = Field(100, ge=1, le=10_000)
    max_bytes: int = Field(1 << 20, ge=1, le=16 << 20)

    @field_validator("grpc")
    @classmethod
    def _is_method(cls, given: str) -> str:
        if not METHOD.fullmatch(given):
            raise ValueError("a method is written package.Service/Method")
        return given


class McpSpec(ToolSpec):
    """`mcp`: a server by its name in the operator's settings. `allow`: these of its tools; * for all. `optional`: the
    agent runs without them while the server is gone; None as the operator has it."""

    mcp: str
    allow: tuple[str, ...] = Field(min_length=1)
    optional: bool | None = None


BUILTIN: dict[str, type[ToolSpec]] = {
    "search": SearchSpec, "calculator": CalculatorSpec, "current_time": CurrentTimeSpec, "http_get": HttpGetSpec,
    "sql": SqlSpec, "python": PythonSpec,
}  # fmt: skip


def parse(entries: Sequence[Any]) -> tuple[list[tuple[int, ToolSpec]], list[Problem]]:
    """The entries, each with its number, and all that is wrong with the others."""
    specs: list[tuple[int, ToolSpec]] = []
    problems: list[Problem] = []
    for number, entry in enumerate(entries):
        try:
            form, settings = _form(entry)
        except ValueError as error:
            problems.append(((number,), str(error)))
            continue
        try:
            specs.append((number, form.model_validate(settings)))
        except ValidationError as error:
            problems += [((number, *one["loc"]), words(one, form)) for one in error.errors(include_url=False)]
    return specs, problems


def _form(entry: Any) -> tuple[type[ToolSpec], dict[str, Any]]:
    """What an entry has to be, and what it says. Raises ValueError."""
    if isinstance(entry, str):
        return _builtin(entry), {}
    if not isinstance(entry, dict):
        raise ValueError("a tool is a name, or a mapping with tool, grpc or mcp")
    kinds = [kind for kind in ("tool", "grpc", "mcp") if kind in entry]
    if len(kinds) != 1:
        raise ValueError("a tool has one of tool, grpc and mcp")
    if kinds[0] == "tool":
        return _builtin(entry["tool"]), {key: value for key, value in entry.items() if key != "tool"}
    return (GrpcSpec if kinds[0] == "grpc" else McpSpec), entry


def _builtin(name: Any) -> type[ToolSpec]:
    if not isinstance(name, str) or name not in BUILTIN:
        near = meant(name, BUILTIN) if isinstance(name, str) else ""
        raise ValueError(f"there is no tool {name!r}{near}; there are: {', '.join(BUILTIN)}, and grpc and mcp")
    return BUILTIN[name]
