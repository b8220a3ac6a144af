"""Calls of bare models: upstreams that the gateway asks itself, without a run."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

from gateway.calls import bare_cached as cached
from gateway.calls import metrics
from gateway.calls.bare_answer import BareAnswer, as_events
from gateway.calls.bare_fields import restrict
from gateway.calls.bare_request import BareRequest
from gateway.calls.call import ModelCall, time_left
from gateway.calls.held_text import Screen
from gateway.calls.pipeline import answered
from gateway.calls.request import ModelRequest
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.client import UpstreamReply
from services.llm.endpoint import ModelEndpoint
from services.llm.handle import BareHandle
from services.llm.models import DEFAULT
from services.llm.openai.engine import completion
from services.llm.price import Price
from services.llm.tokens import TokenTally
from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded, DomainError


class Admission(Protocol):
    """Admits calls: the part of CallPipeline that is needed."""

    async def admit(self, call: Call, request: ModelRequest, price: Price) -> ModelCall: ...


PORTION = 16 << 10
"""Bytes of a stream that are taken at once: so much may come of it after a budget has ended."""


class BareCalls:
    """The bare models, by name. `default`: the model that the name "default" stands for, where the catalogue says."""

    def __init__(self, handles: Mapping[str, BareHandle], pipeline: Admission, default: str = "") -> None:
        self._handles = handles
        self._pipeline = pipeline
        self._default = default

    def named(self, model: object) -> str:
        """The bare model that is meant by a name; empty where it is none."""
        name = self._default if model == DEFAULT else model
        return name if isinstance(name, str) and name in self._handles else ""

    @property
    def entries(self) -> Sequence[CatalogueEntry]:
        """Of the catalogue."""
        return [handle.entry for handle in self._handles.values()]

    async def complete(self, request: BareRequest, call: Call) -> bytes:
        """The completion's JSON, once it is settled. Raises a DomainError."""
        upstream = await self._admit(request, call)
        turn = upstream.call.turn
        with upstream:
            if turn.answer is not None:
                upstream.begin()
                data = upstream.answer.whole(turn.answer.body)
            else:
                data = await self._asked(upstream, request, call)
                cached.offer(upstream.call, upstream.answer.completion)
            await upstream.call.settle()
            return cached.noted(data, turn)

    async def stream(self, request: BareRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """The completion as server-sent events; its end goes out once it is settled. An error before the first of them
        is raised like any other; so is one after it, and whoever writes the events reports it in one."""
        upstream = await self._admit(request, call)
        with upstream:
            portions = _stored(upstream) if upstream.hit else _portions(upstream, upstream.ask(request, call))
            async with aclosing(answered(upstream.call, portions, upstream.answer)) as parts:
                async for part in parts:
                    if upstream.answer.completion is not None:
                        cached.offer(upstream.call, upstream.answer.completion)
                    yield part

    async def _asked(self, upstream: "_UpstreamCall", request: BareRequest, call: Call) -> bytes:
        async with upstream.ask(request, call) as reply:
            upstream.begin()
            try:
                return upstream.answer.whole(await reply.whole())
            except (DomainError, asyncio.CancelledError):
                if not upstream.answer.chunks:
                    upstream.answer.lose(reply.taken)
                raise

    async def _admit(self, request: BareRequest, call: Call) -> "_UpstreamCall":
        handle = self._handles[request.model]
        restrict(request.body, handle.entry)
        texts = request.texts
        tally = TokenTally(request.counted, handle.entry.context_length, request.media)
        compared = cached.asked(call, request.body, handle.entry)
        asked = request.asked(handle.entry, texts, tally.counts.read, compared)
        admitted = await self._pipeline.admit(call, asked, handle.entry.price)
        if admitted.texts != texts:
            request.put(admitted.texts)
            tally = TokenTally(request.counted, handle.entry.context_length, request.media)
        if not request.stream and admitted.turn.answer is None:
            request.bound(admitted.room(), handle.entry)
        return _UpstreamCall(handle, admitted, BareAnswer(admitted, request, handle.endpoint, tally))


class _UpstreamCall:
    """One call of an upstream: its time, its outcome, and its end, which is seen to whatever happens."""

    def __init__(self, handle: BareHandle, call: ModelCall, answer: BareAnswer) -> None:
        self._handle = handle
        self._started = time.monotonic()
        self._asked = False
        self.call = call
        self.answer = answer

    @property
    def endpoint(self) -> ModelEndpoint:
        return self._handle.endpoint

    @property
    def hit(self) -> bool:
        """Whether the cache has the answer: the upstream is not asked."""
        return self.call.turn.answer is not None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DomainError) and self.call.screen is not None:
            _screen(error, self.call.screen)
        outcome = "ok" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        if not self.hit:
            metrics.CALLS.labels(self._handle.entry.name, outcome).inc()
        if self._asked and (outcome == "cancelled" or isinstance(error, DeadlineExceeded)):
            self.call.begin()  # the model was asked, and works until it learns that its caller has left
        self.call.close(outcome)

    def ask(self, request: BareRequest, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        return self._handle.post(request.wire(self._handle.entry), time_left(call), not request.stream, self._sent)

    def _sent(self) -> None:
        """From now on the upstream may have the question."""
        self._asked = True

    def begin(self) -> None:
        """The upstream answers, or the cache in its place."""
        self.call.begin()
        if self.hit:
            return
        metrics.FIRST.labels(self._handle.entry.name).observe(time.monotonic() - self._started)


def _screen(error: DomainError, screen: Screen) -> None:
    """Of what an upstream says in an error nothing goes out that guards would not let out in an answer."""
    if error.said and (said := _screened(error.said, screen)) != error.said:
        error.message = error.message.replace(error.said, said)
    error.details = {name: value for name, value in error.details.items() if _screened(value, screen) == value}
    error.args = (error.message,)


def _screened(text: str, screen: Screen) -> str:
    released = screen().whole(text)
    return released.text if released.blocked is None else f"{released.text}…"


async def _stored(upstream: _UpstreamCall) -> AsyncGenerator[bytes | None, None]:
    """The cache's answer, as one portion of a stream."""
    turn = upstream.call.turn
    if turn.answer is None:
        raise LookupError("there is no such answer")
    upstream.begin()
    whole = completion(upstream.endpoint, turn.answer.body)
    whole.json[cached.FIELD] = cached.field(turn)
    yield as_events(whole)


async def _portions(
    upstream: _UpstreamCall, asked: AbstractAsyncContextManager[UpstreamReply]
) -> AsyncGenerator[bytes | None, None]:
    """An upstream's stream as it comes, and None where it was closed before its end. One that does not stream has its
    whole answer as one portion."""
    answer = upstream.answer
    async with asked as reply:
        upstream.begin()
        if reply.is_json:
            try:
                whole = completion(reply.endpoint, await reply.whole())
            except DomainError:
                answer.lose(reply.taken)
                raise
            yield as_events(whole)
            return
        async with aclosing(reply.portions()) as portions:
            async for portion in portions:
                for start in range(0, len(portion), PORTION):
                    yield portion[start : start + PORTION]
                    if answer.failed is not None:
                        raise answer.failed
                    if answer.over:
                        await reply.drain()
                        return
                reply.progress(answer.chunks, answer.ending)
        yield None
        if answer.failed is not None:
            raise answer.failed
