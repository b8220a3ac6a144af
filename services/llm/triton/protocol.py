"""The language model's protocol: what its clients ask, what it answers, and the JSON of both, for both ends. Pure.

    {"op": "generate", "id": …, "messages": […], …}   the fields of Generate; answered by lists of chunks
    {"op": "cancel", "id": …}                         ends that one; answered by nothing
    {"op": "count", "messages": […], "tools": […]}    answered by [{"prompt_tokens": n}]
    {"op": "health"}                                  answered by [{"idle_seconds": s}] once it has generated lately

A generation's chunks:

    {"text": …, "tokens": n}                           the answer grew
    {"tool_calls": [{"id", "name", "arguments"}]}      complete calls; arguments are a JSON string
    {"finish": "stop" | "length" | "tool_calls" | "cancelled", "usage": {"prompt", "completion", "cached"},
     "confidence": 0..1 or null, "queue_seconds": …, "ttft_seconds": …}
    {"error": {"kind", "reason", "message", "metadata", "retry_after"}}

Exactly one of the last two ends it. Any operation may be answered by [{"error": …}] instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.runtime.errors import DomainError, ErrorKind, InvalidArgument, UpstreamError

MODEL = "llm"
PRIORITIES = ("interactive", "batch")
SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "ignore_eos",
)  # fmt: skip


class InvalidLlmRequest(InvalidArgument):
    """The request cannot be read."""

    reason = "BAD_LLM_REQUEST"


class MalformedLlmMessage(ValueError):
    """An answer is not of this protocol."""


@dataclass(frozen=True, slots=True)
class LlmPrompt:
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
    prompt: LlmPrompt
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

    prompt: LlmPrompt


@dataclass(frozen=True, slots=True)
class LlmHealth:
    """Say whether text can be generated."""


Request = Generate | Cancel | Count | LlmHealth


@dataclass(frozen=True, slots=True)
class Text:
    """The answer grew by `text`, which took so many tokens."""

    text: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class LlmToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """Complete calls."""

    calls: tuple[LlmToolCall, ...]


@dataclass(frozen=True, slots=True)
class LlmFinished:
    """The end. `prompt`, `completion` and `cached` are tokens; `finish` is stop, length, tool_calls or cancelled."""

    finish: str
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    confidence: float | None = None
    queue_seconds: float = 0.0
    ttft_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The end, by an error."""

    kind: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None

    @classmethod
    def of(cls, error: DomainError) -> "Failed":
        return cls(error.kind.name, error.reason, error.message, error.details, error.retry_after)

    @property
    def error(self) -> DomainError:
        details = {str(name): str(value) for name, value in self.metadata.items()}
        try:
            kind = ErrorKind[self.kind]
        except KeyError as error:
            raise MalformedLlmMessage(f"there is no kind {self.kind!r} of errors") from error
        return UpstreamError(kind, self.reason, self.message, **details).retry_in(self.retry_after)


@dataclass(frozen=True, slots=True)
class Counted:
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Healthy:
    """It generated so many seconds ago."""

    idle_seconds: float


Chunk = Text | ToolCalls | LlmFinished | Failed | Counted | Healthy


def encode(request: Request) -> bytes:
    """A request as its client sends it: what is not the default."""
    return orjson.dumps(_fields_of(request))


