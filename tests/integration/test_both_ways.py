"""One table of what upstreams do: a bare model and a model of agents make the same of it, line by line."""

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.calls.bare import BareCalls
from gateway.faces.http.openai.bare_request import parse
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.chat import Message, Role
from services.llm.client import HttpClient
from services.llm.generation import Ended, Finish, Generation, Piece
from services.llm.handle import BareHandle, ModelHandle
from services.llm.models import ModelFactory
from services.llm.tokens import MOST_TOKENS
from services.orchestrator.agents.loop.bare import BareModel
from services.orchestrator.domain.event import UsageReported
from services.orchestrator.runs.agent import RunInput
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.calls import FakePipeline, call_of
from tests.fakes.models import FakeJournal, played
from tests.fakes.openai_upstream import Behaviour, Exchange, FakeOpenAi, delta, event, fails, hangs_up, raw, usage
from tests.fakes.openai_upstream import streams as streamed

QUESTION = "why?"
HELLO = [delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta("stop")]
EVENTS = [event(chunk) for chunk in [*HELLO, usage(9, 7, 4)]] + [event("[DONE]")]
BYTES = b"".join(EVENTS)
LONG = "word " * 300
PARTS = [{"type": "text", "text": "Hello"}]
EMPTY: list[Any] = [{}, {"choices": None}, {"choices": [{"delta": None}]}]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of an answer: its text, why it ended, and its tokens read, written and cached."""

    text: str = "Hello"
    finish: str = "stop"
    tokens: tuple[int, int, int] = (9, 7, 4)


@dataclass(frozen=True, slots=True)
class Failed:
    kind: ErrorKind
    reason: str
    retry_after: float | None = None


Line = tuple[str, Behaviour, Made | Failed]


def whole(**changes: Any) -> bytes:
    message = changes.pop("message", {"role": "assistant", "content": "Hello"})
    choice = {"index": 0, "message": message, "finish_reason": changes.pop("finish", "stop")}
    return json.dumps({"id": "c1", "choices": [choice], "usage": usage(9, 7, 4)["usage"], **changes}).encode()


def as_json(body: bytes, **more: Any) -> Behaviour:
    return raw(body, kind="application/json", **more)


def cut(*portions: bytes) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.head()
        for portion in portions:
            await exchange.send(portion)
        exchange._writer.transport.abort()

    return behave


async def silent(exchange: Exchange) -> None:
    await exchange.gone()


async def stalls(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(EVENTS[1])
    await exchange.gone()


BROKEN = Failed(ErrorKind.UNAVAILABLE, "UPSTREAM_BROKEN")
UNAVAILABLE = Failed(ErrorKind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
MISCONFIGURED = Failed(ErrorKind.UNAVAILABLE, "UPSTREAM_MISCONFIGURED")
REFUSED = Failed(ErrorKind.INVALID_ARGUMENT, "UPSTREAM_REFUSED")
TOO_LONG = Failed(ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG")
SILENT = Failed(ErrorKind.UNAVAILABLE, "UPSTREAM_TIMEOUT")
BUSY = Failed(ErrorKind.RESOURCE_EXHAUSTED, "UPSTREAM_BUSY")

THOUGHT = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 116}
STREAMS: list[Line] = [
    ("a stream", raw(BYTES), Made()),
    ("in single bytes", raw(*(bytes([one]) for one in BYTES)), Made()),
    ("lines end with CR LF", raw(BYTES.replace(b"\n", b"\r\n")), Made()),
    ("lines end with a lone CR", raw(BYTES.replace(b"\n", b"\r")), Made()),
    ("a lone CR in single bytes", raw(*(bytes([one]) for one in BYTES.replace(b"\n", b"\r"))), Made()),
    ("comments and other fields", raw(b": ping\n\n", b"event: x\nid: 1\n", BYTES), Made()),
    ("no last empty line", raw(BYTES.removesuffix(event("[DONE]")).rstrip()), Made()),
    ("no mark of the end", streamed(*HELLO, usage(9, 7, 4), done=False), Made()),
    ("no finish reason", streamed(*HELLO[:-1], usage(9, 7, 4)), Made()),
    ("no usage", streamed(*HELLO), Made(tokens=(5, 2, 0))),
    ("no usage of a long text", streamed(delta("length", content=LONG)), Made(LONG, "length", (5, 375, 0))),
    ("a usage that cannot be", streamed(*HELLO, usage(0, -1, 9)), Made(tokens=(5, 2, 5))),
    ("a usage that is too large", streamed(*HELLO, usage(1 << 62, 2, 9)), Made(tokens=(MOST_TOKENS, 2, 9))),
    ("a usage that is larger than the texts", streamed(*HELLO, usage(200_048, 2)), Made(tokens=(200_048, 2, 0))),
    ("thoughts in the total", streamed(*HELLO, {"choices": [], "usage": THOUGHT}), Made(tokens=(9, 107, 0))),
    ("a usage of words", streamed(*HELLO, {"choices": [], "usage": {"prompt_tokens": "9"}}), Made(tokens=(5, 3, 0))),
    ("a usage that is none", streamed(*HELLO, {"choices": [], "usage": [9]}), Made(tokens=(5, 2, 0))),
    ("a list of parts", streamed(delta(content=PARTS), delta("stop"), usage(9, 7, 4)), Made()),
    ("empty choices and deltas", streamed(*EMPTY, *HELLO, usage(9, 7, 4)), Made()),
    ("an answer without chunks", streamed(), Made("", "stop", (5, 0, 0))),
    ("content is no text", streamed(delta(content={"a": 1})), BROKEN),
    ("choices are no list", streamed({"choices": {"a": 1}}), BROKEN),
    ("a choice is no object", streamed({"choices": [1]}), BROKEN),
    ("not JSON", raw(event("{")), BROKEN),
    ("no object", raw(event("[1]")), BROKEN),
    ("HTML", raw(b"<html>secret page</html>", kind="text/html"), BROKEN),
    ("nothing", raw(), BROKEN),
    ("no end", streamed(*HELLO[:-1], done=False), BROKEN),
    ("cut in the midst", cut(EVENTS[1]), BROKEN),
    ("cut within an event", cut(EVENTS[1], EVENTS[2][:9]), BROKEN),
    ("an endless line", raw(b"data: ", *(b"x" * (1 << 20) for _ in range(5))), BROKEN),
    ("an error in the stream", streamed(delta(content="a"), {"error": "gone"}), UNAVAILABLE),
    ("a status in the stream", streamed({"error": {"message": "odd", "code": 400}}), REFUSED),
    ("a limit in the stream", streamed({"error": {"message": "x", "code": "rate_limit_exceeded"}}), BUSY),
    ("too long in the stream", streamed({"error": {"message": "x", "code": "context_length_exceeded"}}), TOO_LONG),
    ("silent after the first chunk", stalls, SILENT),
]  # fmt: skip
WHOLES: list[Line] = [
    ("a whole answer", as_json(whole()), Made()),
    ("a whole answer without usage", as_json(whole(usage=None)), Made(tokens=(5, 2, 0))),
    ("a whole answer that is long", as_json(whole(finish="length")), Made(finish="length")),
    ("a whole answer without choices", as_json(b'{"choices": []}'), BROKEN),
    ("a whole answer that is none", as_json(b"[]"), BROKEN),
    ("a whole answer cut short", as_json(whole()[:-9]), BROKEN),
    ("an error of the status 200", as_json(b'{"error": {"message": "odd", "code": 400}}'), REFUSED),
]
FAULTS: list[Line] = [
    ("401", fails(401, "bad key sk-0123456789"), MISCONFIGURED),
    ("403", fails(403), MISCONFIGURED),
    ("404", fails(404, "no model"), MISCONFIGURED),
    ("302", fails(302, location="http://127.0.0.1:1/"), MISCONFIGURED),
    ("400", fails(400, "top_k is odd"), REFUSED),
    ("422 of HTML", raw(b"<html>", kind="text/html", status=422), REFUSED),
    ("413", fails(413), TOO_LONG),
    ("400 for the context", fails(400, "this model's maximum context length is 5 tokens"), TOO_LONG),
    ("429", fails(429, retry_after="7"), Failed(ErrorKind.RESOURCE_EXHAUSTED, "UPSTREAM_BUSY", 7)),
    ("429 without a time", fails(429), BUSY),
    ("408", fails(408), UNAVAILABLE),
    ("500", fails(500), UNAVAILABLE),
    ("503 for a while", fails(503, retry_after="60"), Failed(ErrorKind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 60)),
    ("599", fails(599), UNAVAILABLE),
    ("hangs up", hangs_up, UNAVAILABLE),
    ("silent", silent, SILENT),
]


@asynccontextmanager
async def ways(behaviour: Behaviour, timeout: float = 600) -> AsyncIterator[tuple[BareHandle, Callable[[], Any]]]:
    """The two of them, each before an upstream that does the same."""
    async with FakeOpenAi(behaviour).serving() as upstream:
        client = HttpClient()
        await client.open()
        entry = CatalogueEntry(
            "small", EngineKind.OPENAI, bare=True, base_url=upstream.url, model="small", api_key_env="KEY",
            first_byte_seconds=0.3, idle_seconds=0.3, timeout=timeout,
        )  # fmt: skip
        engines = ModelFactory(client, lambda _: "sk-0123456789")
        try:
            yield engines.bare(entry), lambda: engines.handle(entry).generator
        finally:
            await client.aclose()


async def by_agent(generator: Any) -> Made | Failed:
    text = ""
    try:
        async with aclosing(generator.generate(Generation((Message(Role.USER, QUESTION),)))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Piece):
                    text += piece.text
                elif isinstance(piece, Ended):
                    tokens = piece.tokens
                    finish = {Finish.STOP: "stop", Finish.LENGTH: "length"}[piece.finish]
                    return Made(text, finish, (tokens.read, tokens.written, tokens.cached))
    except DomainError as error:
        return Failed(error.kind, error.reason, error.retry_after)
    raise AssertionError("no end")


async def bare(handle: BareHandle, stream: bool) -> Made | Failed:
    asked = parse({"model": "small", "messages": [{"role": "user", "content": QUESTION}], "stream": stream})
    pipeline, text = FakePipeline(), ""
    through = BareCalls({"small": handle}, pipeline)
    try:
        if stream:
            data = b"".join([part async for part in through.stream(asked, call_of(math.inf))])
            for one in data.split(b"\n\n"):
                body = one.removeprefix(b"data: ").removeprefix(b"data:")
                if one.startswith(b"data:") and body != b"[DONE]":
                    text += "".join(map(content, json.loads(body).get("choices") or ()))
        else:
            completion = json.loads(await through.complete(asked, call_of(math.inf)))
            text = "".join(map(content, completion["choices"]))
    except DomainError as error:
        return Failed(error.kind, error.reason, error.retry_after)
    (spent,) = pipeline.settled
    return Made(text, spent.finish_reason, (spent.prompt_tokens, spent.completion_tokens, spent.cached_tokens))


def content(choice: dict[str, Any]) -> str:
    found = (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    return found if isinstance(found, str) else "".join(item["text"] for item in found)


def table(lines: list[Line]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("behaviour", "made"), [line[1:] for line in lines], ids=[line[0] for line in lines])


@table([*STREAMS, *WHOLES, *FAULTS])
async def test_a_streamed_answer_is_the_same_both_ways(behaviour: Behaviour, made: Made | Failed) -> None:
    async with ways(behaviour) as (handle, generator):
        assert await bare(handle, stream=True) == made
        assert await by_agent(generator()) == made


@table([*WHOLES, *FAULTS])
async def test_a_whole_answer_is_the_same_both_ways(behaviour: Behaviour, made: Made | Failed) -> None:
    # What comes whole is silent until then: only the whole time bounds that.
    async with ways(behaviour, timeout=1 if behaviour is silent else 600) as (handle, generator):
        assert await bare(handle, stream=False) == made
        assert await by_agent(generator()) == made


def breaks(data: bytes) -> Behaviour:
    """A JSON whose connection is closed before its end."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind="application/json")
        await exchange.send(data)
        exchange.close()

    return behave


