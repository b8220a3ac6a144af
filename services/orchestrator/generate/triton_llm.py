"""The generator over the language model in Triton."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from services.orchestrator.conversation import Message, Priority
from services.orchestrator.generate import openai_form
from services.orchestrator.generate.generator import Calls, Ended, Finish, Generation, Piece, Tokens
from services.orchestrator.tools.tool import Declaration, ToolCall
from services.runtime import tracing
from services.runtime.call import current_or_none
from services.runtime.errors import DomainError, Kind, UpstreamError

Chunks = Sequence[Mapping[str, Any]]
COUNT_SECONDS = 10.0


class Llm(Protocol):
    """The model `llm`: JSON requests in, chunks out, as services/models/llm has them."""

    def generate(self, request: dict[str, Any]) -> AsyncGenerator[Chunks, None]:
        """The chunks as they come, those that came together in one. Closing it cancels the generation in the engine.
        Raises DomainErrors: Unavailable where Triton is gone."""
        ...

    async def count(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], *, timeout: float) -> int:
        """Tokens of a prompt. Raises DomainErrors."""
        ...


class ModelBroken(DomainError):
    """The model answered what it must not."""

    kind = Kind.INTERNAL
    reason = "MODEL_BROKEN"


class TritonLlmGenerator:
    """Text by the mesh's own language model. `timeout`, in seconds, is what one generation may take at most."""

    name = "llm"

    def __init__(self, llm: Llm, timeout: float, lora: str = "") -> None:
        self._llm = llm
        self._timeout = timeout
        self._lora = lora

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        """A stream that broke before anything came is begun once more."""
        request = self._request(generation)
        begun = False
        for attempt in (1, 2):
            try:
                async with aclosing(self._llm.generate(request)) as stream:
                    async for chunks in stream:
                        for chunk in chunks:
                            made = _read(chunk)
                            if made is None:
                                continue
                            begun = True
                            yield made
                            if isinstance(made, Ended):
                                return
                raise ModelBroken("the language model's answer has no end")
            except DomainError as error:
                if begun or attempt == 2 or error.kind is not Kind.UNAVAILABLE:
                    raise

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return await self._llm.count(
            openai_form.messages(messages), openai_form.tools(tools), timeout=min(COUNT_SECONDS, self._remaining())
        )

    def _remaining(self) -> float:
        call = current_or_none()
        return self._timeout if call is None else min(self._timeout, call.remaining)

    def _request(self, generation: Generation) -> dict[str, Any]:
        request: dict[str, Any] = {
            "messages": openai_form.messages(generation.messages),
            "sampling": openai_form.sampling(generation.sampling),
            "remaining": self._remaining(),
        }
        if generation.tools:
            request["tools"] = openai_form.tools(generation.tools)
            request["tool_choice"] = openai_form.tool_choice(generation.tool_choice)
            request["parallel_tool_calls"] = not generation.serial_tool_calls
        form = openai_form.response_format(generation.response_format)
        if form["type"] != "text":
            request["response_format"] = form
        if generation.priority is Priority.BATCH:
            request["priority"] = "batch"
        if generation.confidence:
            request["confidence"] = True
        if self._lora:
            request["lora"] = self._lora
        traceparent = dict(tracing.inject()).get("traceparent")
        if traceparent:
            request["traceparent"] = traceparent
        return request


def _read(chunk: Mapping[str, Any]) -> Piece | Calls | Ended | None:
    """What a chunk says; None where it is empty or of a kind that is not known. Raises what it tells of."""
    text = chunk.get("text")
    if text:
        return Piece(text)
    if "tool_calls" in chunk:
        return Calls(tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in chunk["tool_calls"]))
    if "finish" in chunk:
        return _ended(chunk)
    if "error" in chunk:
        raise failure(chunk["error"])
    return None


def _ended(chunk: Mapping[str, Any]) -> Ended:
    if chunk["finish"] == "cancelled":
        raise UpstreamError(Kind.CANCELLED, "CANCELLED", "the generation was cancelled")
    usage = chunk["usage"]
    tokens = Tokens(usage["prompt"], usage["completion"], usage.get("cached", 0))
    return Ended(Finish(chunk["finish"]), tokens, chunk.get("confidence"))


def failure(told: Mapping[str, Any]) -> DomainError:
    """The error that a chunk tells of."""
    kind = Kind.__members__.get(told.get("kind", ""), Kind.INTERNAL)
    details = {str(key): str(value) for key, value in (told.get("metadata") or {}).items()}
    error = UpstreamError(kind, told.get("reason") or kind.name, told.get("message") or "", **details)
    return error.retry_in(told.get("retry_after"))