def read(body: bytes) -> Request:
    """A request as the model gets it. Raises InvalidLlmRequest."""
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidLlmRequest(f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidLlmRequest("a request is a JSON object")
    match values.get("op"):
        case "generate":
            return _generate(values)
        case "cancel":
            return Cancel(_id(values))
        case "count":
            return Count(_prompt(values))
        case "health":
            return LlmHealth()
        case other:
            raise InvalidLlmRequest(f"there is no operation {other!r}")


def encode_chunks(chunks: Sequence[Chunk]) -> bytes:
    """Chunks as the model sends them; nothing for none."""
    return orjson.dumps([_values_of(chunk) for chunk in chunks]) if chunks else b""


def read_chunks(body: bytes) -> list[Chunk]:
    """Chunks as a client gets them, without those of a kind that it does not know. Raises MalformedLlmMessage."""
    try:
        return [chunk for values in orjson.loads(body) if (chunk := _chunk(values)) is not None]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedLlmMessage("an answer is not of the language model's protocol") from error


def _fields_of(request: Request) -> dict[str, Any]:
    match request:
        case Cancel():
            return {"op": "cancel", "id": request.id}
        case Count():
            return {"op": "count", "messages": request.prompt.messages, "tools": request.prompt.tools}
        case LlmHealth():
            return {"op": "health"}
    made: dict[str, Any] = {"op": "generate", "id": request.id, "messages": request.prompt.messages}
    made["sampling"] = request.sampling
    if request.prompt.tools:
        made["tools"] = request.prompt.tools
        made["parallel_tool_calls"] = request.parallel_tool_calls
    if request.batch:
        made["priority"] = PRIORITIES[1]
    for name in ("tool_choice", "response_format", "lora", "confidence", "remaining", "stream", "traceparent"):
        value = getattr(request, name)
        if value not in (None, "", False) or (name == "remaining" and value is not None):
            made[name] = value
    return made


def _values_of(chunk: Chunk) -> dict[str, Any]:
    match chunk:
        case Text():
            return {"text": chunk.text, "tokens": chunk.tokens}
        case ToolCalls():
            return {"tool_calls": chunk.calls}
        case Counted():
            return {"prompt_tokens": chunk.prompt_tokens}
        case Healthy():
            return {"idle_seconds": chunk.idle_seconds}
        case LlmFinished():
            return {
                "finish": chunk.finish,
                "usage": {"prompt": chunk.prompt, "completion": chunk.completion, "cached": chunk.cached},
                "confidence": chunk.confidence,
                "queue_seconds": chunk.queue_seconds,
                "ttft_seconds": chunk.ttft_seconds,
            }
    error: dict[str, Any] = {
        "kind": chunk.kind, "reason": chunk.reason, "message": chunk.message, "metadata": chunk.metadata,
    }  # fmt: skip
    if chunk.retry_after is not None:
        error["retry_after"] = chunk.retry_after
    return {"error": error}


def _chunk(values: Mapping[str, Any]) -> Chunk | None:
    if "text" in values:
        return Text(values["text"], int(values.get("tokens") or 0))
    if "tool_calls" in values:
        calls = values["tool_calls"]
        return ToolCalls(tuple(LlmToolCall(call["id"], call["name"], call["arguments"]) for call in calls))
    if "finish" in values:
        usage = values["usage"]
        return LlmFinished(
            values["finish"],
            int(usage["prompt"]),
            int(usage["completion"]),
            int(usage.get("cached") or 0),
            values.get("confidence"),
            float(values.get("queue_seconds") or 0),
            float(values.get("ttft_seconds") or 0),
        )
    if "error" in values:
        error = values["error"]
        return Failed(
            error["kind"],
            error["reason"],
            error["message"],
            error.get("metadata") or {},
            error.get("retry_after"),
        )
    if "prompt_tokens" in values:
        return Counted(int(values["prompt_tokens"]))
    return Healthy(float(values["idle_seconds"])) if "idle_seconds" in values else None


def _generate(values: dict[str, Any]) -> Generate:
    sampling = values.get("sampling") or {}
    if not isinstance(sampling, dict) or not sampling.keys() <= set(SAMPLING):
        raise InvalidLlmRequest(f"sampling has some of {', '.join(SAMPLING)}")
    priority = values.get("priority") or PRIORITIES[0]
    if priority not in PRIORITIES:
        raise InvalidLlmRequest(f"priority is one of {', '.join(PRIORITIES)}")
    remaining = values.get("remaining")
    if remaining is not None and not isinstance(remaining, int | float):
        raise InvalidLlmRequest("remaining is a number of seconds")
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


def _prompt(values: dict[str, Any]) -> LlmPrompt:
    messages, tools = values.get("messages"), values.get("tools") or ()
    if not isinstance(messages, list) or not messages:
        raise InvalidLlmRequest("messages is a list with at least one message")
    if not isinstance(tools, list | tuple):
        raise InvalidLlmRequest("tools is a list")
    return LlmPrompt(messages, tools)


def _id(values: dict[str, Any]) -> str:
    found = values.get("id")
    if not isinstance(found, str) or not found:
        raise InvalidLlmRequest("id is a string that is not empty")
    return found
