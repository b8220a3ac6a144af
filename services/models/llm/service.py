"""The operations of the language model: who is being answered, and what ends an answer."""

import asyncio
import dataclasses
import logging
import math
import uuid
from collections.abc import Callable
from typing import Any

from services.llm.triton.protocol import (
    Cancel,
    Chunk,
    Count,
    Counted,
    Failed,
    Generate,
    Healthy,
    InvalidLlmRequest,
    LlmHealth,
    LlmPrompt,
    encode_chunks,
    read,
    read_chunks,
)
from services.models.llm import metrics
from services.models.llm.admission import AdmissionControl
from services.models.llm.chunks import Coalescer
from services.models.llm.engine import LlmEngine
from services.models.llm.errors import EngineFailed, Overloaded
from services.models.llm.generation import ReplyStream, RunningGeneration
from services.models.settings import ModelsSettings
from services.runtime.errors import DeadlineExceeded, DomainError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
HEALTH_SECONDS = 10.0
# Sequences at once from which on text waits as long as the setting says.
LOADED = 64
HELLO = LlmPrompt([{"role": "user", "content": "Hello"}])


class Service:
    """Serves requests on the loop that it was made on."""

    def __init__(self, engine: LlmEngine, admission: AdmissionControl, settings: ModelsSettings) -> None:
        self._engine = engine
        self._admission = admission
        self._longest_window = settings.llm_chunk_milliseconds / 1000
        self._chunk_tokens = settings.llm_chunk_tokens
        self._loop = asyncio.get_running_loop()
        self._clock: Callable[[], float] = self._loop.time
        self._under_way: dict[str, RunningGeneration] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._ready: list[RunningGeneration] = []
        self._waiting: set[RunningGeneration] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._generated_at = -math.inf
        self._health_seconds = settings.llm_health_seconds
        metrics.UNDER_WAY.set_function(lambda: admission.under_way)
        metrics.QUEUED.set_function(lambda: admission.queued)

    def handle(self, body: bytes, reply: ReplyStream) -> None:
        """Serve one request; returns at once."""
        try:
            request = read(body)
            match request:
                case Generate():
                    self._generate(request, reply)
                case Cancel():
                    self._cancel(request.id, "client")
                    reply.send(b"", final=True)
                case Count():
                    self._later(self._count(request, reply))
                case LlmHealth():
                    self._later(self._health(reply))
        except DomainError as error:
            reply.send(encode_chunks([Failed.of(error)]), final=True)

    async def watch(self) -> None:
        """End what nobody waits for any more, until the engine fails."""
        while not self._engine.failed:
            await asyncio.sleep(POLL_SECONDS)
            for group in self._groups():
                if group[0].reply.is_cancelled():
                    for generation in group:
                        self._cancel(generation.request.id, "gone")

    def _groups(self) -> list[list[RunningGeneration]]:
        """The requests by the stream that they came on: a caller that is gone left all of them."""
        groups: dict[str, list[RunningGeneration]] = {}
        for generation in self._under_way.values():
            groups.setdefault(generation.request.stream or generation.request.id, []).append(generation)
        return list(groups.values())

    def _window(self) -> float:
        """Seconds between the chunks of a generation: the more there are to serve, the longer."""
        return self._longest_window * min(1.0, len(self._under_way) / LOADED)

    def _generate(self, request: Generate, reply: ReplyStream) -> None:
        if request.id in self._under_way:
            raise InvalidLlmRequest(f"a generation with the id {request.id!r} is under way")
        priority = "batch" if request.batch else "interactive"
        try:
            self._admission.enter(request.batch, self._clock())
        except Overloaded:
            metrics.SHED.labels(priority).inc()
            raise
        coalescer = Coalescer(self._window, self._chunk_tokens)
        generation = RunningGeneration(request, reply, coalescer, self._clock, self._wake, self._delay)
        self._under_way[request.id] = generation
        metrics.REQUESTS.labels(priority).inc()
        if request.remaining is not None:
            self._deadlines[request.id] = self._loop.call_later(request.remaining, self._expire, generation)
        task = self._loop.create_task(self._start(generation))
        self._tasks[request.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.id, None))

    async def _start(self, generation: RunningGeneration) -> None:
        """Give a request to the engine."""
        try:
            prepared = await self._engine.prompts.prepare(generation.request)
            generation.prepared(prepared)
            if not generation.ended:
                generation.engine_id = await self._engine.add(generation.request, prepared, generation)
                if generation.ended:
                    await self._engine.abort([generation.engine_id])
        except DomainError as error:
            generation.fail(error)
        except Exception:
            log.exception("a request could not be given to the engine")
            generation.fail(EngineFailed("the engine did not take this request"))

    def _cancel(self, id_: str, cause: str) -> None:
        generation = self._under_way.get(id_)
        if generation is not None and not generation.ended:
            metrics.CANCELLED.labels(cause).inc()
            generation.cancel()
            self._abort(generation)

    def _expire(self, generation: RunningGeneration) -> None:
        metrics.CANCELLED.labels("deadline").inc()
        generation.fail(DeadlineExceeded("the deadline passed while the answer was written"))
        self._abort(generation)

    def _abort(self, generation: RunningGeneration) -> None:
        if generation.engine_id:
            self._later(self._engine.abort([generation.engine_id]))

    def _later(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def _count(self, request: Count, reply: ReplyStream) -> None:
        try:
            chunk: Chunk = Counted(await self._engine.prompts.count(request.prompt))
        except DomainError as error:
            chunk = Failed.of(error)
        reply.send(encode_chunks([chunk]), final=True)

    def _wake(self, generation: RunningGeneration) -> None:
        """Send what this one has, together with what the others of the same engine step have."""
        if not self._ready:
            self._loop.call_soon(self._flush)
        self._ready.append(generation)

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for generation in ready:
            self._send(generation)

    def _delay(self, generation: RunningGeneration) -> None:
        """Send what this one has once it is due."""
        self._waiting.add(generation)
        if self._timer is None:
            self._timer = self._loop.call_at(generation.due, self._send_due)

    def _send_due(self) -> None:
        now = self._clock()
        for generation in [one for one in self._waiting if one.due <= now]:
            self._send(generation)
        self._waiting = {one for one in self._waiting if one.due < math.inf}
        self._timer = None
        if self._waiting:
            self._timer = self._loop.call_at(min(one.due for one in self._waiting), self._send_due)

    def _send(self, generation: RunningGeneration) -> None:
        if generation.closed:
            return
        generation.closed = generation.ended
        body = encode_chunks(generation.take())
        if body or generation.closed:
            generation.reply.send(body, final=generation.closed)
        if generation.completion:
            self._generated_at = self._clock()
        if generation.closed:
            self._forget(generation)

    def _forget(self, generation: RunningGeneration) -> None:
        del self._under_way[generation.request.id]
        self._admission.leave(self._clock())
        if (deadline := self._deadlines.pop(generation.request.id, None)) is not None:
            deadline.cancel()

    async def _health(self, reply: ReplyStream) -> None:
        try:
            await self.check()
            chunk: Chunk = Healthy(self._clock() - self._generated_at)
        except DomainError as error:
            chunk = Failed.of(error)
        reply.send(encode_chunks([chunk]), final=True)

    async def check(self) -> None:
        """Return if text can be generated, trying it where none was for a while. Raises DomainError."""
        if self._engine.failed:
            raise EngineFailed("the engine is gone")
        if self._clock() - self._generated_at > self._health_seconds:
            await self.ask(Generate("", HELLO, {"max_tokens": 1}, remaining=HEALTH_SECONDS))

    async def ask(self, request: Generate) -> Chunk:
        """Generate, for no caller; returns the last chunk. Raises UpstreamError for a failed generation."""
        heard = _Heard(self._loop.create_future())
        self._generate(dataclasses.replace(request, id=f"own-{uuid.uuid4().hex}"), heard)
        end = await heard.end
        if isinstance(end, Failed):
            raise end.error
        return end


class _Heard:
    """A reply to this process itself."""

    def __init__(self, end: "asyncio.Future[Chunk]") -> None:
        self.end = end

    def send(self, body: bytes, final: bool) -> None:
        if final and not self.end.done():
            self.end.set_result(read_chunks(body)[-1])

    def is_cancelled(self) -> bool:
        return self.end.cancelled()
