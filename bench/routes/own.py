"""What a route of one healthy target adds to a bare call: processor time in this process, without a network."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import aiohttp

from bench.gateway import upstream as canned
from gateway.calls.bare import BareCalls
from gateway.faces.http.openai.bare_request import parse
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.route import RouteSpec, TargetSpec
from services.llm.client import HttpClient
from services.llm.models import ModelFactory
from tests.fakes.calls import FakePipeline, call_of

CALLS = 100
MODEL, ROUTE = "model", "route"
Ask = Callable[[str], Coroutine[Any, Any, None]]


class _Body:
    """The body of an answer, all of which is there."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def iter_any(self) -> AsyncIterator[bytes]:
        data, self._data = self._data, b""
        if data:
            yield data

    def at_eof(self) -> bool:
        return not self._data


class _Client(HttpClient):
    """Answers at once with the canned upstream's bytes."""

    async def _well(self, *asked: Any) -> aiohttp.ClientResponse:
        stream = b'"stream":true' in asked[1]
        headers = {"content-type": "text/event-stream" if stream else "application/json"}
        body = _Body(canned.events() if stream else canned.completion())
        asked[-1].on_sent()
        response: Any = SimpleNamespace(
            status=200, headers=headers, content=body, connection=None, release=lambda: None
        )
        return response  # type: ignore[no-any-return]


def added(rounds: int) -> tuple[float, float]:
    """Milliseconds of processor that a route adds to a whole answer and to a stream: medians of rounds, in each of
    which the model and the route are asked one after the other."""
    return asyncio.run(_added(rounds))


async def _added(rounds: int) -> tuple[float, float]:
    models = ModelFactory(_Client(), lambda _: "key")
    entry = CatalogueEntry(MODEL, EngineKind.OPENAI, bare=True, base_url="http://upstream/v1")
    route = models.bare_route(RouteSpec(ROUTE, (TargetSpec(MODEL),), bare=True), {MODEL: entry})
    calls = BareCalls({MODEL: models.bare(entry), ROUTE: route}, FakePipeline())

    def asked(model: str, stream: bool) -> Any:
        return parse({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Say a word."}]})

    async def whole(model: str) -> None:
        await calls.complete(asked(model, False), call_of(20))

    async def streamed(model: str) -> None:
        async for _ in calls.stream(asked(model, True), call_of(20)):
            pass

    return await _difference(whole, rounds), await _difference(streamed, rounds)


async def _difference(ask: Ask, rounds: int) -> float:
    differences = []
    for _ in range(rounds):
        took = {}
        for model in (MODEL, ROUTE):
            started = time.process_time()
            for _ in range(CALLS):
                await ask(model)
            took[model] = (time.process_time() - started) / CALLS * 1000
        differences.append(took[ROUTE] - took[MODEL])
    return statistics.median(differences)
