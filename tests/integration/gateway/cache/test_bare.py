"""Completions of bare models from the cache, asked through the whole gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from headworks.gateway.v1 import budget_service_pb2, budget_service_pb2_grpc
from headworks.gateway.v1 import cache_service_pb2 as pb
from headworks.gateway.v1 import cache_service_pb2_grpc as pb_grpc

from gateway.schema.schema import SCHEMA
from services.runtime.records.schema import Schema
from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.openai_upstream import Behaviour, Exchange, FakeOpenAi, delta
from tests.integration.gateway.conftest import BEARER, Gateway, MakeGateway, rows

USAGE = fake.usage(prompt=11, completion=2, cached=3)
WHOLE = {
    "id": "c1", "object": "chat.completion", "created": 1_730_000_000, "model": "small-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
}  # fmt: skip
ANSWERS = fake.raw(json.dumps(WHOLE).encode(), kind="application/json")
STREAMS = fake.streams(delta(role="assistant", content="Hel"), delta(content="lo."), delta("stop"), USAGE)


TOKENS_A_DAY: Any = {"scope": 1, "period": 1, "unit": 2}


class Side:
    """A gateway before an upstream, with a policy of the cache."""

    def __init__(self, gateway: Gateway, upstream: FakeOpenAi) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.cache = pb_grpc.CacheServiceStub(gateway.channel)

    async def put(self, spec: str = "enabled: true", agent: str = "small", **more: Any) -> None:
        await self.cache.PutCachePolicy(pb.PutCachePolicyRequest(spec=spec, agent=agent, **more), metadata=BEARER)

    async def ask(self, text: str = "why?", control: str = "", **fields: Any) -> tuple[dict[str, str], Any]:
        """The headers, and the completion or the chunks of a stream."""
        fields = {"messages": [{"role": "user", "content": text}]} | fields
        body = json.dumps({"model": "small"} | fields).encode()
        call = self.gateway.ask("POST", "/v1/chat/completions", body, **({"cache-control": control} if control else {}))
        headers = dict((await call.response()).headers)
        data = b"".join([part.data async for part in call])
        return headers, _chunks(data) if fields.get("stream") else json.loads(data)

    async def status(self, *asked: Any, **fields: Any) -> str:
        return (await self.ask(*asked, **fields))[0].get("x-headworks-cache", "")

    async def stats(self) -> Any:
        [found] = (await self.cache.GetCacheStats(pb.GetCacheStatsRequest(), metadata=BEARER)).stats
        return found


def _chunks(data: bytes) -> list[Any]:
    *events, done = data.strip().split(b"\n\n")
    assert done == b"data: [DONE]"
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def said(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


Start = Callable[..., Awaitable[Side]]


@pytest.fixture
def records_url(migrated_sqlite: Callable[[Schema, Path], str], tmp_path: Path) -> str:
    """Of SQLite alone: that policies are kept by both databases is shown elsewhere."""
    return migrated_sqlite(SCHEMA, tmp_path / "cache.db")


@pytest.fixture
async def start(records_url: str, make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def made(*behaviours: Behaviour, policy: str = "enabled: true", **settings: Any) -> Side:
            upstream = await stack.enter_async_context(FakeOpenAi(*behaviours).serving())
            model = {"base_url": upstream.url, "model": "small-2026", "input_price": 1, "output_price": 2}
            (file := tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": {"small": model}}))
            gateway = await make_gateway(upstreams_file=file, records_url=records_url, **settings)
            side = Side(gateway, upstream)
            if policy:
                await side.put(policy)
            return side

        yield made


async def booked(url: str) -> list[tuple[Any, ...]]:
    return await rows(url, "SELECT model, prompt_tokens, completion_tokens, cost_nanos, finish_reason FROM usage")


async def test_an_equal_question_is_answered_without_the_upstream(start: Start, records_url: str) -> None:
    side = await start(ANSWERS)
    headers, first = await side.ask()
    assert headers["x-headworks-cache"] == "miss"
    assert first == WHOLE | {"headworks": {"cache": {"status": "miss"}}}
    headers, again = await side.ask()
    assert (headers["x-headworks-cache"], headers["age"]) == ("hit", "0")
    assert again["headworks"]["cache"]["status"] == "hit"
    assert again | {"headworks": None} == WHOLE | {"headworks": None}
    assert len(side.upstream.exchanges) == 1
    assert sorted(await booked(records_url)) == [("small", 0, 0, 0, "stop"), ("small", 11, 2, 15_000, "stop")]
    details = [json.loads(row[0]) for row in await rows(records_url, "SELECT record FROM audit_records")]
    noted = [one.get("details", {}).get("cache") for one in details if one["action"].endswith("completions")]
    assert noted == ["miss", "hit"]
    stats = await side.stats()
    assert (stats.hits, stats.misses, stats.stored, stats.saved_tokens, stats.saved_nanos) == (1, 1, 1, 13, 15_000)


async def test_nothing_is_kept_without_a_policy(start: Start) -> None:
    side = await start(ANSWERS, policy="")
    for _ in range(2):
        headers, answer = await side.ask()
        assert "x-headworks-cache" not in headers
        assert answer == WHOLE
    assert len(side.upstream.exchanges) == 2


@pytest.mark.parametrize(("first", "then"), [(False, True), (True, False), (True, True)])
async def test_an_answer_is_given_again_streamed_or_whole(start: Start, first: bool, then: bool) -> None:
    side = await start(STREAMS if first else ANSWERS)
    await side.ask(stream=first)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if then else {}
    headers, again = await side.ask(stream=then, **options)
    assert headers["x-headworks-cache"] == "hit"
    if then:
        assert said(again) == "Hello."
        assert again[-1]["usage"]["total_tokens"] == 13
        assert again[0]["headworks"]["cache"]["status"] == "hit"
        ends = [choice["finish_reason"] for chunk in again for choice in chunk["choices"] if choice["finish_reason"]]
        assert ends == ["stop"]
    else:
        assert again["choices"][0]["message"] == {"role": "assistant", "content": "Hello."}
        assert again["usage"]["total_tokens"] == 13
    assert len(side.upstream.exchanges) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_ten_equal_calls_at_once_ask_once(start: Start, records_url: str, stream: bool) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        begun.set()
        await go.wait()
        await (STREAMS if stream else ANSWERS)(exchange)

    side = await start(waits)
    calls = [asyncio.create_task(side.ask(stream=stream)) for _ in range(10)]
    await begun.wait()
    await side.gateway.ask("GET", "/v1/models").whole()  # the others have had time to come
    go.set()
    answers = await asyncio.gather(*calls)
    assert len(side.upstream.exchanges) == 1
    assert sorted(headers["x-headworks-cache"] for headers, _ in answers) == ["hit"] * 9 + ["miss"]
    assert sum(row[1] for row in await booked(records_url)) == 11, "the answer is paid for once"
    assert (await side.stats()).hits == 9


async def test_one_who_waits_asks_where_the_first_has_left(start: Start) -> None:
    begun = asyncio.Event()

    async def never(exchange: Exchange) -> None:
        begun.set()
        await exchange.gone()

    side = await start(never, ANSWERS)
    body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "why?"}]}).encode()
    first = side.gateway.ask("POST", "/v1/chat/completions", body)
    await begun.wait()
    second = asyncio.create_task(side.ask())
    await side.gateway.ask("GET", "/v1/models").whole()
    first.cancel()
    assert (await second)[0]["x-headworks-cache"] == "miss"
    assert await side.status() == "hit"


async def test_those_who_wait_ask_for_themselves_where_the_first_fails(start: Start) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        begun.set()
        await go.wait()
        await fake.fails(400)(exchange)

    side = await start(fails, ANSWERS)
    first = asyncio.create_task(side.ask())
    await begun.wait()
    others = [asyncio.create_task(side.ask()) for _ in range(3)]
    await side.gateway.ask("GET", "/v1/models").whole()
    go.set()
    with pytest.raises(Refused):
        await first
    assert [headers["x-headworks-cache"] for headers, _ in await asyncio.gather(*others)] == ["miss"] * 3


@pytest.mark.parametrize(
    "other",
    [
        {"text": "why not?"}, {"temperature": 0.5}, {"max_tokens": 7}, {"user": "ann"}, {"seed": 1},
        {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "why?"}]},
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
    ],
)  # fmt: skip
async def test_whatever_may_change_an_answer_tells_questions_apart(start: Start, other: dict[str, Any]) -> None:
    side = await start(ANSWERS)
    await side.ask()
    assert await side.status(**other) == "miss"
    assert await side.status(**other) == "hit"


async def test_a_caller_may_only_have_less(start: Start) -> None:
    side = await start(ANSWERS)
    assert await side.status(control="no-store") == "bypass"
    assert await side.status() == "miss"
    assert await side.status(control="no-cache") == "bypass"
    assert await side.status(control="max-age=0") == "miss"
    assert await side.status(control="max-age=1000, only-if-cached, public") == "hit"
    assert len(side.upstream.exchanges) == 4


@pytest.mark.parametrize(
    "behaviour",
    [
        fake.streams(fake.calls(("pay", "{}")), USAGE),
        fake.streams(delta(role="assistant", content="Hel"), delta("length"), USAGE),
        fake.streams(delta(role="assistant", refusal="No."), delta("stop"), USAGE),
        fake.streams(delta(role="assistant", content="Mail ann@example.com."), delta("stop"), USAGE),
    ],
    ids=["calls", "cut", "refused", "redacted"],
)
async def test_what_is_for_one_caller_alone_is_not_kept(start: Start, behaviour: Behaviour) -> None:
    side = await start(behaviour)
    await side.gateway.ask(
        "PUT", "/v1/admin/guards",
        json.dumps({"spec": "guards: [{guard: pii, stage: output, action: redact}]"}).encode(),
    ).whole()  # fmt: skip
    for _ in range(2):
        assert await side.status(stream=True) == "miss"
    assert (await side.stats()).stored == 0


async def test_a_question_that_a_guard_has_changed_is_its_callers_alone(start: Start) -> None:
    side = await start(ANSWERS)
    spec = "guards: [{guard: pii, stage: both, action: redact, restore: true}]"
    await side.gateway.ask("PUT", "/v1/admin/guards", json.dumps({"spec": spec}).encode()).whole()
    for mail in ("ann@example.com", "ann@example.com"):
        assert await side.status(f"Who is {mail}?") == "bypass"
    assert len(side.upstream.exchanges) == 2


async def test_a_hit_goes_through_the_guards_of_today(start: Start) -> None:
    side = await start(ANSWERS)
    await side.ask()
    spec = "guards: [{guard: terms, stage: output, action: block, terms: [Hello]}]"
    await side.gateway.ask("PUT", "/v1/admin/guards", json.dumps({"spec": spec}).encode()).whole()
    headers, answer = await side.ask()
    assert headers["x-headworks-cache"] == "hit"
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert "Hello" not in json.dumps(answer)


async def test_a_hit_costs_what_the_policy_says(start: Start, records_url: str) -> None:
    side = await start(ANSWERS, policy="charge: 0.5")
    await side.ask()
    await side.ask()
    assert sorted(await booked(records_url)) == [("small", 6, 1, 7_500, "stop"), ("small", 11, 2, 15_000, "stop")]


@pytest.mark.parametrize(
    ("spec", "tenant"),
    [
        ("shared_by: tenants", ""), ("shared_by: everybody", ""), ("shared_by: tenant", ""), ("tenants: [a, b]", ""),
        ("global: true", ""), ("enabled: true", "*"),
    ],
)  # fmt: skip
async def test_a_policy_that_would_cross_tenants_is_refused(start: Start, spec: str, tenant: str) -> None:
    side = await start(ANSWERS, policy="")
    body = json.dumps({"spec": spec, "tenant": tenant}).encode()
    with pytest.raises(Refused) as caught:
        await side.gateway.ask("PUT", "/v1/admin/cache/policies", body).whole()
    assert caught.value.status == 400
    assert "never gives an answer to another tenant" in caught.value.error["message"]


async def test_answers_are_inspected_and_purged(start: Start) -> None:
    side = await start(ANSWERS)
    await side.ask("one")
    await side.ask("two")
    listed = (await side.cache.ListCachedAnswers(pb.ListCachedAnswersRequest(), metadata=BEARER)).answers
    assert [(answer.model, answer.kind, answer.tokens) for answer in listed] == [("small", "chat", 13)] * 2
    first = pb.PurgeCacheRequest(key=listed[-1].key)
    assert (await side.cache.PurgeCache(first, metadata=BEARER)).purged == 1
    assert [await side.status("two"), await side.status("one")] == ["hit", "miss"]
    assert (await side.cache.PurgeCache(pb.PurgeCacheRequest(model="other"), metadata=BEARER)).purged == 0
    assert (await side.cache.PurgeCache(pb.PurgeCacheRequest(), metadata=BEARER)).purged == 2
    assert await side.status("two") == "miss"


async def test_gateways_share_answers_in_redis_and_do_without(start: Start, redis_url: str, redis_server: Any) -> None:
    side = await start(ANSWERS, redis_url=redis_url, cache_redis_seconds=5)
    assert [await side.status("shared"), await side.status("shared")] == ["miss", "hit"]
    listed = (await side.cache.ListCachedAnswers(pb.ListCachedAnswersRequest(), metadata=BEARER)).answers
    assert len(listed) == 1
    redis_server.stop()
    assert await side.status("shared") == "miss"
    redis_server.start()


async def test_a_free_hit_is_given_though_the_budget_is_used_up(start: Start, records_url: str) -> None:
    side = await start(ANSWERS)
    await side.ask()
    admin = budget_service_pb2_grpc.BudgetServiceStub(side.gateway.channel)
    asked = budget_service_pb2.CreateBudgetRequest(amount=1, **TOKENS_A_DAY)
    await admin.CreateBudget(asked, metadata=BEARER)
    with pytest.raises(Refused):
        await side.ask(messages=[{"role": "user", "content": "another"}])
    headers, _ = await side.ask()
    assert headers["x-headworks-cache"] == "hit"


async def test_an_answer_of_a_route_is_given_again(records_url: str, make_gateway: MakeGateway, tmp_path: Path) -> None:
    async with FakeOpenAi(ANSWERS).serving() as upstream:
        model = {"name": "east", "generator": "openai", "base_url": upstream.url}
        route = {"name": "small", "bare": True, "targets": [{"model": "east"}]}
        (file := tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": [model], "routes": [route]}))
        side = Side(await make_gateway(upstreams_file=file, records_url=records_url), upstream)
        await side.put()
        assert [await side.status() for _ in range(2)] == ["miss", "hit"]
        chunks = (await side.ask(stream=True))[1]
        assert said(chunks) == "Hello."
        assert len(upstream.exchanges) == 1
