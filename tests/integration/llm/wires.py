"""A model of a provider with a wire of its own, asked by a run and as a bare model."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.calls.bare import BareCalls
from gateway.faces.http.openai.bare_request import parse
from services.llm.catalogue.entry import Capability, CatalogueEntry, EngineKind
from services.llm.client import HttpClient
from services.llm.generation import Generation, Said
from services.llm.models import ModelFactory
from services.llm.price import FREE, Price
from tests.fakes.calls import FakePipeline, call_of
from tests.fakes.openai_upstream import Behaviour, FakeOpenAi


@dataclass(frozen=True)
class WiredModel:
    """The provider's `engine`, its name of the model, the key to it (empty for none), what it can do, and where it
    is."""

    engine: EngineKind
    model: str
    key: str
    capabilities: frozenset[Capability]
    region: str = ""
    prompt_caching: bool = False
    price: Price = FREE

    @asynccontextmanager
    async def served(self, behaviour: Behaviour) -> AsyncIterator[tuple[ModelFactory, CatalogueEntry, FakeOpenAi]]:
        """By a provider that behaves so."""
        async with FakeOpenAi(behaviour).serving() as upstream:
            client = HttpClient()
            await client.open()
            entry = CatalogueEntry(
                "wired", self.engine, bare=True, base_url=upstream.url, model=self.model,
                api_key_env="KEY" if self.key else "", capabilities=self.capabilities, region=self.region,
                prompt_caching=self.prompt_caching, price=self.price,
            )  # fmt: skip
            try:
                yield ModelFactory(client, {"KEY": self.key}.get), entry, upstream
            finally:
                await client.aclose()

    async def generated(self, behaviour: Behaviour, generation: Generation) -> tuple[list[Said], FakeOpenAi]:
        """What comes of it to a run."""
        async with self.served(behaviour) as (factory, entry, upstream):
            return [said async for said in factory.handle(entry).generator.generate(generation)], upstream

    async def bare(self, behaviour: Behaviour, stream: bool, **more: Any) -> tuple[Any, FakePipeline, FakeOpenAi]:
        """The completion, or the chunks of a stream, that the gateway passes on."""
        async with self.served(behaviour) as (factory, entry, upstream):
            pipeline = FakePipeline()
            calls = BareCalls({"wired": factory.bare(entry)}, pipeline)
            body = {"model": "wired", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, **more}
            if not stream:
                return json.loads(await calls.complete(parse(body), call_of(20))), pipeline, upstream
            data = b"".join([part async for part in calls.stream(parse(body), call_of(20))])
            *chunks, _ = data.split(b"\n\n")
            assert chunks[-1] == b"data: [DONE]"
            return [json.loads(one.removeprefix(b"data: ")) for one in chunks[:-1]], pipeline, upstream
