"""The generator over the language model in Triton."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from services.orchestrator.conversation import Message, Priority
from services.orchestrator.generate import openai_form
from services.orchestrator.generate.generator import Calls, Ended, Finish, Generation, Piece, Tokens
from services.orchestrator.generate.metrics import ModelMetrics
from services.orchestrator.generate.time_left import time_left
from services.orchestrator.tools.tool import Declaration, ToolCall
from services.runtime.errors import DomainError, Kind, UpstreamError
from services.runtime.triton import LlmClient

COUNT_SECONDS = 10.0
RETRY_PAUSE = 0.2  # seconds; the client's own first pause after a broken stream is shorter


class ModelBroken(DomainError):
    """The model answered what it must not."""

    kind = Kind.INTERNAL
    reason = "MODEL_BROKEN"


class TritonLlmGenerator:
    """Text by the mesh's own language model. `timeout`, in seconds, is what one generation may take at most."""

    name = "llm"

    def __init__(self, llm: LlmClient, timeout: float, metrics: ModelMetrics, lora: str = "") -> None:
        self._llm = llm
        self._timeout = timeout
        self._metrics = metrics
        self._lora = lora

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        """Where Triton was lost before anything came, the generation is begun once more."""
        request = _request(generation, self._lora)
        begun = False
        try:
            async with aclosing(self._once(request)) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
            return
        except DomainError as error:
            if begun or error.kind is not Kind.UNAVAILABLE or time_left(self._timeout) <= RETRY_PAUSE:
                raise
        self._metrics.retries.inc()
        await asyncio.sleep(RETRY_PAUSE)
        async with aclosing(self._once(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        prompt = {"messages": openai_form.messages(messages), "tools": openai_form.tools(tools)}
        return await self._llm.count(prompt, timeout=time_left(COUNT_SECONDS))

    async def _once(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece | Calls | Ended, None]:
        async with aclosing(self._llm.generate(request, timeout=time_left(self._timeout))) as arriving:
            async for chunks in arriving:
                for chunk in chunks:
                    piece = _read(chunk)
                    if piece is not None:
                        yield piece


def _request(generation: Generation, lora: str) -> dict[str, Any]:
    request: dict[str, Any] = {
        "messages": openai_form.messages(generation.messages),
        "sampling": openai_form.sampling(generation.sampling),
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
    if lora:
        request["lora"] = lora
    return request


def _read(chunk: Mapping[str, Any]) -> Piece | Calls | Ended | None:
    """What a chunk says; None where it is empty or of a kind that is not known."""
    try:
        if text := chunk.get("text"):
            return Piece(text, tokens=int(chunk.get("tokens") or 0))
        if calls := chunk.get("tool_calls"):
            return Calls(tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in calls))
        if "finish" in chunk:
            return _ended(chunk)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelBroken("the language model answered in a form that is not its own") from error
    return None


def _ended(chunk: Mapping[str, Any]) -> Ended:
    if chunk["finish"] == "cancelled":
        raise UpstreamError(Kind.CANCELLED, "CANCELLED", "the generation was cancelled")
    usage = chunk["usage"]
    tokens = Tokens(usage["prompt"], usage["completion"], usage.get("cached") or 0)
    return Ended(Finish(chunk["finish"]), tokens, chunk.get("confidence"))