SAID = whole(message={"role": "assistant", "content": LONG})
THEN = [event(delta(content="Hel")), event(delta(content="lo"))]
NAN = SAID.replace(b'"usage"', b'"x": NaN, "usage"')
CALL = [{"id": "c", "type": "function", "function": {"name": "add", "arguments": json.dumps({"a": LONG})}}]
# What an answer costs that ends in an error: what was asked, and what was seen; None where the model had not begun.
COSTS: list[tuple[str, Behaviour, tuple[int, int] | None]] = [
    ("NaN in it", as_json(NAN), (5, 375)),
    ("cut in the text", as_json(SAID[: SAID.index(b"word") + 1000]), (5, 250)),
    ("cut behind it", as_json(SAID[:-9]), (5, 375)),
    ("cut in an escape", as_json(whole(message={"content": "Hello\n"})[:68] + b"\\"), (5, 2)),
    ("no JSON", as_json(b"{" + SAID), (5, 375)),
    ("calls, and cut", as_json(whole(message={"content": None, "tool_calls": CALL})[:-9]), (5, 378)),
    ("of another form", as_json(whole(message={"content": {"text": "Hello"}})), (5, 2)),
    ("no message", as_json(b'{"choices": []}'), (5, 0)),
    ("nothing", as_json(b" "), (5, 0)),
    ("a connection that breaks", breaks(SAID[: SAID.index(b"word") + 1000]), (5, 250)),
    ("a chunk with NaN", raw(*THEN, b"data: " + NAN + b"\n\n"), (5, 377)),
    ("a chunk that is cut", raw(*THEN, event(delta(content="more"))[:-9]), (5, 3)),
    ("an error behind text", raw(*THEN, event({"error": {"message": "gone"}})), (5, 2)),
    ("HTML", raw(b"<html>", kind="text/html"), (5, 0)),
    ("refused", fails(401), None),
    ("wrong", fails(400), None),
]


