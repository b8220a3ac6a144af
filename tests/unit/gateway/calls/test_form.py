"""Whatever an upstream makes of OpenAI's form, the official client reads what the gateway makes of that."""

import copy
import json
import math
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import openai
import pytest
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.calls.bare_answer import BareAnswer
from gateway.calls.bare_request import BareRequest
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.endpoint import endpoint_of
from services.llm.openai import chunks
from services.llm.openai.chunks import read
from services.llm.price import FREE
from services.llm.tokens import TokenTally
from services.runtime.errors import DomainError
from tests.fakes.calls import FakePipeline, WordScreen, call_of

Json = dict[str, Any]
HEAD = {"id": "chatcmpl-1", "created": 1_730_000_000, "model": "m"}
CALL = {"id": "c", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
SAID = {"role": "assistant", "content": "Hello there.", "refusal": None, "tool_calls": [CALL]}
USED = {
    "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 1},
}  # fmt: skip
ODD: tuple[Any, ...] = (None, True, 0, 5, 1.5, "", "x", "7", [], {}, [None], [5], ["x"], {"a": 1})
MISSING = object()
PLACES: tuple[tuple[str | int, ...], ...] = (
    ("id",), ("object",), ("created",), ("model",), ("choices",), ("choices", 0), ("choices", 0, "index"),
    ("choices", 0, "said"), ("choices", 0, "finish_reason"), ("choices", 0, "logprobs"), ("usage",),
    ("choices", 0, "said", "role"), ("choices", 0, "said", "tool_calls"), ("choices", 0, "said", "tool_calls", 0),
    ("choices", 0, "said", "tool_calls", 0, "index"), ("choices", 0, "said", "tool_calls", 0, "id"),
    ("choices", 0, "said", "tool_calls", 0, "function"),
    ("usage", "prompt_tokens"), ("usage", "completion_tokens"), ("usage", "total_tokens"),
    ("usage", "prompt_tokens_details"), ("usage", "completion_tokens_details"),
    ("usage", "prompt_tokens_details", "cached_tokens"), ("usage", "completion_tokens_details", "reasoning_tokens"),
)  # fmt: skip


def odd() -> Iterator[Json]:
    """A completion that is whole, with one thing of it as it should not be."""
    choice = {"index": 0, "said": SAID, "logprobs": None, "finish_reason": "tool_calls"}
    well = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USED}
    for *way, last in PLACES:
        for value in (MISSING, *ODD):
            made = copy.deepcopy(well)
            at: Any = made
            for step in way:
                at = at[step]
            if value is not MISSING:
                at[last] = value
            elif isinstance(at, dict):
                del at[last]
            yield made


def named(value: Json, name: str) -> bytes:
    """As JSON, what is said under this name."""
    return json.dumps(value).replace('"said"', f'"{name}"').encode()


def answer(*, stream: bool, guarded: bool = False) -> BareAnswer:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    request = BareRequest(body, "m", stream, include_usage=True)
    entry = CatalogueEntry("m", EngineKind.OPENAI, bare=True, base_url="http://x/v1", model="m")
    pipeline = FakePipeline(screen=WordScreen if guarded else None)
    tally = TokenTally(request.counted)
    call = pipeline.admitted(call_of(math.inf), request.asked(entry, request.texts, 5), FREE)
    return BareAnswer(call, request, endpoint_of(entry, ""), tally)


# The HTTP library that this version of the client is built on.
HTTP: Any = import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])


def client(data: bytes, kind: str) -> openai.OpenAI:
    def handle(request: Any) -> Any:
        return HTTP.Response(200, headers={"content-type": kind}, content=data)

    transport = openai.DefaultHttpxClient(transport=HTTP.MockTransport(handle))
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", max_retries=0, http_client=transport)


def read_usage(used: CompletionUsage | None) -> None:
    if used is not None:
        assert used.prompt_tokens + used.completion_tokens >= 0
        assert used.total_tokens is None or used.total_tokens >= 0
        assert used.prompt_tokens_details is None or (used.prompt_tokens_details.cached_tokens or 0) >= 0
        assert used.completion_tokens_details is None or (used.completion_tokens_details.reasoning_tokens or 0) >= 0


def read_chunk(chunk: ChatCompletionChunk) -> None:
    assert isinstance(chunk.id, str | None)
    assert isinstance(chunk.model, str | None)
    assert isinstance(chunk.created, int | None)
    for choice in chunk.choices:
        assert choice.index >= 0
        assert isinstance(choice.delta.content, str | None)
        assert not choice.finish_reason or isinstance(choice.finish_reason, str)
        assert choice.logprobs is None or list(choice.logprobs.content or ()) is not None
        for call in choice.delta.tool_calls or ():
            assert call.index >= 0
            assert call.function is None or isinstance(call.function.arguments, str | None)
    read_usage(chunk.usage)


def read_whole(whole: ChatCompletion) -> None:
    assert isinstance(whole.id, str | None)
    for choice in whole.choices:
        assert choice.index >= 0
        assert choice.message.role + (choice.message.content or "")
        assert not choice.finish_reason or isinstance(choice.finish_reason, str)
        assert choice.logprobs is None or list(choice.logprobs.content or ()) is not None
        for call in choice.message.tool_calls or ():
            assert call.id
            assert isinstance(call.function.name, str)  # type: ignore[union-attr]  # none is custom
    read_usage(whole.usage)


def stream_of(value: Json, name: str) -> bytes:
    end = {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"data: %s\n\ndata: %s\n\ndata: [DONE]\n\n" % (named(value, name), json.dumps(end).encode())


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("name", ["delta", "message"])
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_the_chunks_of_a_stream(name: str, guarded: bool) -> None:
    read_on = 0
    for value in odd():
        try:
            data = answer(stream=True, guarded=guarded).take(stream_of(value, name))
        except DomainError:
            continue  # refused as broken, which clients learn of
        for chunk in client(data, "text/event-stream").chat.completions.create(model="m", messages=[], stream=True):
            read_chunk(chunk)
        with client(data, "text/event-stream").chat.completions.stream(model="m", messages=[]) as events:
            for _ in events:
                pass
        read_on += 1
    assert read_on > 200


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("name", ["message", "delta"])
def test_a_whole_answer(name: str, guarded: bool) -> None:
    read_on = 0
    for value in odd():
        try:
            data = answer(stream=False, guarded=guarded).whole(named(value, name))
        except DomainError:
            continue
        read_whole(client(data, "application/json").chat.completions.create(model="m", messages=[]))
        read_on += 1
    assert read_on > 200


def test_what_clients_can_read_goes_on_byte_for_byte() -> None:
    well = [
        {**HEAD, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": SAID, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": "a"}}]},
        {"id": None, "choices": [{"index": 1, "delta": {}, "logprobs": {"content": []}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USED},
    ]
    for value in well:
        data = json.dumps(value).encode()
        assert read(b"data: " + data, data).raw == b"data: " + data
    choice = {"index": 0, "said": SAID, "finish_reason": "tool_calls"}
    whole = named({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USED}, "message")
    assert answer(stream=False).whole(whole) == whole


def test_the_heads_of_streams_alone_are_kept() -> None:
    """Those of whole completions, whose ids do not come again, would drive them out."""
    heads = chunks._heads
    heads.clear()
    for number in range(9):
        data = json.dumps({**HEAD, "id": f"chatcmpl-{number}", "choices": []}).encode()
        read(data, data)
    assert not heads
    data = json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": []}).encode()
    read(b"data: " + data, data)
    assert list(heads) == [HEAD["id"]]
