"""Chat completions of an upstream, over real HTTP."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.budgets.model import Unit
from gateway.calls.bare import BareCalls
from gateway.calls.held_text import Screen
from gateway.faces.http.openai import models
from gateway.faces.http.openai.bare_request import parse
from services.llm import client
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.client import HttpClient
from services.llm.endpoint import endpoint_of
from services.llm.handle import BareHandle
from services.llm.openai.engine import OpenAiEngine
from services.llm.price import Price
from services.llm.tokens import MOST_TOKENS
from services.runtime.errors import DomainError
from tests.fakes import openai_upstream as fake
from tests.fakes.calls import FakePipeline, Settled, WordScreen, call_of, delta
from tests.fakes.openai_upstream import Behaviour, Exchange, FakeOpenAi

KEY = "sk-upstream-key"
USAGE = fake.usage(prompt=11, completion=2, cached=3)
WHOLE = {
    "id": "c1", "object": "chat.completion", "created": 1_730_000_000, "model": "small-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "my secret is out"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
}  # fmt: skip


class Side:
    """A bare model before an upstream."""

    def __init__(self, handle: BareHandle, upstream: FakeOpenAi) -> None:
        self.pipeline = FakePipeline()
        self.through = BareCalls({"small": handle}, self.pipeline)
        self.upstream = upstream

    async def complete(self, screen: Screen | None = None, seconds: float = 20, **more: Any) -> Any:
        asked = parse({"model": "small", "messages": [{"role": "user", "content": "why?"}], **more})
        self.pipeline.screen = screen
        return json.loads(await self.through.complete(asked, call_of(seconds)))

    async def stream(self, screen: Screen | None = None, seconds: float = 20, usage: bool = False) -> list[Any]:
        """The events, of which the last is the mark of the end."""
        data = b"".join([part async for part in self.parts(screen, seconds, usage)])
        *events, rest = data.split(b"\n\n")
        assert (rest, events[-1]) == (b"", b"data: [DONE]")
        return [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]

    async def parts(
        self, screen: Screen | None = None, seconds: float = 20, usage: bool = False
    ) -> AsyncIterator[bytes]:
        body = {"model": "small", "messages": [{"role": "user", "content": "why?"}], "stream": True}
        asked = parse({**body, "stream_options": {"include_usage": usage}})
        self.pipeline.screen = screen
        async with aclosing(self.through.stream(asked, call_of(seconds))) as parts:
            async for part in parts:
                yield part


def bare(opened: HttpClient, url: str, **more: Any) -> BareHandle:
    entry = CatalogueEntry(
        "small", EngineKind.OPENAI, bare=True, base_url=url, model="small-2026", api_key_env="THE_KEY",
        **{"first_byte_seconds": more.get("idle_seconds", 60), **more},
    )  # fmt: skip
    return BareHandle(entry, OpenAiEngine(opened, endpoint_of(entry, KEY)))


Make = Callable[..., Awaitable[Side]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def made(*behaviours: Behaviour, **more: Any) -> Side:
            upstream = await stack.enter_async_context(FakeOpenAi(*behaviours).serving())
            opened = HttpClient(4)
            await opened.open()
            stack.push_async_callback(opened.aclose)
            return Side(bare(opened, upstream.url, **more), upstream)

        yield made


def whole(value: Any, **more: Any) -> Behaviour:
    return fake.raw(json.dumps(value).encode(), kind="application/json", **more)


def text(events: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def finish(events: list[Any]) -> list[str]:
    reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
    return [reason for reason in reasons if reason]


def disbelieved() -> float:
    return REGISTRY.get_sample_value("headworks_model_usage_disbelieved_total", {"model": "small"}) or 0.0


def answers() -> float:
    """How many answers of the upstream have begun."""
    labels = {"model": "small"}
    return REGISTRY.get_sample_value("headworks_gateway_upstream_first_byte_seconds_count", labels) or 0.0


async def test_a_completion_is_passed_on_and_booked(make: Make) -> None:
    side = await make(whole(WHOLE))
    assert await side.complete(temperature=0.5) == WHOLE
    assert side.pipeline.settled == [Settled(11, 4, 0, "stop")]
    [exchange] = side.upstream.exchanges
    assert exchange.headers["authorization"] == f"Bearer {KEY}"
    assert (exchange.body["model"], exchange.body["temperature"]) == ("small-2026", 0.5)


def sized(body: bytes, length: int) -> Behaviour:
    """Answers with a content-length, and closes the connection where that is not what the body has."""

    async def behave(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        await exchange._write(head.encode() + body)
        if length != len(body):
            exchange._writer.close()

    return behave


async def test_a_completion_may_tell_its_length(make: Make) -> None:
    body = json.dumps(WHOLE).encode()
    side = await make(sized(body, len(body)))
    assert [await side.complete() for _ in range(2)] == [WHOLE, WHOLE]
    assert side.upstream.connections == 1


async def test_a_completion_is_screened(make: Make) -> None:
    side = await make(whole(WHOLE))
    [choice] = (await side.complete(WordScreen))["choices"]
    assert choice["message"]["content"] == "my █ is out"


async def test_a_completion_that_is_blocked_ends_where_it_was(make: Make) -> None:
    message = {"role": "assistant", "content": "good evil", "tool_calls": [{"function": {"arguments": "x"}}]}
    side = await make(whole({**WHOLE, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}))
    [choice] = (await side.complete(WordScreen))["choices"]
    assert choice["message"] == {"role": "assistant", "content": "good "}
    assert choice["finish_reason"] == side.pipeline.settled[0].finish_reason == "content_filter"


async def test_tokens_that_nobody_tells_are_estimated(make: Make) -> None:
    side = await make(whole({"choices": WHOLE["choices"]}))
    await side.complete()
    assert side.pipeline.settled == [Settled(5, 4, 0, "stop")]


async def ends_late(exchange: Exchange) -> None:
    """The body ends a little after the mark of the end."""
    await exchange.head()
    await exchange.send(fake.event(delta("stop", content="a")) + fake.event("[DONE]"))
    for _ in range(9):
        await asyncio.sleep(0)
    await exchange.end()


@pytest.mark.parametrize("chunks", [fake.streams(delta(content="a"), delta("stop"), USAGE), ends_late])
async def test_a_connection_serves_many_calls(make: Make, chunks: Behaviour) -> None:
    side = await make(whole(WHOLE), chunks, whole(WHOLE), chunks)
    for _ in range(2):
        await side.complete()
        await side.stream()
    assert side.upstream.connections == 1


async def test_a_stream_goes_through_byte_for_byte(make: Make) -> None:
    sent = [
        fake.event(delta(role="assistant", content="")),
        fake.event(delta(content="a  b")),
        fake.event(delta("stop")),
    ]
    side = await make(fake.raw(*sent, b": comment\n\n", fake.event(USAGE), fake.event("[DONE]")))
    assert b"".join([part async for part in side.parts()]) == b"".join(sent) + b"data: [DONE]\n\n"
    assert side.pipeline.settled == [Settled(11, 2, 3, "stop")]


async def test_the_usage_goes_to_those_who_want_it(make: Make) -> None:
    side = await make(fake.streams(delta(content="a"), delta("length"), USAGE))
    events = await side.stream(usage=True)
    assert (events[-1], finish(events)) == (USAGE, ["length"])
    assert side.upstream.bodies[0]["stream_options"] == {"include_usage": True}


NULL = {**delta(content="a"), "usage": None}
WITHIN = {**delta("stop"), "usage": USAGE["usage"]}
GROWING = [{**delta(content="a"), "usage": {"prompt_tokens": 11, "completion_tokens": one}} for one in (1, 2)]


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "unasked"])
@pytest.mark.parametrize(
    ("chunks", "estimated"),
    [
        ([delta(content="a"), delta("stop"), USAGE], False),
        ([NULL, delta("stop"), USAGE], False),
        ([delta(content="a"), WITHIN], False),
        ([delta(content="a"), WITHIN, USAGE], False),
        ([*GROWING, WITHIN], False),
        ([USAGE, delta(content="a"), delta("stop")], False),
        ([delta(content="a"), delta("stop")], True),
        ([delta(content="a"), delta("stop"), {"choices": [], "usage": None}], True),
    ],
    ids=["as OpenAI", "null before", "in the last chunk", "twice", "in each chunk", "first", "none", "null"],
)
async def test_the_usage_has_a_chunk_of_its_own_and_only_for_those_who_ask(
    make: Make, chunks: list[Any], estimated: bool, asked: bool
) -> None:
    side = await make(fake.streams(*chunks))
    events = await side.stream(usage=asked)
    assert (text(events).strip("a"), finish(events)) == ("", ["stop"])
    told = [event for event in events if event.get("usage") is not None or not event["choices"]]
    if not asked:
        assert told == []
        return
    assert told == events[-1:]
    assert told[0]["choices"] == []
    used = side.pipeline.settled[0]
    assert told[0]["usage"]["prompt_tokens"] == used.prompt_tokens == (5 if estimated else 11)
    assert told[0]["usage"]["completion_tokens"] == used.completion_tokens == (1 if estimated else 2)


ENDED = delta("stop", content="a")


@pytest.mark.parametrize("noise", [None, b": ping\n\n", fake.event({"choices": []})], ids=["silent", "comment", "data"])
async def test_an_upstream_that_does_not_end_after_its_end_is_left(
    make: Make, monkeypatch: pytest.MonkeyPatch, noise: bytes | None
) -> None:
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.05)
    gone = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(fake.event(ENDED) + fake.event(USAGE))
        with suppress(ConnectionError):
            while noise is not None:
                await exchange.send(noise)
                await asyncio.sleep(0.005)
        await exchange.gone()
        gone.set()

    side = await make(behave)
    events = await side.stream(usage=True)
    assert (text(events), finish(events), events[-1]["usage"]["prompt_tokens"]) == ("a", ["stop"], 11)
    assert side.pipeline.settled == [Settled(11, 2, 3, "stop")]


async def test_of_two_answers_the_second_may_come_after_the_first(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.02)

    def of(index: int, finish: str | None = None, **said: Any) -> bytes:
        return fake.event({"choices": [{"index": index, "delta": said, "finish_reason": finish}]})

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(of(0, "stop", content="a"))
        await asyncio.sleep(0.2)
        await exchange.send(of(1, "stop", content="b") + fake.event("[DONE]"))
        await exchange.end()

    side = await make(behave, passes=frozenset({"n"}))
    asked = parse({"model": "small", "messages": [{"role": "user", "content": "why?"}], "stream": True, "n": 2})
    data = b"".join([part async for part in side.through.stream(asked, call_of(60))])
    events = [json.loads(event[6:]) for event in data.split(b"\n\n")[:-2]]
    assert (text(events), finish(events)) == ("ab", ["stop", "stop"])


@pytest.mark.parametrize("begun", [False, True])
async def test_comments_are_no_life(make: Make, begun: bool) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        if begun:
            await exchange.send(fake.event(delta(content="a")))
        with suppress(ConnectionError):
            while True:
                await exchange.send(b": processing\n\n")
                await asyncio.sleep(0.005)

    side = await make(behave, **({"idle_seconds": 0.1, "first_byte_seconds": 60} if begun else {"idle_seconds": 0.1}))
    with pytest.raises(DomainError) as caught:
        await side.stream()
    assert caught.value.reason == "UPSTREAM_TIMEOUT"


async def test_a_slow_reader_is_no_silence(make: Make) -> None:
    side = await make(fake.streams(delta(content="a"), delta(content="b"), delta("stop")), idle_seconds=0.1)
    parts = side.parts()
    first = await anext(parts)
    await asyncio.sleep(0.3)
    assert (first + b"".join([part async for part in parts])).endswith(b"data: [DONE]\n\n")


def call_part(index: int | None, id_: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    given = {"index": index, "id": id_, "function": function, "type": "function"}
    return {key: value for key, value in given.items() if value is not None}


@pytest.mark.parametrize(
    "chunks",
    [
        [[(0, "x", "f", '{"a":1}')], [(1, "y", "g", '{"b":2}')]],
        [[(0, "x", "f", ""), (1, "y", "g", "")], [(0, None, None, '{"a":'), (1, None, None, '{"b":2}')],
         [(0, None, None, "1}")]],
        [[(None, None, "f", '{"a":1}')], [(None, None, "g", '{"b":2}')]],
        [[(None, None, "f", '{"a":1}'), (None, None, "g", '{"b":2}')]],
        [[(0, "x", "f", '{"a":1}')], [(0, "y", "g", '{"b":2}')]],
        [[(0, None, "f", '{"a":1}')], [(0, None, "g", '{"b":2}')]],
        [[(0, "x", "f", '{"a":')], [(0, "x", "f", "1}")], [(1, "y", "g", '{"b":2}')]],
        [[(0, "x", "f", '{"a":1}'), (0, "y", "g", '{"b":2}')]],
        [[(0, "x", "f", '{"a":')], [(0, "z", None, "1}")], [(0, "y", "g", '{"b":2}')]],
    ],
    ids=["by index", "side by side", "without both", "in one chunk", "one index", "one index, no ids", "all repeated",
         "one index in one chunk", "an id with each part"],
)  # fmt: skip
async def test_parallel_calls_stay_apart_for_who_goes_by_the_index(make: Make, chunks: list[Any]) -> None:
    sent = [delta(tool_calls=[call_part(*part) for part in parts]) for parts in chunks]
    side = await make(fake.streams(*sent, delta("tool_calls")))
    made: dict[int, dict[str, str]] = {}
    for event in await side.stream():
        for choice in event["choices"]:
            for part in choice["delta"].get("tool_calls") or ():
                call = made.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] += part.get("id") or ""
                call["name"] += part["function"].get("name") or ""
                call["arguments"] += part["function"].get("arguments") or ""
    assert [(one["name"], one["arguments"]) for _, one in sorted(made.items())] == [("f", '{"a":1}'), ("g", '{"b":2}')]
    assert len({one["id"] for one in made.values()} - {""}) == 2


async def test_calls_of_a_whole_answer_have_ids(make: Make) -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": "{}"}}, {"id": "x", "function": {"name": "g"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = {**WHOLE, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    first, second = (await (await make(whole(answer))).complete())["choices"][0]["message"]["tool_calls"]
    assert first["id"].startswith("call_")
    assert second == {"id": "x", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    assert "index" not in first


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [([delta(content="a")], "stop"), ([delta(tool_calls=[call_part(0, "x", "f", "{}")])], "tool_calls"), ([], "stop")],
    ids=["text", "calls", "nothing"],
)
async def test_an_answer_that_is_done_has_an_end(make: Make, chunks: list[Any], reason: str) -> None:
    side = await make(fake.streams(*chunks))
    assert finish(await side.stream()) == [reason]
    assert side.pipeline.settled[0].finish_reason == reason


@pytest.mark.parametrize(("left", "sent"), [({}, None), ({Unit.TOKENS: 305}, 300), ({Unit.MONEY: 600}, 295)])
async def test_an_answer_that_comes_whole_is_limited_to_what_its_budget_has(
    make: Make, left: dict[Unit, int], sent: int | None
) -> None:
    side = await make(whole(WHOLE), fake.streams(delta("stop")), price=Price(2_000_000, 2_000_000))
    side.pipeline.left = left
    await side.complete()
    await side.stream()
    assert [body.get("max_tokens") for body in side.upstream.bodies] == [sent, None]


async def test_a_stream_does_not_wait_for_its_end(make: Make) -> None:
    go_on = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(fake.event(delta(content="a")))
        await go_on.wait()
        await exchange.send(fake.event(delta("stop")) + fake.event("[DONE]"))
        await exchange.end()

    side = await make(behave)
    parts = side.parts()
    async with aclosing(parts):  # type: ignore[type-var]  # a generator behind its interface
        assert b'"a"' in await anext(parts)
        assert side.pipeline.settled == []
        go_on.set()
        assert (await anext(parts)).endswith(b"data: [DONE]\n\n")
    assert len(side.pipeline.settled) == 1


async def test_a_stream_is_screened(make: Make) -> None:
    pieces = ["my sec", "ret is", " out", " now"]
    side = await make(fake.streams(*(delta(content=piece) for piece in pieces), delta("stop"), USAGE))
    events = await side.stream(WordScreen, usage=True)
    assert (text(events), finish(events), events[-1]) == ("my █ is out now", ["stop"], USAGE)


@pytest.mark.parametrize("pieces", [["good evil", " more"], ["good ev", "il"]])
async def test_a_blocked_stream_ends_typed(make: Make, pieces: list[str]) -> None:
    side = await make(fake.streams(*(delta(content=piece) for piece in pieces), delta("stop"), USAGE))
    events = await side.stream(WordScreen, usage=True)
    assert (text(events), finish(events)) == ("good ", ["content_filter"])
    assert events[-1]["choices"] == []
    spent = side.pipeline.settled[0]
    assert (events[-1]["usage"]["completion_tokens"], spent.finish_reason) == (
        spent.completion_tokens,
        "content_filter",
    )


@pytest.mark.parametrize(
    ("more", "words", "reason"), [(0, "a b c ", "budget"), (2, "a b c d e ", "budget"), (9, "a b c d e f ", "stop")]
)
async def test_a_stream_ends_with_its_budget(make: Make, more: int, words: str, reason: str) -> None:
    """It overruns by one portion at the most."""
    gate = asyncio.Semaphore(1)

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        for word in "abcdef":
            await gate.acquire()
            await exchange.send(fake.event(delta(content=f"{word * 3} ")))  # a token
        await exchange.send(fake.event(delta("stop")) + fake.event("[DONE]"))
        await exchange.end()

    side = await make(behave)
    side.pipeline.enough, side.pipeline.more = 2, more
    data = b""
    async for part in side.parts(usage=True):
        data += part
        gate.release()
    events = [json.loads(event[6:]) for event in data.split(b"\n\n")[:-2]]
    assert (text(events), finish(events)) == ("".join(f"{word * 3} " for word in words.split()), [reason])
    assert side.pipeline.settled[0].finish_reason == reason


async def test_a_caller_who_leaves_closes_the_upstream_at_once(make: Make) -> None:
    gone = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(fake.event(delta(content="a")))
        await exchange.gone()
        gone.set()

    side = await make(behave)
    parts = side.parts()
    await anext(parts)
    await parts.aclose()  # type: ignore[attr-defined]  # likewise
    async with asyncio.timeout(60):
        await gone.wait()
    assert [spent.finish_reason for spent in side.pipeline.settled] == ["cancelled"]


async def test_a_caller_who_is_cancelled_is_booked(make: Make) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind="application/json")
        await exchange.gone()

    side = await make(behave)
    before = answers()
    task = asyncio.create_task(side.complete())
    async with asyncio.timeout(60):
        while answers() == before:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [spent.finish_reason for spent in side.pipeline.settled] == ["cancelled"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("how", ["leaves", "deadline"])
async def test_who_does_not_wait_for_the_answer_pays_for_the_question(make: Make, stream: bool, how: str) -> None:
    asked = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        asked.set()
        await exchange.gone()

    side = await make(behave)
    seconds = 0.2 if how == "deadline" else 60
    task = asyncio.create_task(side.stream(seconds=seconds) if stream else side.complete(seconds=seconds))
    async with asyncio.timeout(60):
        await asked.wait()
    if how == "leaves":
        task.cancel()
    with pytest.raises((asyncio.CancelledError, DomainError)):
        await task
    assert side.pipeline.settled == [Settled(5, 0, 0, "cancelled" if how == "leaves" else "error")]


FAILURES: list[tuple[Behaviour, str, float | None]] = [
    (fake.fails(401, f"Incorrect API key provided: {KEY}"), "UPSTREAM_MISCONFIGURED", None),
    (fake.fails(403), "UPSTREAM_MISCONFIGURED", None),
    (fake.fails(404), "UPSTREAM_MISCONFIGURED", None),
    (fake.fails(302, location="http://127.0.0.1:1/"), "UPSTREAM_MISCONFIGURED", None),
    (fake.fails(429, retry_after="7"), "UPSTREAM_BUSY", 7),
    (fake.fails(429), "UPSTREAM_BUSY", None),
    (fake.fails(503, retry_after="nonsense"), "UPSTREAM_UNAVAILABLE", None),
    (fake.fails(500), "UPSTREAM_UNAVAILABLE", None),
    (fake.fails(400, f"bad temperature for {KEY}"), "UPSTREAM_REFUSED", None),
    (fake.hangs_up, "UPSTREAM_UNAVAILABLE", None),
]
NO_ANSWERS: list[Behaviour] = [
    fake.raw(b"<html>", kind="text/html"),
    fake.raw(b"[]", kind="application/json"),
    fake.raw(b'{"choices": []}', kind="application/json"),
    fake.raw(b'{"choices": [1]}', kind="application/json"),
    sized(b'{"choices": ', 99),
]
NO_STREAMS: list[Behaviour] = [
    fake.raw(b"{}", kind="application/json"),
    fake.raw(b"data: {\n\n"),
    fake.raw(b"data: []\n\n"),
    fake.streams(delta(content="a"), done=False),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("behaviour", "reason", "retry_after"), FAILURES)
async def test_failures_are_ours_and_never_show_the_key(
    make: Make,
    caplog: pytest.LogCaptureFixture,
    behaviour: Behaviour,
    reason: str,
    retry_after: float | None,
    stream: bool,
) -> None:
    side = await make(behaviour)
    with caplog.at_level(logging.DEBUG), pytest.raises(DomainError) as caught:
        await (side.stream() if stream else side.complete())
    assert (caught.value.reason, caught.value.retry_after) == (reason, retry_after)
    assert KEY not in caught.value.message + str(caught.value.details) + str(
        [record.__dict__ for record in caplog.records]
    )
    assert side.pipeline.settled == []
    if reason == "UPSTREAM_MISCONFIGURED":
        assert "hint" in caplog.records[-1].__dict__


@pytest.mark.parametrize("behaviour", NO_ANSWERS)
async def test_what_is_no_completion_is_an_error(make: Make, behaviour: Behaviour) -> None:
    side = await make(behaviour)
    with pytest.raises(DomainError) as caught:
        await side.complete()
    assert caught.value.reason == "UPSTREAM_BROKEN"
    assert [spent.finish_reason for spent in side.pipeline.settled] == ["error"]


@pytest.mark.parametrize("behaviour", NO_STREAMS)
async def test_what_is_no_stream_is_an_error(make: Make, behaviour: Behaviour) -> None:
    side = await make(behaviour)
    with pytest.raises(DomainError) as caught:
        await side.stream()
    assert caught.value.reason == "UPSTREAM_BROKEN"


async def test_an_error_within_a_stream_is_ours(make: Make) -> None:
    error: dict[str, Any] = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
    side = await make(fake.streams(delta(content="a"), error))
    with pytest.raises(DomainError) as caught:
        await side.stream()
    assert caught.value.reason == "UPSTREAM_BUSY"
    assert [spent.finish_reason for spent in side.pipeline.settled] == ["error"]


async def test_what_came_before_an_error_goes_out_before_it(make: Make) -> None:
    side = await make(fake.raw(fake.event(delta(content="a")) + fake.event({"error": {"message": "no more"}})))
    parts = side.parts()
    assert b'"a"' in await anext(parts)
    with pytest.raises(DomainError) as caught:
        await anext(parts)
    assert caught.value.reason == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize("after", [[], [{"error": {"message": "no more"}}]], ids=["cut", "error"])
async def test_what_was_held_back_goes_out_before_an_error(make: Make, after: list[Any]) -> None:
    side = await make(fake.raw(b"".join(map(fake.event, [delta(content="my sec"), *after]))))
    parts = side.parts(WordScreen)
    assert b"my sec" in await anext(parts)
    with pytest.raises(DomainError) as caught:
        await anext(parts)
    assert caught.value.reason in ("UPSTREAM_BROKEN", "UPSTREAM_UNAVAILABLE")


async def test_a_kept_connection_that_was_closed_is_opened_anew(make: Make) -> None:
    side = await make(whole(WHOLE), fake.hangs_up, whole(WHOLE))
    await side.complete()
    assert await side.complete() == WHOLE
    assert side.upstream.connections == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("limits", "seconds", "reason"),
    [
        ({"timeout": 0.05}, 20, "UPSTREAM_TIMEOUT"),
        ({"idle_seconds": 0.05, "timeout": 0.2}, 20, "UPSTREAM_TIMEOUT"),
        ({}, 0.05, "DEADLINE_EXCEEDED"),
    ],
    ids=["too long", "silent", "the caller's"],
)
async def test_silence_has_an_end(
    make: Make, stream: bool, limits: dict[str, float], seconds: float, reason: str
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.gone()

    side = await make(behave, **limits)
    with pytest.raises(DomainError) as caught:
        await (side.stream(seconds=seconds) if stream else side.complete(seconds=seconds))
    assert caught.value.reason == reason


async def test_an_answer_that_comes_whole_may_be_silent_until_then(make: Make) -> None:
    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        await whole(WHOLE)(exchange)

    side = await make(behave, first_byte_seconds=0.05)
    assert await side.complete() == WHOLE


async def test_an_upstream_that_is_not_there_is_told_of(make: Make) -> None:
    side = await make(whole(WHOLE))
    opened = HttpClient(1)
    await opened.open()
    side.through = BareCalls({"small": bare(opened, "http://127.0.0.1:1/v1")}, side.pipeline)
    with pytest.raises(DomainError) as caught:
        await side.complete()
    await opened.aclose()
    assert caught.value.reason == "UPSTREAM_UNAVAILABLE"


async def test_models_are_listed(make: Make) -> None:
    side = await make(whole(WHOLE), description="Small.", price=Price(150_000_000, 600_000_000))
    assert (side.through.named("small"), side.through.named("large")) == ("small", "")
    [model] = map(models.of_entry, side.through.entries)
    assert (model["id"], model["object"]) == ("small", "model")
    assert model["headworks"] == {"kind": "upstream", "description": "Small.", "prices": {"input": 0.15, "output": 0.6}}


WORDS = "word " * 300
NUMBERS: list[Any] = [0, -7, "375", 1.5, True, [1], {}]
LIES: list[Any] = [
    None, 0, "many", [], {"prompt_tokens": None, "completion_tokens": None},
    *({"prompt_tokens": one, "completion_tokens": one} for one in NUMBERS),
]  # fmt: skip


@pytest.mark.parametrize("usage", LIES, ids=repr)
async def test_a_usage_that_cannot_be_is_estimated(make: Make, usage: Any) -> None:
    whole = {**WHOLE, "choices": [{"index": 0, "message": {"content": WORDS}, "finish_reason": "stop"}], "usage": usage}
    side = await make(
        fake.raw(json.dumps(whole).encode(), kind="application/json"),
        fake.streams(delta(content=WORDS), delta("stop"), {"choices": [], "usage": usage}),
    )
    answer = await side.complete()
    *_, last = await side.stream(usage=True)
    beside = 1 if '"' in json.dumps(list(usage.values()) if isinstance(usage, dict) else usage) else 0  # a text as any
    assert [one.completion_tokens for one in side.pipeline.settled] == [375 + beside] * 2
    assert all(0 < one.prompt_tokens < 50 and one.cached_tokens == 0 for one in side.pipeline.settled)
    # What is handed on is what is booked.
    assert [one["usage"]["completion_tokens"] for one in (answer, last)] == [375 + beside] * 2


@pytest.mark.parametrize("lie", [2**62, 2**70, 1 << 24])
@pytest.mark.parametrize(("context", "booked"), [(0, MOST_TOKENS), (4096, 4096)])
async def test_a_usage_that_is_too_large_is_booked_as_far_as_it_can_be(
    make: Make, lie: int, context: int, booked: int
) -> None:
    used = {"prompt_tokens": 7, "completion_tokens": lie, "total_tokens": 7 + lie}
    side = await make(
        whole({**WHOLE, "usage": used}),
        fake.streams(delta(content="a"), delta("stop"), {"choices": [], "usage": used}),
        context_length=context,
    )
    before = disbelieved()
    answer = await side.complete()
    *_, last = await side.stream(usage=True)
    assert [one.completion_tokens for one in side.pipeline.settled] == [booked, booked]
    expected = {"prompt_tokens": 7, "completion_tokens": booked, "total_tokens": 7 + booked}
    assert [{name: one["usage"][name] for name in expected} for one in (answer, last)] == [expected, expected]
    assert disbelieved() - before == 2


async def test_a_usage_that_comes_first_does_not_stop_the_counting(make: Make) -> None:
    """An upstream that says at once that nothing was used must not pass the budget by it."""
    free = {"prompt_tokens": 0, "completion_tokens": 0}

    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        for _ in range(3):
            await exchange.send(fake.event({**delta(content=WORDS), "usage": free}))
        await exchange.gone()

    side = await make(behave)
    side.pipeline.enough = 500
    *_, end = await side.stream()
    assert end["choices"][0]["finish_reason"] == "budget"
    assert side.pipeline.settled[0].completion_tokens >= 750


async def test_a_piece_of_the_key_is_not_told(make: Make) -> None:
    side = await make(fake.fails(400, f"bad key {KEY[:13]} of {KEY}"))
    with pytest.raises(DomainError) as caught:
        await side.complete()
    assert "bad key … of …" in caught.value.message


CHUNK = json.dumps(delta(content="hi ")).encode()


@pytest.mark.parametrize(
    "side",
    [
        b"id: secret",
        b": secret",
        b"event: secret",
        b"retry: secret",
        b"foo: secret",
        b"secret",
        b"ID:secret\nx: secret",
    ],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("screen", [WordScreen, None])
async def test_lines_beside_a_chunk_do_not_go_out(make: Make, side: bytes, first: bool, screen: Screen | None) -> None:
    lines = [side, b"data: " + CHUNK] if first else [b"data: " + CHUNK, side]
    tail = fake.event(delta("stop")) + b"data: [DONE]\n\n"
    bare = await make(fake.raw(b"\n".join(lines) + b"\n\n" + tail, kind="text/event-stream"))
    out = b"".join([part async for part in bare.parts(screen)])
    assert b"secret" not in out
    assert b"hi " in out


@pytest.mark.parametrize(
    "twice",
    [
        b'{"id":"c1","choices":[{"index":0,"delta":{"content":"secret","content":"hi "}}]}',
        b'{"id":"c1","choices":[{"index":0,"delta":{"content":"secret"},"delta":{"content":"hi "}}]}',
        b'{"id":"c1","choices":[{"index":0,"delta":{"content":"secret","c\\u006fntent":"hi "}}]}',
        b'{"id":"c1","choices":[{"delta":{"content":"secret"}}],"choices":[{"index":0,"delta":{"content":"hi "}}]}',
        b'{"id":"c1","x":"secret","x":"ab","choices":[{"index":0,"delta":{"content":"hi "}}]}',
    ],
)
async def test_of_a_name_that_is_given_twice_only_what_was_read_goes_out(make: Make, twice: bytes) -> None:
    tail = fake.event(delta("stop")) + b"data: [DONE]\n\n"
    bare = await make(fake.raw(b"data: " + twice + b"\n\n" + tail, kind="text/event-stream"))
    out = b"".join([part async for part in bare.parts()])
    assert b"secret" not in out
    assert b"hi " in out


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_upstream_says_in_an_error_is_screened(make: Make, status: int, stream: bool) -> None:
    error = {"error": {"message": "no secret here, evil thing", "code": "secret", "param": "messages"}}
    side = await make(fake.raw(json.dumps(error).encode(), status=status, kind="application/json"))
    with pytest.raises(DomainError) as raised:
        await (side.stream(WordScreen) if stream else side.complete(WordScreen))
    assert raised.value.message == str(raised.value)
    assert "secret" not in str(raised.value)
    assert "evil" not in str(raised.value)
    assert "no █ here" in str(raised.value)
    assert raised.value.details == {"param": "messages"}


async def test_what_an_upstream_says_in_an_error_within_a_stream_is_screened(make: Make) -> None:
    error = b'data: {"error":{"message":"no secret here"}}\n\n'
    side = await make(fake.raw(fake.event(delta(content="hi ")) + error, kind="text/event-stream"))
    with pytest.raises(DomainError, match="no █ here"):
        await side.stream(WordScreen)


async def test_a_budget_that_ends_within_a_portion_ends_the_answer_there(make: Make) -> None:
    many = b"".join(fake.event(delta(content="word ")) for _ in range(3000))
    side = await make(fake.raw(many + fake.event(delta("stop")) + b"data: [DONE]\n\n", kind="text/event-stream"))
    side.pipeline.enough = 100
    events = await side.stream()
    assert finish(events) == ["budget"]
    assert len(text(events)) < len("word ") * 400


async def test_who_leaves_before_the_question_was_sent_pays_nothing(make: Make) -> None:
    side = await make(ends_late)
    connecting, go_on = asyncio.Event(), asyncio.Event()

    async def connect(*_: Any, **__: Any) -> Any:
        connecting.set()
        await go_on.wait()

    task = asyncio.create_task(side.complete())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client._Connector, "connect", connect)
        async with asyncio.timeout(60):
            await connecting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (side.pipeline.settled, side.pipeline.released) == ([], 1)


async def test_who_leaves_a_whole_answer_pays_for_what_had_come(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[client.UpstreamReply] = []
    begin = client.UpstreamReply.__init__

    def note(reply: client.UpstreamReply, *given: Any) -> None:
        begin(reply, *given)
        replies.append(reply)

    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind="application/json")
        message = {"role": "assistant", "content": "word " * 200}
        await exchange.send(json.dumps({"id": "c1", "choices": [{"index": 0, "message": message}]}).encode()[:-4])
        await exchange.gone()

    monkeypatch.setattr(client.UpstreamReply, "__init__", note)
    side = await make(behave)
    task = asyncio.create_task(side.complete())
    async with asyncio.timeout(60):
        while not (replies and replies[0].taken):
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (settled,) = side.pipeline.settled
    assert settled.completion_tokens >= 200
