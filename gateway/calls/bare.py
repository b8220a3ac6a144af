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
from services.llm.handle import BareModel, BareReply
from services.llm.models import DEFAULT
from services.llm.needs import Needs
from services.llm.openai.engine import completion
from services.llm.price import Price
from services.llm.route_report import TargetHealth
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

    def __init__(self, handles: Mapping[str, BareModel], pipeline: Admission, default: str = "") -> None:
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

    def health(self, name: str) -> Sequence[TargetHealth]:
        """How the targets of a route are, as this gateway finds them; nothing of another name."""
        model = self._handles.get(name)
        return model.health() if model is not None else ()

    async def complete(self, request: BareRequest, call: Call) -> bytes:
        """The completion's JSON, once it is settled. Raises a DomainError."""
        upstream = await self._admit(request, call)
        with upstream:
            if (hit := upstream.call.turn.answer) is not None:
                data = upstream.replay().whole(hit.body)
            else:
                data = await self._asked(upstream, call)
            await upstream.call.settle()
            return data

    async def stream(self, request: BareRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """The completion as server-sent events; its end goes out once it is settled. An error before the first of them
        is raised like any other; so is one after it, and whoever writes the events reports it in one."""
        upstream = await self._admit(request, call)
        with upstream:
            if (hit := upstream.call.turn.answer) is not None:
                answer = upstream.replay()
                async with aclosing(answered(upstream.call, _stored(answer, hit.body), answer)) as parts:
                    async for part in parts:
                        yield part
                return
            async with upstream.ask(call) as given:
                answer = upstream.begin(given)
                portions = _portions(answer, given.reply)
                async with aclosing(answered(upstream.call, portions, answer)) as parts:
                    async for part in parts:
                        if answer.completion is not None:
                            cached.offer(upstream.call, answer.completion)
                        yield part

    async def _asked(self, upstream: "_UpstreamCall", call: Call) -> bytes:
        async with upstream.ask(call) as given:
            answer, reply = upstream.begin(given), given.reply
            try:
                data = answer.whole(await reply.whole())
            except (DomainError, asyncio.CancelledError):
                if not answer.chunks:
                    answer.lose(reply.taken)
                raise
        cached.offer(upstream.call, answer.completion)
        return data

    async def _admit(self, request: BareRequest, call: Call) -> "_UpstreamCall":
        handle = self._handles[request.model]
        restrict(request.body, handle.entry)
        texts = request.texts
        tally = TokenTally(request.counted, handle.entry.context_length, request.media)
        compared = cached.asked(call, request.whole, handle.entry)
        asked = request.asked(handle.entry, texts, tally.counts.read, compared)
        admitted = await self._pipeline.admit(call, asked, handle.entry.price)
        if admitted.texts != texts:
            request.put(admitted.texts)
            tally = TokenTally(request.counted, handle.entry.context_length, request.media)
        if not request.stream and admitted.turn.answer is None:
            request.bound(admitted.room(), handle.entry)
        return _UpstreamCall(handle, admitted, request, tally)


class _UpstreamCall:
    """One call of an upstream: its time, its outcome, and its end, which is seen to whatever happens."""

    def __init__(self, model: BareModel, call: ModelCall, request: BareRequest, tally: TokenTally) -> None:
        self._model = model
        self._request = request
        self._tally = tally
        self._started = time.monotonic()
        self._asked = False
        self.call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DomainError) and self.call.screen is not None:
            _screen(error, self.call.screen)
        outcome = "ok" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        if self.call.turn.answer is None:
            metrics.CALLS.labels(self._model.entry.name, outcome).inc()
        if self._asked and (outcome == "cancelled" or isinstance(error, DeadlineExceeded)):
            self.call.begin()  # the model was asked, and works until it learns that its caller has left
        elif isinstance(error, DomainError) and error.begun:
            self.call.begin()  # it has read what it was sent
        self.call.close(outcome)

    def ask(self, call: Call) -> AbstractAsyncContextManager[BareReply]:
        """The upstream's answer, or that of the target to which a route has led."""
        request = self._request
        needs = Needs(
            request.capabilities, lambda: self._tally.counts.read + 1, request.priority, _tenant(call),
            whole=not request.stream, prompt=lambda: request.in_reading_order, said=request.said,
        )  # fmt: skip
        return self._model.post(request.wire, time_left(call), needs, self._sent)

    def _sent(self) -> None:
        """From now on the upstream may have the question."""
        self._asked = True

    def begin(self, given: BareReply) -> BareAnswer:
        """The upstream answers."""
        self.call.begin()
        if given.report is not None:
            self.call.route(given.report, given.entry.price)
        metrics.FIRST.labels(self._model.entry.name).observe(time.monotonic() - self._started)
        return BareAnswer(self.call, self._request, given.reply.endpoint, self._tally, given.report)

    def replay(self) -> BareAnswer:
        """The cache answers in the upstream's place."""
        self.call.begin()
        entry = self._model.entry
        return BareAnswer(self.call, self._request, ModelEndpoint(entry.name, "", entry.model), self._tally)


def _tenant(call: Call) -> str:
    return "" if call.identity is None else call.identity.tenant


def _screen(error: DomainError, screen: Screen) -> None:
    """Of what an upstream says in an error nothing goes out that guards would not let out in an answer."""
    if error.said and (said := _screened(error.said, screen)) != error.said:
        error.message = error.message.replace(error.said, said)
    error.details = {name: value for name, value in error.details.items() if _screened(value, screen) == value}
    error.args = (error.message,)


def _screened(text: str, screen: Screen) -> str:
    released = screen().whole(text)
    return released.text if released.blocked is None else f"{released.text}…"


async def _stored(answer: BareAnswer, body: bytes) -> AsyncGenerator[bytes | None, None]:
    """A completion of the cache, as one portion of a stream."""
    yield as_events(completion(answer.endpoint, body))


async def _portions(answer: BareAnswer, reply: UpstreamReply) -> AsyncGenerator[bytes | None, None]:
    """An upstream's stream as it comes, and None where it was closed before its end. One that does not stream has its
    whole answer as one portion."""
    try:
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
    finally:
        await reply.close()  # ends the upstream's work where something of it is unread
