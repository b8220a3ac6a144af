"""A chat completion's JSON body to a run request."""

from dataclasses import dataclass, field

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from gateway.faces.http.openai import fields, messages, sampling, tools
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

# What would change the answer if it were obeyed and cannot be: why, and what to write instead.
REFUSED = {
    "functions": "is OpenAI's old form: write tools",
    "function_call": "is OpenAI's old form: write tool_choice",
    "logprobs": "is not supported",
    "top_logprobs": "is not supported",
    "logit_bias": "is not supported",
    "audio": "is not supported",
    "web_search_options": "is not supported: use an agent with a search tool",
}


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
    _refuse(body)
    metadata = fields.mapping(body, "metadata")
    run = pb.RunRequest(
        model=fields.text(body, "model"),
        messages=messages.parse(body),
        collection=_of(metadata, "collection"),
        session_id=_of(metadata, "session_id"),
        tools=tools.parse(body),
        tool_choice=tools.choice(body),
        serial_tool_calls=not fields.flag(body, "parallel_tool_calls", default=True),
        response_format=tools.response_format(body),
        sampling=sampling.parse(body),
        priority=sampling.priority(body),
    )
    options = fields.mapping(body, "stream_options")
    include_usage = fields.flag(options, "include_usage", "stream_options.")
    return ChatRequest(run, fields.flag(body, "stream"), include_usage, messages.seams(body))


def _refuse(body: Json) -> None:
    if body.get("n") not in (None, 1):
        raise BadRequest("n must be 1", "n")
    for name, why in REFUSED.items():
        if body.get(name):
            raise BadRequest(f"{name} {why}", name)


def _of(metadata: Json, name: str) -> str:
    value = metadata.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"metadata.{name} must be a string", f"metadata.{name}")
    return value
