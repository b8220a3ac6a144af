"""The `llm` model of a Triton server, over few long-lived streams.

A stream carries many generations, told apart by their ids, and one is ended by asking the model to: Triton 2.51 crashes
when clients cancel the streams of a decoupled model.
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import grpc
from opentelemetry.trace import SpanKind

from services.llm.triton.protocol import (
    MODEL,
    Cancel,
    Chunk,
    Count,
    Counted,
    Failed,
    Generate,
    LlmFinished,
    LlmHealth,
    LlmPrompt,
    MalformedLlmMessage,
    Request,
    encode,
    read_chunks,
)
from services.runtime import clients, tracing
from services.runtime.errors import DeadlineExceeded, DomainError, ErrorKind, Unavailable
from services.runtime.triton.wire import pb, pb_grpc, split, strings

log = logging.getLogger(__name__)

READY_SECONDS = 12.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class TooManyGenerations(DomainError):
    """One generation too many is under way; trying again in a moment may help."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_GENERATIONS"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} generations are under way, which is the limit; try again", limit=str(limit))


class ModelBroken(DomainError):
    """The model answered what it must not."""

    kind = ErrorKind.INTERNAL
    reason = "MODEL_BROKEN"


class LlmUnavailable(Unavailable):
    """The language model cannot be reached, or was lost. `began` says whether it had answered anything."""

    reason = "LLM_UNAVAILABLE"

    def __init__(self, message: str, began: bool = False) -> None:
        super().__init__(message)
        self.began = began


class LlmClient:
    """Generates text, at most `limit` requests at once.

    Safe for concurrent use. Close it before its channel, which stays the caller's.
    """

    def __init__(self, channel: grpc.aio.Channel, limit: int = 1024, streams: int = 2) -> None:
        self._stub = pb_grpc.GRPCInferenceServiceStub(channel)
        self._limit = limit
        self._under_way = 0
        self._streams = [_Stream(self._stub) for _ in range(streams)]

    async def generate(self, request: Generate, *, timeout: float) -> AsyncGenerator[list[Chunk], None]:
        """The chunks of a generation as they come, those that have come together in one list; the last list ends with
        Finished. The request's id, stream, time and trace are set here.

        Close the generator to end the generation. Raises UpstreamError for what the model refuses (with
        `retry_after` where it says when to come back), DeadlineExceeded, LlmUnavailable, ModelBroken or
        TooManyGenerations.
        """
        if self._under_way >= self._limit:
            raise TooManyGenerations(self._limit)
        self._under_way += 1
        try:
            with tracing.detached(f"triton/{MODEL}", SpanKind.CLIENT, tracing.triton(MODEL)) as span:
                trace = tracing.carried(span)
                stream = min(self._streams, key=lambda one: one.under_way)
                exchange = stream.ask(replace(request, remaining=timeout, traceparent=trace))
                try:
                    until = asyncio.get_running_loop().time() + timeout
                    while not exchange.ended:
                        yield await exchange.next(until)
                finally:
                    stream.leave(exchange)
        finally:
            self._under_way -= 1

    async def count(self, prompt: LlmPrompt, *, timeout: float) -> int:
        """How many tokens a prompt has. Raises as `generate` does."""
        (chunk,) = await self._ask(Count(prompt), timeout)
        if not isinstance(chunk, Counted):
            raise ModelBroken("the language model counted nothing")
        return chunk.prompt_tokens

    async def ready(self) -> bool:
        """Whether text can be generated: the model tries it where it has not lately. False also when unreachable."""
        try:
            request = pb.ModelReadyRequest(name=MODEL)
            if not (await clients.unary(self._stub.ModelReady(request, timeout=READY_SECONDS))).ready:
                return False
            await self._ask(LlmHealth(), READY_SECONDS)
        except (grpc.aio.AioRpcError, DomainError):
            return False
        return True

    async def aclose(self) -> None:
        """End the streams, and the generations on them."""
        for stream in self._streams:
            await stream.aclose()

    async def _ask(self, request: Request, timeout: float) -> list[Chunk]:
        """The chunks of an operation with one response."""
        stream = self._streams[0]
        exchange = stream.ask(request)
        try:
            return await exchange.next(asyncio.get_running_loop().time() + timeout)
        finally:
            stream.leave(exchange)


