"""What the catalogue adds to a generator."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from services.llm.catalogue.entry import ALL, Capability, CatalogueEntry, EngineKind
from services.llm.chat import Form, Message, Priority, ResponseFormat, Role, Sampling, merge
from services.llm.concurrency import ModelBusy
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, TokenCounts
from services.llm.handle import BoundedGenerator, ModelCannot
from services.llm.metrics import ModelMetrics
from services.orchestrator.domain.tool import Declaration
from services.runtime.errors import InvalidArgument
from tests.fakes.agents import FakeGenerator

ENTRY = CatalogueEntry("bounded", EngineKind.TRITON, capabilities=ALL)
ASKED = Generation((Message(Role.USER, "why?"),))
SAYS: list[Piece | Calls | Ended] = [Piece("a"), Piece("b"), Piece("c"), Ended(Finish.STOP, TokenCounts(5, 3, 2))]


class Silent(FakeGenerator):
    """Says one piece and then nothing more."""

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        try:
            yield Piece("a")
            await asyncio.Event().wait()
        finally:
            self.closed += 1

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return 0


def bounded(generator: FakeGenerator, entry: CatalogueEntry = ENTRY) -> BoundedGenerator:
    return BoundedGenerator(entry, generator, ModelMetrics(entry.name))


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"headworks_model_{name}", {"model": "bounded", **labels}) or 0.0


async def test_pieces_pass_and_are_counted() -> None:
    names = [
        ("generations_total", {"end": "stop"}), ("tokens_total", {"direction": "prompt"}),
        ("tokens_total", {"direction": "completion"}), ("tokens_total", {"direction": "cached"}),
        ("first_token_seconds_count", {}), ("inter_token_seconds_count", {}), ("seconds_count", {}),
    ]  # fmt: skip
    before = [counted(name, **labels) for name, labels in names]
    fake = FakeGenerator(SAYS)
    assert [piece async for piece in bounded(fake).generate(ASKED)] == SAYS
    after = [counted(name, **labels) for name, labels in names]
    assert [late - early for late, early in zip(after, before, strict=True)] == [1, 5, 3, 2, 1, 2, 1]
    assert (counted("running"), fake.closed) == (0, 1)


async def test_an_error_passes_and_is_counted_by_its_kind() -> None:
    before = counted("generations_total", end="INVALID_ARGUMENT")
    with pytest.raises(InvalidArgument):
        [piece async for piece in bounded(FakeGenerator([], InvalidArgument("x"))).generate(ASKED)]
    assert counted("generations_total", end="INVALID_ARGUMENT") == before + 1


async def test_a_surprise_is_counted_as_internal() -> None:
    before = counted("generations_total", end="INTERNAL")
    with pytest.raises(ZeroDivisionError):
        [piece async for piece in bounded(FakeGenerator([], ZeroDivisionError())).generate(ASKED)]
    assert counted("generations_total", end="INTERNAL") == before + 1


async def test_who_leaves_stops_the_engine() -> None:
    fake, before = Silent(), counted("generations_total", end="left")
    async with aclosing(bounded(fake).generate(ASKED)) as pieces:
        await anext(pieces)
        assert counted("running") == 1
    assert (fake.closed, counted("running"), counted("generations_total", end="left")) == (1, 0, before + 1)


@pytest.mark.parametrize(
    "entry",
    [replace(ENTRY, concurrency=1, queue=0), replace(ENTRY, engine=EngineKind.OPENAI, connections=1, queue=0)],
    ids=["by its number", "by its connections"],
)
async def test_one_too_many_is_turned_away(entry: CatalogueEntry) -> None:
    one = bounded(Silent(), entry)
    async with aclosing(one.generate(ASKED)) as pieces:
        await anext(pieces)
        with pytest.raises(ModelBusy):
            await anext(one.generate(ASKED))
    async with aclosing(one.generate(ASKED)) as pieces:
        assert await anext(pieces) == Piece("a")


async def test_the_entrys_defaults_hold_where_the_caller_says_nothing() -> None:
    fake = FakeGenerator(SAYS)
    entry = replace(ENTRY, sampling=Sampling(temperature=0.5, max_tokens=9), priority=Priority.BATCH)
    asked = replace(ASKED, sampling=Sampling(temperature=0.0))
    [piece async for piece in bounded(fake, entry).generate(asked)]
    assert fake.asked == [replace(asked, sampling=Sampling(temperature=0.0, max_tokens=9), priority=Priority.BATCH)]


async def test_without_defaults_the_request_is_left_as_it_is() -> None:
    fake = FakeGenerator(SAYS)
    [piece async for piece in bounded(fake).generate(ASKED)]
    assert fake.asked[0] is ASKED


@pytest.mark.parametrize(
    ("asked", "capability"),
    [
        (replace(ASKED, tools=(Declaration("add", "Adds.", {}),)), "tools"),
        (replace(ASKED, response_format=ResponseFormat(Form.JSON_SCHEMA)), "json_schema"),
        (replace(ASKED, response_format=ResponseFormat(Form.JSON_OBJECT)), "json_schema"),
    ],
)
async def test_what_a_model_cannot_do_it_is_not_asked(asked: Generation, capability: str) -> None:
    fake = FakeGenerator(SAYS)
    with pytest.raises(ModelCannot) as caught:
        await anext(bounded(fake, replace(ENTRY, capabilities=ALL - {Capability(capability)})).generate(asked))
    assert (caught.value.details, fake.asked) == ({"model": "bounded", "capability": capability}, [])
    assert len([piece async for piece in bounded(fake).generate(asked)]) == len(SAYS)


async def test_a_model_without_logprobs_is_not_asked_how_sure_it_is() -> None:
    fake, asked = FakeGenerator(SAYS), replace(ASKED, confidence=True)
    for capabilities in (ALL, ALL - {Capability.LOGPROBS}):
        [piece async for piece in bounded(fake, replace(ENTRY, capabilities=capabilities)).generate(asked)]
    assert [generation.confidence for generation in fake.asked] == [True, False]


@pytest.mark.parametrize(
    ("given", "default", "merged"),
    [
        (Sampling(), Sampling(), Sampling()),
        (Sampling(top_k=0), Sampling(top_k=5, seed=1), Sampling(top_k=0, seed=1)),
        (Sampling(stop=("a",)), Sampling(stop=("b",)), Sampling(stop=("a",))),
        (Sampling(), Sampling(stop=("b",)), Sampling(stop=("b",))),
    ],
)
def test_merge(given: Sampling, default: Sampling, merged: Sampling) -> None:
    assert merge(given, default) == merged
