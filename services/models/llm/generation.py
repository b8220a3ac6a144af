"""One answer on its way from the engine to its caller."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from vllm.outputs import RequestOutput

from services.llm.triton.protocol import Chunk, Failed, Generate, LlmFinished, LlmToolCall, Text, ToolCalls
from services.models.llm.chunks import Coalescer
from services.models.llm.errors import EngineFailed, SchemaNotEnforceable
from services.models.llm.prompts import Prepared
from services.models.llm.toolcalls import ToolCallReader
from services.runtime.errors import DomainError


class ReplyStream(Protocol):
    """Where the responses to one request go."""

    def send(self, body: bytes, final: bool) -> None: ...

    def is_cancelled(self) -> bool: ...


class RunningGeneration:
    """Takes the engine's outputs for one request, and gives them out as chunks.

    `wake` is called when chunks are there to be taken at once, `delay` when they may wait until `due`.
    """

    def __init__(
        self, request: Generate, reply: ReplyStream, coalescer: Coalescer, clock: Callable[[], float],
        wake: Callable[["RunningGeneration"], None], delay: Callable[["RunningGeneration"], None],
    ) -> None:  # fmt: skip
        self.request = request
        self.reply = reply
        self.engine_id = ""
        self.ended = False
        self.closed = False
        self._coalescer = coalescer
        self._clock = clock
        self._wake = wake
        self._delay = delay
        self._ids: list[int] = []
        self._calls: ToolCallReader | None = None
        self._structured = False
        self._last: RequestOutput | None = None
        self._end: Chunk | None = None
        self.completion = 0
        self._logprob: float | None = None

    def prepared(self, prepared: Prepared) -> None:
        """Hear what the engine was given."""
        self._structured = prepared.sampling.structured_outputs is not None
        if prepared.parser is not None:
            self._calls = ToolCallReader(prepared)

    def put(self, output: RequestOutput | Exception) -> None:
        """Take an output of the engine's."""
        if self.ended:
            return
        if isinstance(output, Exception):
            self.fail(EngineFailed("the engine lost this request"))
            return
        (one,) = output.outputs
        self._last = output
        self.completion += len(one.token_ids)
        if self._calls is not None:
            self._ids += one.token_ids
        if one.cumulative_logprob is not None:
            self._logprob = one.cumulative_logprob
        now = self._coalescer.add(one.text, len(one.token_ids), self._clock())
        if output.finished:
            self._finish(str(one.finish_reason))
        elif now:
            self._wake(self)
        else:
            self._delay(self)

    def fail(self, error: DomainError) -> None:
        """End with an error."""
        self._stop(Failed.of(error))

    def cancel(self) -> None:
        """End with what there is."""
        self._stop(self._finished("cancelled"))

    @property
    def due(self) -> float:
        """When text that waits has to go out; never where none waits."""
        return self._coalescer.due if self._coalescer.waiting and not self.ended else math.inf

    def take(self) -> list[Chunk]:
        """The chunks to send now; the last of them ends the request where `ended` is set."""
        chunks: list[Chunk] = []
        text, tokens = self._coalescer.take(self._clock())
        if self._calls is not None:
            text = self._calls.text(text, self._ids, self.ended)
            self._ids = []
        if text:
            chunks.append(Text(text, tokens))
        if self._end is not None:
            chunks += self._ending(self._end)
            self._end = None
        return chunks

    def _ending(self, end: Chunk) -> list[Chunk]:
        stopped = isinstance(end, LlmFinished) and end.finish == "stop"
        calls = self._calls.complete() if self._calls is not None and stopped else []
        if not calls or not isinstance(end, LlmFinished):
            return [end]
        return [ToolCalls(tuple(LlmToolCall(**call) for call in calls)), replace(end, finish="tool_calls")]

    def _finish(self, reason: str) -> None:
        if reason == "error":
            refused = SchemaNotEnforceable("the engine could not hold the answer to the schema")
            self.fail(refused if self._structured else EngineFailed("the engine failed at this request"))
        else:
            self._stop(self._finished({"abort": "cancelled", "repetition": "stop"}.get(reason, reason)))

    def _stop(self, end: Chunk) -> None:
        if not self.ended:
            self.ended = True
            self._end = end
            self._wake(self)

    def _finished(self, reason: str) -> LlmFinished:
        last = self._last
        stats: Any = last.metrics if last is not None else None
        return LlmFinished(
            reason,
            len(last.prompt_token_ids or ()) if last is not None else 0,
            self.completion,
            (last.num_cached_tokens or 0) if last is not None else 0,
            self._confidence(),
            max(0.0, stats.scheduled_ts - stats.queued_ts) if stats is not None else 0.0,
            stats.first_token_latency if stats is not None else 0.0,
        )

    def _confidence(self) -> float | None:
        if not self.request.confidence or self._logprob is None or not self.completion:
            return None
        return math.exp(self._logprob / self.completion)
