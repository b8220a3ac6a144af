"""A conversation, its tools, and what a model is asked to make of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Declaration:
    """A tool as the model sees it.

    `name` matches [a-zA-Z0-9_-]{1,64}; `parameters` is the JSON schema of an object; `json` says that results are JSON
    texts, which is then checked. `strict`: whether its server must hold a call to the schema; None leaves it to that.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    json: bool = False
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the model wrote it. `arguments_json` is not checked yet; empty stands for an empty object. `beside`:
    what its server gave with it and wants back with its result, such as a sealed thought, as the JSON of an object;
    empty for nothing."""

    id: str
    name: str
    arguments_json: str
    beside: str = ""


class Role(IntEnum):
    """Who speaks; the values are the contract's."""

    SYSTEM = 1
    USER = 2
    ASSISTANT = 3
    TOOL = 4


@dataclass(frozen=True, slots=True)
class Message:
    """`tool_calls` go with ASSISTANT, `tool_call_id` with TOOL, whose `content` is the result."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""


class Choice(IntEnum):
    """How free the model is to call tools; the values are the contract's."""

    AUTO = 1
    NONE = 2
    REQUIRED = 3
    FUNCTION = 4


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`function` names the tool for Choice.FUNCTION."""

    choice: Choice = Choice.AUTO
    function: str = ""


class Form(IntEnum):
    """The form of an answer; the values are the contract's."""

    TEXT = 1
    JSON_OBJECT = 2
    JSON_SCHEMA = 3


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """`schema` is the JSON schema for Form.JSON_SCHEMA. `strict`: whether the model's server must enforce it; None
    leaves it to that."""

    form: Form = Form.TEXT
    name: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = True


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are picked; None leaves it to the agent, then to the model."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool = False


def merge(given: Sampling, default: Sampling) -> Sampling:
    """What is given, and the default where nothing is; a zero is given."""
    if default == Sampling():
        return given
    missing = {each.name: getattr(default, each.name) for each in fields(Sampling) if _unset(given, each.name)}
    return replace(given, **missing)


def _unset(sampling: Sampling, name: str) -> bool:
    value = getattr(sampling, name)
    return value is None or value is False or value == ()


class Priority(IntEnum):
    """Who is served first; the values are the contract's."""

    INTERACTIVE = 1
    BATCH = 2
