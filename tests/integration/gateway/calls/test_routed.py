"""Chat completions of a route, over real HTTP: whatever one of its upstreams does, another answers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.calls.bare import BareCalls
from gateway.faces.http.openai.bare_request import parse
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.route import RouteSpec, TargetSpec
from services.llm.client import HttpClient
from services.llm.models import ModelFactory
from services.llm.price import Price
from services.runtime.errors import DomainError, Unavailable
from tests.fakes import openai_upstream as fake
from tests.fakes.calls import FakePipeline, Settled, call_of, delta
from tests.fakes.openai_upstream import Behaviour, Exchange, FakeOpenAi
from tests.fakes.serving import until

HELLO = (delta(content="Hel"), delta(content="lo"), delta("stop"))
WHOLE = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
}  # fmt: skip


class Side:
    """A bare route before two upstreams, of which the second is asked where the first cannot."""

    def __init__(self, calls: BareCalls, pipeline: FakePipeline, upstreams: list[FakeOpenAi]) -> None:
        self.calls = calls
        self.pipeline = pipeline
        self.upstreams = upstreams
        self.headers: dict[str, str] = {}

    async def complete(self, **more: Any) -> Any:
        asked = parse({"model": "steady", "messages": [{"role": "user", "content": "why?"}], **more})
        call = call_of(20)
        data = await self.calls.complete(asked, call)
        self.headers = call.headers
        return json.loads(data)

    async def stream(self) -> list[Any]:
        body = {"model": "steady", "messages": [{"role": "user", "content": "why?"}], "stream": True}
        call = call_of(20)
        data = b"".join([part async for part in self.calls.stream(parse(body), call)])
        self.headers = call.headers
        *events, rest = data.split(b"\n\n")
        assert (rest, events[-1]) == (b"", b"data: [DONE]")
        return [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]


Make = Callable[..., Awaitable[Side]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def made(
            first: list[Behaviour], second: list[Behaviour], limits: dict[str, Any] | None = None, **more: Any
        ) -> Side:
            upstreams = [
                await stack.enter_async_context(FakeOpenAi(*behaviours).serving()) for behaviours in (first, second)
            ]
            client = HttpClient()
            await client.open()
            stack.push_async_callback(client.aclose)
            factory = ModelFactory(client, {"A_KEY": "key-a", "B_KEY": "key-b"}.get)
            entries = {
                name: CatalogueEntry(
                    name, EngineKind.OPENAI, base_url=upstream.url, model=f"{name}-2026",
                    api_key_env=f"{name.upper()}_KEY", price=Price(10**9, 10**9 * (number + 1)),
                    **(limits or {}),
                )
                for number, (name, upstream) in enumerate(zip("ab", upstreams, strict=True))
            }  # fmt: skip
            spec = RouteSpec("steady", (TargetSpec("a"), TargetSpec("b", order=1)), bare=True, **more)
            pipeline = FakePipeline()
            return Side(
                BareCalls({"a": factory.bare(entries["a"]), "steady": factory.bare_route(spec, entries)}, pipeline),
                pipeline,
                upstreams,
            )

        yield made


def whole(value: Any) -> Behaviour:
    return fake.raw(json.dumps(value).encode(), kind="application/json")


async def silent(exchange: Exchange) -> None:
    await exchange.gone()


async def breaks_before(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(fake.event(delta(role="assistant", content="")))
    exchange._writer.transport.abort()


FAULTS: list[tuple[str, Behaviour, str]] = [
    ("429", fake.fails(429), "rate_limit"),
    ("500", fake.fails(500), "overload"),
    ("401", fake.fails(401), "auth"),
    ("404", fake.fails(404), "auth"),
    ("hangs up", fake.hangs_up, "overload"),
    ("garbage", fake.raw(b"data: {]\n\n"), "broken"),
    ("HTML", fake.raw(b"<html>", kind="text/html"), "broken"),
    ("nothing", fake.raw(b""), "overload"),
    (
        "an error of older servers of vLLM",
        fake.raw(b'{"object":"error","message":"too busy","code":503}', kind="application/json"),
        "overload",
    ),
    ("an end without an answer", fake.raw(b"data: [DONE]\n\n"), "broken"),
    ("an error for an answer", fake.raw(b'{"error":{"message":"odd"}}', kind="application/json"), "overload"),
]


@pytest.mark.parametrize(("behaviour", "fault"), [one[1:] for one in FAULTS], ids=[one[0] for one in FAULTS])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_another_upstream_answers(make: Make, behaviour: Behaviour, fault: str, stream: bool) -> None:
    side = await make([behaviour], [fake.streams(*HELLO, fake.usage(11, 4)) if stream else whole(WHOLE)])
    if stream:
        first, *events = await side.stream()
        assert "".join(c["delta"].get("content") or "" for e in (first, *events) for c in e["choices"]) == "Hello"
        told = first["headworks"]["route"]
        assert not any("headworks" in event for event in events)
    else:
        answer = await side.complete()
        assert answer["choices"] == WHOLE["choices"]
        told = answer["headworks"]["route"]
    assert (told["name"], told["target"]) == ("steady", "b")
    assert [(one["target"], one["fault"]) for one in told["failed"]] == [("a", fault)]
    assert side.headers["x-headworks-route"] == f"steady; target=b; failed=a:{fault}"
    assert side.pipeline.settled == [Settled(11, 4, 0, "stop")]
    assert side.pipeline.calls[0].meter.cost_nanos == (11 + 2 * 4) * 1000, "by the price of the one that answers"
    (exchange,) = side.upstreams[1].exchanges
    assert (exchange.headers["authorization"], exchange.body["model"]) == ("Bearer key-b", "b-2026")


async def test_a_stream_that_breaks_before_it_says_anything_is_begun_again(make: Make) -> None:
    side = await make([breaks_before], [fake.streams(*HELLO)])
    assert len(await side.stream()) >= 2
    assert len(side.upstreams[1].exchanges) == 1


async def test_after_the_first_token_nothing_is_begun_again(make: Make) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(fake.event(delta(content="Hel")))
        exchange._writer.transport.abort()

    side = await make([breaks], [fake.streams(*HELLO)])
    with pytest.raises(DomainError) as caught:
        await side.stream()
    assert (caught.value.reason, side.upstreams[1].exchanges) == ("UPSTREAM_BROKEN", [])


async def test_a_silent_upstream_is_given_up(make: Make) -> None:
    side = await make([silent], [fake.streams(*HELLO)], first_token_seconds=0.1)
    assert (await side.stream())[0]["headworks"]["route"]["failed"][0]["fault"] == "timeout"


async def test_what_is_refused_is_refused_once(make: Make) -> None:
    side = await make([fake.fails(400, "odd")], [fake.streams(*HELLO)])
    with pytest.raises(DomainError) as caught:
        await side.stream()
    assert (caught.value.reason, caught.value.details["attempts"]) == ("UPSTREAM_REFUSED", "a:bad_request")
    assert not side.upstreams[1].exchanges


async def test_one_deadline_holds_over_all_attempts(make: Make) -> None:
    side = await make([silent], [silent], whole_answer_seconds=0.2)
    asked = parse({"model": "steady", "messages": [{"role": "user", "content": "why?"}]})
    began = time.monotonic()
    with pytest.raises(DomainError) as caught:
        await side.calls.complete(asked, call_of(0.6))
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 5


async def test_a_healthy_answer_says_who_gave_it(make: Make) -> None:
    side = await make([whole(WHOLE)], [whole(WHOLE)])
    assert (await side.complete())["headworks"] == {
        "route": {"name": "steady", "target": "a", "failed": [], "hedged": False}
    }
    assert not side.upstreams[1].exchanges


async def test_calls_wait_for_a_place_by_class_and_a_full_target_is_passed_by(make: Make) -> None:
    """One place at the first target, and one in its queue; the next call goes to the second."""
    going, released, seen = asyncio.Event(), asyncio.Event(), list[str]()

    async def holds(exchange: Exchange) -> None:
        seen.append(exchange.body["messages"][0]["content"])
        going.set()
        if len(seen) == 1:
            await released.wait()
        await whole(WHOLE)(exchange)

    limits = {"bare_concurrency": 1, "queue": 2}
    side = await make([holds], [whole(WHOLE)], limits=limits)

    async def ask(words: str, **more: Any) -> str:
        body = {"model": "steady", "messages": [{"role": "user", "content": words}], **more}
        answer = json.loads(await side.calls.complete(parse(body), call_of(20)))
        return str(answer["headworks"]["route"]["target"])

    def waiting() -> float | None:
        return REGISTRY.get_sample_value("headworks_model_waiting", {"model": "a"})

    tasks = [asyncio.create_task(ask("first"))]
    try:
        await going.wait()
        tasks.append(asyncio.create_task(ask("batch", priority="batch")))
        await until(lambda: waiting() == 1)
        tasks.append(asyncio.create_task(ask("interactive")))
        await until(lambda: waiting() == 2)
        assert await ask("one too many") == "b"
    finally:
        released.set()
    assert await asyncio.gather(*tasks) == ["a", "a", "a"]
    assert seen == ["first", "interactive", "batch"]
    assert "priority" not in side.upstreams[0].bodies[1]


async def test_waiting_for_a_place_is_no_sickness(make: Make) -> None:
    going, released = asyncio.Event(), asyncio.Event()

    async def holds(exchange: Exchange) -> None:
        going.set()
        await released.wait()
        await whole(WHOLE)(exchange)

    side = await make([holds], [whole(WHOLE)], limits={"bare_concurrency": 1}, whole_answer_seconds=0.2)
    direct = side.calls.complete(parse({"model": "a", "messages": [{"role": "user", "content": "long"}]}), call_of(20))
    long = asyncio.create_task(direct)
    try:
        await going.wait()
        for _ in range(6):
            told = (await side.complete())["headworks"]["route"]
            assert (told["target"], told["failed"][0]["fault"]) == ("b", "full")
        assert side.calls.health("steady")[0].breaker == "closed"
    finally:
        released.set()
    await long


async def test_a_whole_answer_has_a_limit_of_its_own(make: Make) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        await whole(WHOLE)(exchange)

    side = await make([slow], [whole(WHOLE)], first_token_seconds=0.1)
    assert (await side.complete())["headworks"]["route"]["target"] == "a"


async def test_an_answer_that_ends_with_an_error_is_none(make: Make) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "error",
              "error": {"code": 502, "message": "no provider"}}  # fmt: skip
    side = await make([whole({**WHOLE, "choices": [choice]})], [whole(WHOLE)])
    told = (await side.complete())["headworks"]["route"]
    assert (told["target"], told["failed"][0]["fault"]) == ("b", "overload")


async def test_an_error_of_older_servers_of_vllm_in_a_stream(make: Make) -> None:
    said = fake.raw(b'data: {"object":"error","message":"too busy","code":503}\n\ndata: [DONE]\n\n')
    side = await make([said], [fake.streams(*HELLO)])
    assert (await side.stream())[0]["headworks"]["route"]["failed"][0]["fault"] == "overload"


class Gone:
    """A screen whose guards are gone in the midst of an answer."""

    released_until = 0

    def shift(self, original_index: int) -> int:
        return original_index

    def feed(self, text: str) -> Any:
        raise Unavailable("the guards are gone")

    whole = feed


async def test_a_fault_of_this_side_in_the_midst_of_an_answer_is_not_its_targets(make: Make) -> None:
    side = await make([fake.streams(*HELLO)], [fake.streams(*HELLO)])
    side.pipeline.screen = Gone
    for _ in range(6):
        with pytest.raises(Unavailable):
            await side.stream()
    first, _ = side.calls.health("steady")
    assert (first.breaker, first.failing, first.in_flight) == ("closed", 0, 0)