class _Exchange:
    """One request and what came back for it.

    What the reader does not fetch waits here: a generation has no more chunks than tokens, so this is bounded.
    """

    __slots__ = ("_arrived", "_chunks", "_error", "began", "ended", "generates", "id")

    def __init__(self, id_: str, generates: bool) -> None:
        self.id = id_
        self.generates = generates
        self.began = False
        self.ended = False
        self._chunks: list[Chunk] = []
        self._error: DomainError | None = None
        self._arrived: asyncio.Future[None] | None = None

    def put(self, chunks: list[Chunk], final: bool) -> None:
        if not chunks and not final:
            return  # of kinds that are not known here
        if chunks:
            self.began = True
            self._chunks += chunks
            last = chunks[-1]
            if isinstance(last, Failed):
                self._chunks.pop()
                self._error = last.error
        if final:
            self.ended = True
            if (
                self.generates
                and self._error is None
                and not (self._chunks and isinstance(self._chunks[-1], LlmFinished))
            ):
                self._error = LlmUnavailable("the language model lost this request", self.began)
        self._tell()

    def fail(self, error: DomainError) -> None:
        self.ended = True
        self._error = error
        self._tell()

    async def next(self, until: float) -> list[Chunk]:
        """All that has come, at least one chunk. Raises DomainError, or DeadlineExceeded at the time `until`."""
        if not self._chunks and self._error is None:
            loop = asyncio.get_running_loop()
            self._arrived = loop.create_future()
            timer = loop.call_at(until, self._expire)
            try:
                await self._arrived
            finally:
                timer.cancel()
                self._arrived = None
        if self._chunks:
            chunks, self._chunks = self._chunks, []
            if self._error is not None:
                self.ended = False  # the error is told next
            return chunks
        if self._error is not None:
            self.ended = True
            raise self._error
        raise LlmUnavailable("the language model answered nothing", self.began)

    def _expire(self) -> None:
        self._error = DeadlineExceeded("the deadline passed while the answer was written")
        self._tell()

    def _tell(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class _Stream:
    """A stream to one server, opened when it is needed, and again, after a pause, when it broke."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._name = uuid.uuid4().hex
        self._exchanges: dict[str, _Exchange] = {}
        self._outgoing: deque[Any] = deque()
        self._pending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._count = 0

    @property
    def under_way(self) -> int:
        return len(self._exchanges)

    def ask(self, request: Request) -> _Exchange:
        """Send a request. Raises LlmUnavailable during the pause after the stream broke."""
        if self._task is None:
            if time.monotonic() < self._not_before:
                raise LlmUnavailable("the language model is unavailable")
            self._task = asyncio.create_task(self._live())
        self._count += 1
        id_ = f"{self._name}-{self._count}"
        exchange = _Exchange(id_, isinstance(request, Generate))
        self._exchanges[id_] = exchange
        own = replace(request, id=id_, stream=self._name) if isinstance(request, Generate) else request
        self._send(id_, own)
        return exchange

    def leave(self, exchange: _Exchange) -> None:
        """Forget an exchange; one that has not ended is cancelled."""
        if self._exchanges.pop(exchange.id, None) is not None and exchange.generates and self._task is not None:
            self._send(f"{exchange.id}-cancel", Cancel(exchange.id))

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _send(self, id_: str, request: Request) -> None:
        message = pb.ModelInferRequest(model_name=MODEL, id=id_)
        message.parameters["triton_enable_empty_final_response"].bool_param = True
        message.inputs.add(name="REQUEST", datatype="BYTES", shape=[1])
        message.raw_input_contents.append(strings([encode(request)]))
        self._outgoing.append(message)
        self._pending.set()

    async def _live(self) -> None:
        """One life of the stream."""
        error = LlmUnavailable("the language model is unavailable")
        call = self._stub.ModelStreamInfer()
        writing = asyncio.create_task(self._write(call))
        try:
            async for response in clients.stream(call):
                self._pause = 0.0
                self._take(response)
        except grpc.aio.AioRpcError as broken:
            log.warning("the stream to the language model broke: %s", broken.code().name)
        finally:
            writing.cancel()
            self._task = None
            self._end(error)

    def _end(self, error: LlmUnavailable) -> None:
        """Fail what is under way; the next stream waits a little longer than this one did."""
        self._not_before = time.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, self._pause * 2))
        self._outgoing.clear()
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            exchange.fail(LlmUnavailable(error.message, exchange.began))

    async def _write(self, call: Any) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            while self._outgoing:
                try:
                    await call.write(self._outgoing.popleft())
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the reader hears of it, and says so

    def _take(self, response: Any) -> None:
        inferred = response.infer_response
        exchange = self._exchanges.get(inferred.id)
        if exchange is None:
            return
        if response.error_message:
            log.warning("the language model failed: %s", response.error_message)
            self._exchanges.pop(inferred.id)
            exchange.fail(LlmUnavailable("the language model failed", exchange.began))
            return
        final = inferred.parameters["triton_final_response"].bool_param
        if final:
            self._exchanges.pop(inferred.id)
        try:
            exchange.put(_chunks(inferred), final)
        except MalformedLlmMessage as error:
            log.warning("the language model is not understood: %s", error)
            exchange.fail(ModelBroken("the language model answered in a form that is not its own"))


def _chunks(inferred: Any) -> list[Chunk]:
    """Raises MalformedLlmMessage."""
    chunks: list[Chunk] = []
    for data in inferred.raw_output_contents:
        (body,) = split(data)
        chunks += read_chunks(body)
    return chunks
