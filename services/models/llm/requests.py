"""What the language model is asked, read from JSON.

    {"op": "generate", "id": …, "messages": […], …}   the fields of Generate; answered by chunks
    {"op": "cancel", "id": …}                         ends that one; answered by nothing
    {"op": "count", "messages": […], "tools": […]}    answered by [{"prompt_tokens": n}]
    {"op": "health"}                                  answered by [{"idle_seconds": s}] once it has generated lately

An operation may be answered by [{"error": …}] instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.models.llm.errors import BadRequest

PRIORITIES = ("interactive", "batch")
SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "ignore_eos",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages and tools in OpenAI's form."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Generate:
    """A text to generate.

    `sampling` has some of SAMPLING. `tool_choice` and `response_format` are in OpenAI's form. `remaining` is in
    seconds, None for no limit. `stream` groups requests whose caller leaves with all of them.
    """

    id: str
    prompt: Prompt
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    response_format: Mapping[str, Any] | None = None
    lora: str = ""
    batch: bool = False
    confidence: bool = False
    remaining: float | None = None
    stream: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the generation of that id."""

    id: str


@dataclass(frozen=True, slots=True)
class Count:
    """Count the tokens of a prompt."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Health:
    """Say whether text can be generated."""


Request = Generate | Cancel | Count | Health


def read(body: bytes) -> Request:
    """Raises BadRequest."""
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise BadRequest("a request is a JSON object")
    match values.get("op"):
        case "generate":
            return _generate(values)
        case "cancel":
            return Cancel(_id(values))
        case "count":
            return Count(_prompt(values))
        case "health":
            return Health()
        case other:
            raise BadRequest(f"there is no operation {other!r}")


def _generate(values: dict[str, Any]) -> Generate:
    sampling = values.get("sampling") or {}
    if not isinstance(sampling, dict) or not sampling.keys() <= set(SAMPLING):
        raise BadRequest(f"sampling has some of {', '.join(SAMPLING)}")
    priority = values.get("priority") or PRIORITIES[0]
    if priority not in PRIORITIES:
        raise BadRequest(f"priority is one of {', '.join(PRIORITIES)}")
    remaining = values.get("remaining")
    if remaining is not None and not isinstance(remaining, int | float):
        raise BadRequest("remaining is a number of seconds")
    return Generate(
        id=_id(values),
        prompt=_prompt(values),
        sampling={name: value for name, value in sampling.items() if value is not None},
        tool_choice=values.get("tool_choice"),
        parallel_tool_calls=values.get("parallel_tool_calls") is not False,
        response_format=values.get("response_format"),
        lora=values.get("lora") or "",
        batch=priority == "batch",
        confidence=bool(values.get("confidence")),
        remaining=remaining,
        stream=str(values.get("stream") or ""),
        traceparent=values.get("traceparent") or "",
    )


def _prompt(values: dict[str, Any]) -> Prompt:
    messages, tools = values.get("messages"), values.get("tools") or ()
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages is a list with at least one message")
    if not isinstance(tools, list | tuple):
        raise BadRequest("tools is a list")
    return Prompt(messages, tools)


def _id(values: dict[str, Any]) -> str:
    found = values.get("id")
    if not isinstance(found, str) or not found:
        raise BadRequest("id is a string that is not empty")
    return found
