"""Chat completions of bare models: asked, screened, counted, accounted, passed on."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import orjson

from gateway.faces.http.openai.fields import Json
from gateway.passthrough import listing, metrics
from gateway.passthrough.ports import Meter, Screen
from gateway.passthrough.relay import BLOCKED, BUDGET, Relay
from gateway.passthrough.request import Asked
from gateway.passthrough.spending import Spending
from services.llm.catalogue.entry import Entry
from services.llm.client import Reply
from services.llm.handle import BareHandle
from services.llm.openai.chunks import Chunk
from services.llm.openai.engine import completion
from services.llm.openai.events import DONE_EVENT


class Passthrough:
    """The bare models by name. What comes in has been admitted and screened, and its cost reserved."""

    def __init__(self, handles: Mapping[str, BareHandle]) -> None:
        self._handles = handles

    def serves(self, model: str) -> bool:
        return model in self._handles

    def entry(self, model: str) -> Entry:
        """KeyError where there is no such model."""
        return self._handles[model].entry

    def models(self) -> list[Json]:
        """In OpenAI's form."""
        return listing.models(handle.entry for handle in self._handles.values())

    async def complete(self, asked: Asked, meter: Meter, seconds: float, screen: Screen | None = None) -> bytes:
        """The completion's JSON, once it is booked. Raises a DomainError."""
        call = _Call(self._handles[asked.model], Spending(asked.texts), meter)
        with call:
            async with call.handle.post(asked.wire(call.handle.entry), seconds) as answer:
                call.began()
                whole = call.read(await answer.whole())
            data, blocked = _screened(whole, screen) if screen else (whole.raw, False)
            await call.settle(BLOCKED if blocked else "")
            return data

    async def stream(
        self, asked: Asked, meter: Meter, seconds: float, screen: Screen | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The completion as server-sent events; its end goes out once it is booked. An error before the first of them
        is raised like any other; so is one after it, when the caller of this tells of it in an event."""
        call = _Call(self._handles[asked.model], Spending(asked.texts), meter)
        relay = Relay(call.handle.endpoint, call.tally, asked.include_usage, screen)
        with call:
            out, reason = b"", ""
            async with call.handle.post(asked.wire(call.handle.entry), seconds) as answer:
                call.began()
                async with aclosing(_portions(call, answer, relay)) as portions:
                    async for out in portions:
                        if relay.blocked:
                            reason = BLOCKED
                        elif not relay.done and not await call.affordable():
                            reason = BUDGET
                        if reason or relay.done:
                            break
                        if out:
                            yield out
                if relay.done:
                    await answer.drain()
            if reason != BLOCKED:
                out += relay.finish()
                reason = BLOCKED if relay.blocked else reason
            await call.settle(reason)
            yield out + relay.last(reason)


class _Call:
    """One call of an upstream: its time, its outcome, its accounting, which is written however it ends."""

    def __init__(self, handle: BareHandle, tally: Spending, meter: Meter) -> None:
        self.handle = handle
        self.tally = tally
        self._meter = meter
        self._started = time.monotonic()
        self._begun = self._settled = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        outcome = "ok" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        metrics.CALLS.labels(self.handle.entry.name, outcome).inc()
        if self._begun and not self._settled:
            self._meter.settle(self.tally.spent(outcome))

    def began(self) -> None:
        self._begun = True
        metrics.FIRST.labels(self.handle.entry.name).observe(time.monotonic() - self._started)

    def read(self, whole: bytes) -> Chunk:
        """Raises UpstreamBroken for what is no completion."""
        found = completion(self.handle.endpoint, whole)
        self.tally.take([found])
        return found

    async def affordable(self) -> bool:
        """Whether what has come so far is paid for."""
        tokens = self.tally.completion_tokens
        return self._meter.take(tokens) or await self._meter.extend(tokens)

    async def settle(self, reason: str) -> None:
        self._settled = True
        await self._meter.settle(self.tally.spent(reason))


async def _portions(call: _Call, answer: Reply, relay: Relay) -> AsyncGenerator[bytes, None]:
    """What may go out, portion by portion; the last one when `relay` is done. An upstream that does not stream has its
    whole answer as one event."""
    if answer.is_json:
        whole = completion(call.handle.endpoint, await answer.whole())
        yield relay.take(_as_events(whole))
        return
    async with aclosing(answer.portions()) as portions:
        async for portion in portions:
            yield relay.take(portion)
            if relay.failed is not None:
                raise relay.failed
    if not relay.done:
        yield relay.closed()


def _as_events(whole: Chunk) -> bytes:
    """A whole completion as the events of a stream: its message, its usage, its end."""
    head = {**whole.json, "object": "chat.completion.chunk"}
    usage = head.pop("usage", None)
    choices = [{**choice, "delta": choice.get("message") or {}} for choice in whole.json["choices"]]
    for choice in choices:
        choice.pop("message", None)
    last = orjson.dumps({**head, "choices": [], "usage": usage})
    return b"data: %s\n\ndata: %s\n\n" % (orjson.dumps({**head, "choices": choices}), last) + DONE_EVENT


def _screened(whole: Chunk, screen: Screen) -> tuple[bytes, bool]:
    """The completion as it may go out, and whether it was cut short."""
    changed = blocked = False
    for part in whole.parts:
        released = screen().whole(part.text)
        blocked = blocked or released.blocked is not None
        if blocked or released.text != part.text:
            part.holder[part.key], changed = released.text, True
    if not changed:
        return whole.raw, False
    for choice in whole.json["choices"]:
        choice["logprobs"] = None
        if blocked:
            choice["finish_reason"] = BLOCKED
            choice["message"].pop("tool_calls", None)
            choice["message"].pop("function_call", None)
    return orjson.dumps(whole.json), blocked
