"""Whatever shape an upstream's answer has, the fault is the upstream's: never an internal error of the gateway's."""

import copy
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import HttpCall, Refused
from tests.fakes.openai_upstream import Exchange, FakeOpenAi
from tests.integration.gateway.conftest import Gateway, MakeGateway

CALL = {"id": "c", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGE = {"role": "assistant", "content": "Mail ann@example.com.", "tool_calls": [CALL]}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": {"content": [{"logprob": -1}]}}
WHOLE = {"id": "c1", "model": "m", "choices": [CHOICE], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
PLACES = (
    (), ("id",), ("model",), ("choices",), ("choices", 0), ("choices", 0, "index"), ("choices", 0, "finish_reason"),
    ("choices", 0, "message"), ("choices", 0, "message", "role"), ("choices", 0, "message", "content"),
    ("choices", 0, "message", "tool_calls"), ("choices", 0, "message", "tool_calls", 0),
    ("choices", 0, "message", "tool_calls", 0, "index"), ("choices", 0, "message", "tool_calls", 0, "function"),
    ("choices", 0, "message", "tool_calls", 0, "function", "name"),
    ("choices", 0, "message", "tool_calls", 0, "function", "arguments"), ("choices", 0, "message", "function_call"),
    ("choices", 0, "logprobs"), ("choices", 0, "logprobs", "content"), ("choices", 0, "logprobs", "content", 0),
    ("usage",), ("usage", "prompt_tokens"), ("usage", "completion_tokens"), ("usage", "prompt_tokens_details"),
    ("error",),
)  # fmt: skip
GUARDS = {"guards": [{"guard": "pii", "stage": "output", "action": "redact"}]}


def nested(levels: int, inner: object = "x") -> object:
    for level in range(levels):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


ODD: tuple[object, ...] = (
    None, True, 5, -1, 1e308, 10**30, "", "x", [], {}, [None], [5], ["x"], [[]], {"a": None}, nested(80), nested(300),
)  # fmt: skip


def put(whole: Any, place: tuple[str | int, ...], value: object) -> object:
    if not place:
        return value
    made = copy.deepcopy(whole)
    at: Any = made
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return made


def odd_answers() -> Iterator[bytes]:
    for place in PLACES:
        for value in ODD:
            yield json.dumps(put(WHOLE, place, value)).encode()
    yield from (b"", b"{", b"[" * 100_000, b'{"a":' * 1000, b'{"choices":"\\ud800"}', b"\xff\xfe", b"nul", b"NaN")
    yield json.dumps(WHOLE).replace('"Mail', '"\\ud800Mail').encode()
    yield json.dumps(WHOLE).replace("-1", "-1e999").encode()


class Speaks:
    """Answers with what it is to say next."""

    def __init__(self) -> None:
        self.data = b""
        self.events = False

    async def __call__(self, exchange: Exchange) -> None:
        data = self.data
        if self.events:
            data = b"data: " + data.replace(b'"message"', b'"delta"') + b"\n\ndata: [DONE]\n\n"
        kind = "text/event-stream" if self.events else "application/json"
        await fake.raw(data, kind=kind)(exchange)


@pytest.fixture
def speaks() -> Speaks:
    return Speaks()


@pytest.fixture(params=["looked at", "not looked at"])
async def gateway(
    request: pytest.FixtureRequest, make_gateway: MakeGateway, tmp_path: Path, speaks: Speaks
) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeOpenAi(speaks).serving())
        model = {"base_url": upstream.url, "model": "small-2026"}
        (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump({"models": {"small": model}}))
        (tmp_path / "guards.yaml").write_text(
            yaml.safe_dump(GUARDS if request.param == "looked at" else {"guards": []})
        )
        yield await make_gateway(
            upstreams_file=tmp_path / "upstreams.yaml", guards_file=tmp_path / "guards.yaml",
            audit_content_tenants="*",
        )  # fmt: skip


async def outcome(call: HttpCall) -> str:
    """The code of the error, of whatever status or in an event; empty for an answer."""
    try:
        data = (await call.whole()).data
    except Refused as refused:
        return str(refused.error["code"])
    for event in data.split(b"\n\n"):
        found = event.removeprefix(b"data: ")
        if found.startswith(b'{"error"'):
            return str(json.loads(found)["error"]["code"])
    return ""


@pytest.mark.parametrize(("stream", "events"), [(False, False), (True, False), (True, True)])
async def test_no_answer_of_an_upstream_is_an_internal_error(
    gateway: Gateway, speaks: Speaks, stream: bool, events: bool
) -> None:
    speaks.events = events
    codes: dict[bytes, str] = {}
    for data in odd_answers():
        speaks.data = data
        codes[data] = await outcome(gateway.chat(model="small", stream=stream))
    internal = [data[:400] for data, code in codes.items() if code == "internal"]
    assert internal == []
    deep = [code for data, code in codes.items() if data.count(b"[") + data.count(b"{") > 290]
    assert deep
    assert set(deep) == {"upstream_broken"}
