"""A chat completion's JSON body to a run request."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1.prompt_pb2 import PromptUse
from headworks.retrieval.v1.retrieval_service_pb2 import Condition, Filter

from gateway.calls import bare_fields
from gateway.faces.http.openai import fields, messages, prompt_fields, run_fields, sampling, tools
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.runtime.errors import DomainError
from services.runtime.labels import field_of

# Fields of a run that stand under `metadata` in a chat completion.
_IN_METADATA = ("session_id", "collection", "filter")
_FILTER = "filter."


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked, and in which form the answer goes out. `seams`: where the messages' parts were joined."""

    run: pb.RunRequest
    stream: bool
    include_usage: bool
    seams: list[list[int]] = field(default_factory=list)


def parse(data: bytes) -> ChatRequest:
    """Raises BadRequest, naming the field."""
    return read(fields.parse(data))


def read(body: Json) -> ChatRequest:
    """Of a body that is JSON. Raises BadRequest, naming the field."""
    body, prompt = prompt_fields.taken(body)
    run_fields.check(body)
    metadata = fields.mapping(body, "metadata")
    run = pb.RunRequest(
        model=fields.text(body, "model"),
        messages=messages.parse(body, beside=prompt is not None),
        collection=_of(metadata, "collection"),
        session_id=_of(metadata, "session_id"),
        tools=tools.parse(body),
        tool_choice=tools.choice(body),
        serial_tool_calls=not fields.flag(body, "parallel_tool_calls", default=True),
        response_format=tools.response_format(body),
        sampling=sampling.parse(body),
        priority=sampling.priority(body),
        filter=_filter(metadata),
        prompt=_prompt(prompt) if prompt is not None else None,
    )
    options = fields.mapping(body, "stream_options")
    fields.known(options, bare_fields.SAFE_WITHIN["stream_options"], "stream_options.")
    include_usage = fields.flag(options, "include_usage", "stream_options.")
    return ChatRequest(run, fields.flag(body, "stream"), include_usage, messages.seams(body))


def _of(metadata: Json, name: str) -> str:
    value = metadata.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"metadata.{name} must be a string", f"metadata.{name}")
    return value


def _filter(metadata: Json) -> Filter | None:
    """The keys `filter.KEY`: which documents are read. None where there are none."""
    named = [(name, each) for name, each in metadata.items() if name.startswith(_FILTER)]
    return Filter(must=[_condition(name, each) for name, each in named]) if named else None


def _condition(name: str, given: Any) -> Condition:
    values = given if isinstance(given, list) else [given]
    key = name.removeprefix(_FILTER)
    if not key or not values or not all(isinstance(one, str) and one for one in values):
        raise BadRequest(f"metadata.{name} must be a string, or a list of strings, and not empty", f"metadata.{name}")
    return Condition(field=field_of(key), any_of=values)


def _prompt(named: prompt_fields.NamedPrompt) -> PromptUse:
    return PromptUse(
        name=named.name, variables={name: orjson.dumps(value).decode() for name, value in named.variables.items()}
    )


def in_its_words(error: DomainError) -> DomainError:
    """An error of a run, its field named as this form has it."""
    if (field := error.details.get("field")) in _IN_METADATA:
        error.details["field"] = f"metadata.{field}"
    return error