async def charged(generator: Any) -> tuple[int, int] | None:
    """To a run of the model."""
    entry = CatalogueEntry("small", EngineKind.OPENAI)
    journal = FakeJournal()
    with pytest.raises(DomainError):
        await played(BareModel(ModelHandle(entry, generator)), RunInput((Message(Role.USER, QUESTION),)), journal)
    (used,) = [one.body for one in journal.record if isinstance(one.body, UsageReported)]
    return (used.prompt_tokens, used.completion_tokens) if used.prompt_tokens else None


async def _drained(parts: AsyncIterator[bytes]) -> None:
    async for _ in parts:
        pass


async def booked(handle: BareHandle, stream: bool) -> tuple[int, int] | None:
    """By the gateway, for a bare model."""
    asked = parse({"model": "small", "messages": [{"role": "user", "content": QUESTION}], "stream": stream})
    pipeline = FakePipeline()
    through = BareCalls({"small": handle}, pipeline)
    answer = (
        _drained(through.stream(asked, call_of(math.inf))) if stream else through.complete(asked, call_of(math.inf))
    )
    with pytest.raises(DomainError):
        await answer
    await pipeline.background.aclose()
    assert len(pipeline.settled) <= 1
    return next(((one.prompt_tokens, one.completion_tokens) for one in pipeline.settled), None)


@pytest.mark.parametrize(("behaviour", "cost"), [one[1:] for one in COSTS], ids=[one[0] for one in COSTS])
async def test_an_answer_that_breaks_costs_the_same_both_ways(
    behaviour: Behaviour, cost: tuple[int, int] | None
) -> None:
    async with ways(behaviour) as (handle, generator):
        assert await booked(handle, stream=True) == cost
        assert await charged(generator()) == cost


@pytest.mark.parametrize(("behaviour", "cost"), [one[1:] for one in COSTS[:10]], ids=[one[0] for one in COSTS[:10]])
async def test_a_whole_answer_that_breaks_costs_the_same_as_a_stream(
    behaviour: Behaviour, cost: tuple[int, int] | None
) -> None:
    async with ways(behaviour) as (handle, _):
        assert await booked(handle, stream=False) == cost
