"""Chat completions of upstreams' models: asked, screened, counted, booked, passed on."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import orjson

from gateway.openai.fields import Json
from gateway.passthrough import chunk as chunks
from gateway.passthrough import errors, listing, metrics
from gateway.passthrough.chunk import Chunk, Malformed
from gateway.passthrough.client import Answer, Client
from gateway.passthrough.ports import Meter, Screen
from gateway.passthrough.relay import BLOCKED, BUDGET, Relay
from gateway.passthrough.request import Asked
from gateway.passthrough.tally import Tally
from gateway.passthrough.upstream import Upstream


class Passthrough:
    """`client` is open while this is used. What comes in has been let through and screened, and its cost reserved."""

    def __init__(self, upstreams: Mapping[str, Upstream], client: Client) -> None:
        self._upstreams = upstreams
        self._client = client

    def serves(self, model: str) -> bool:
        return model in self._upstreams

    def upstream(self, model: str) -> Upstream:
        """KeyError where there is no such model."""
        return self._upstreams[model]

    def models(self) -> list[Json]:
        """In OpenAI's form."""
        return listing.models(self._upstreams.values())

    async def complete(self, asked: Asked, meter: Meter, seconds: float, screen: Screen | None = None) -> bytes:
        """The completion's JSON, once it is booked. Raises a DomainError."""
        call = _Call(self._upstreams[asked.model], Tally(asked.prompt_tokens), meter)
        with call:
            async with self._client.post(call.upstream, asked.wire(call.upstream), seconds) as answer:
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
        call = _Call(self._upstreams[asked.model], Tally(asked.prompt_tokens), meter)
        relay = Relay(call.upstream, call.tally, asked.include_usage, screen)
        with call:
            out, reason = b"", ""
            async with self._client.post(call.upstream, asked.wire(call.upstream), seconds) as answer:
                call.began()
                async with aclosing(_portions(answer, relay)) as portions:
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
    """One call of an upstream: its time, its outcome, its books. They are written however it ends."""

    def __init__(self, upstream: Upstream, tally: Tally, meter: Meter) -> None:
        self.upstream = upstream
        self.tally = tally
        self._meter = meter
        self._started = time.monotonic()
        self._begun = self._settled = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        outcome = "ok" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        metrics.CALLS.labels(self.upstream.name, outcome).inc()
        if self._begun and not self._settled:
            self._meter.settle(self.tally.spent(outcome))

    def began(self) -> None:
        self._begun = True
        metrics.FIRST.labels(self.upstream.name).observe(time.monotonic() - self._started)

    def read(self, whole: bytes) -> Chunk:
        """Raises UpstreamBroken for what is no completion."""
        try:
            found = chunks.read(whole, whole, "message")
        except Malformed as error:
            raise errors.broken(self.upstream, str(error)) from error
        if found.json.get("error"):
            raise errors.told(self.upstream, found.json["error"])
        if found.empty:
            raise errors.broken(self.upstream, "has no choices")
        self.tally.take([found])
        return found

    async def affordable(self) -> bool:
        """Whether what has come so far is paid for."""
        tokens = self.tally.completion_tokens
        return self._meter.take(tokens) or await self._meter.extend(tokens)

    async def settle(self, reason: str) -> None:
        self._settled = True
        await self._meter.settle(self.tally.spent(reason))


async def _portions(answer: Answer, relay: Relay) -> AsyncGenerator[bytes, None]:
    """What may go out, portion by portion; the last one when `relay` is done."""
    if not answer.streams:
        raise errors.broken(answer.upstream, "is no stream of events")
    async with aclosing(answer.portions()) as portions:
        async for portion in portions:
            yield relay.take(portion)
            if relay.failed is not None:
                raise relay.failed
    if not relay.done:
        yield relay.closed()


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
