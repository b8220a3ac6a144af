"""The engine over the language model in Triton."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from services.llm.chat import Declaration, Message, Priority, ToolCall
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, TokenCounts
from services.llm.openai import request
from services.llm.time_left import late, time_left
from services.llm.triton.client import LlmClient, ModelBroken
from services.llm.triton.protocol import Chunk, Generate, LlmFinished, LlmPrompt, Text, ToolCalls
from services.runtime.errors import DeadlineExceeded, ErrorKind, UpstreamError

COUNT_SECONDS = 10.0


class TritonEngine:
    """Text by the mesh's own language model. `timeout`, in seconds, is what one generation may take at most."""

    name = "llm"

    def __init__(self, llm: LlmClient, timeout: float, lora: str = "") -> None:
        self._llm = llm
        self._timeout = timeout
        self._lora = lora

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        prompt = LlmPrompt(request.messages(messages), request.tools(tools))
        return await self._llm.count(prompt, timeout=time_left(COUNT_SECONDS))

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        request = _request(generation, self._lora)
        try:
            async with aclosing(self._llm.generate(request, timeout=time_left(self._timeout))) as arriving:
                async for chunks in arriving:
                    for chunk in chunks:
                        piece = _piece(chunk)
                        if piece is not None:
                            yield piece
        except DeadlineExceeded as error:
            if (own := late("the answer", self._timeout)) is not None:
                raise own from error
            raise


def _request(generation: Generation, lora: str) -> Generate:
    form = request.response_format(generation.response_format)
    return Generate(
        "",
        LlmPrompt(request.messages(generation.messages), request.tools(generation.tools)),
        request.sampling(generation.sampling),
        request.tool_choice(generation.tool_choice) if generation.tools else None,
        not generation.serial_tool_calls,
        None if form["type"] == "text" else form,
        lora,
        generation.priority is Priority.BATCH,
        generation.confidence,
    )


def _piece(chunk: Chunk) -> Piece | Calls | Ended | None:
    """What a chunk has; None where it is empty or has no part in a generation."""
    match chunk:
        case Text():
            return Piece(chunk.text, tokens=chunk.tokens) if chunk.text else None
        case ToolCalls():
            return Calls(tuple(ToolCall(call.id, call.name, call.arguments) for call in chunk.calls))
        case LlmFinished():
            return _ended(chunk)
    return None


def _ended(chunk: LlmFinished) -> Ended:
    if chunk.finish == "cancelled":
        raise UpstreamError(ErrorKind.CANCELLED, "CANCELLED", "the generation was cancelled")
    try:
        finish = Finish(chunk.finish)
    except ValueError as error:
        raise ModelBroken("the language model ended in a way that is not its own") from error
    return Ended(finish, TokenCounts(chunk.prompt, chunk.completion, chunk.cached), chunk.confidence)
