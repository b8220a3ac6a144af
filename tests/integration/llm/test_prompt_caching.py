"""Beginnings of prompts that providers find again: what is sent, what is told of it, and what it costs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.calls.meter import Meter
from services.llm.catalogue.entry import Capability, EngineKind
from services.llm.chat import Message, Role, ToolCall
from services.llm.generation import Ended, Generation, TokenCounts
from services.llm.price import Price
from tests.fakes import openai_upstream as fake
from tests.integration.llm.test_anthropic_wire import HELLO, MODEL, REQUEST, TOOL, WHOLE, events
from tests.integration.llm.wires import WiredModel

EPHEMERAL = {"type": "ephemeral"}
CACHING = replace(MODEL, prompt_caching=True, price=Price(1_000_000, 2_000_000, 100_000, 1_250_000))
SPOKEN = (
    Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hi."), Message(Role.ASSISTANT, "Hello."),
    Message(Role.USER, "Add."),
)  # fmt: skip
CALLED = (
    Message(Role.ASSISTANT, "", tool_calls=(ToolCall("c1", "add", "{}"),)), Message(Role.TOOL, "1", tool_call_id="c1"),
)  # fmt: skip


def unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [unmarked(inner) for inner in value] if isinstance(value, list) else value


def marks(request: dict[str, Any]) -> list[str]:
    """Where the breakpoints are."""
    places = [("tools", request.get("tools") or []), ("system", request.get("system") or [])]
    places += [(f"messages[{at}]", message["content"]) for at, message in enumerate(request["messages"])]
    return [f"{name}[{at}]" for name, blocks in places for at, one in enumerate(blocks) if "cache_control" in one]


def prefix(request: dict[str, Any]) -> bytes:
    """What the provider reads, in its order."""
    plain = unmarked(request)
    return json.dumps([plain.get("tools"), plain.get("system"), plain["messages"]]).encode().rstrip(b"]")


async def sent(model: WiredModel, *messages: Message) -> dict[str, Any]:
    _, upstream = await model.generated(events(*HELLO), Generation(messages, (TOOL,)))
    (body,) = upstream.bodies
    REQUEST.validate_python(body)
    found: dict[str, Any] = body
    return found


async def test_breakpoints_end_what_stays() -> None:
    first = await sent(CACHING, *SPOKEN)
    assert marks(first) == ["tools[0]", "system[0]", "messages[1][0]", "messages[2][0]"]
    assert first["tools"][0]["cache_control"] == EPHEMERAL
    second = await sent(CACHING, *SPOKEN, *CALLED)
    assert marks(second) == ["tools[0]", "system[0]", "messages[1][0]", "messages[4][0]"]
    assert marks(await sent(CACHING, Message(Role.USER, "Add."))) == ["tools[0]", "messages[0][0]"]
    assert marks(await sent(MODEL, *SPOKEN)) == []


async def test_the_next_step_begins_as_the_last_one_did() -> None:
    first, second = prefix(await sent(CACHING, *SPOKEN)), prefix(await sent(CACHING, *SPOKEN, *CALLED))
    assert second.startswith(first)


async def test_a_callers_own_breakpoints_go_on_and_stand_alone() -> None:
    told = [{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}, {"type": "text", "text": "Be kind."}]
    said = [{"type": "text", "text": "Hi.", "cache_control": EPHEMERAL | {"ttl": "1h"}}]
    messages = [{"role": "system", "content": told}, {"role": "user", "content": said}]
    tool = {
        "type": "function",
        "function": {"name": "add", "parameters": {"type": "object"}},
        "cache_control": EPHEMERAL,
    }
    for model in (CACHING, MODEL):
        _, _, upstream = await model.bare(events(*HELLO), True, messages=messages, tools=[tool])
        (body,) = upstream.bodies
        assert marks(body) == ["tools[0]", "system[0]", "messages[0][0]"]
        assert body["messages"][0]["content"] == said


async def test_what_was_found_and_what_was_kept_is_told_and_priced() -> None:
    pieces, _ = await CACHING.generated(events(*HELLO), Generation(SPOKEN))
    ended = pieces[-1]
    assert isinstance(ended, Ended)
    assert ended.tokens == TokenCounts(14, 7, 3, 0, 2)
    for stream, behaviour in (
        (True, events(*HELLO)),
        (False, fake.raw(json.dumps(WHOLE).encode(), kind="application/json")),
    ):
        more = {"stream_options": {"include_usage": True}} if stream else {}
        answer, pipeline, _ = await CACHING.bare(behaviour, stream, **more)
        used = answer[-1]["usage"] if stream else answer["usage"]
        assert used["prompt_tokens_details"] == {"cached_tokens": 3, "cache_write_tokens": 2}
        assert pipeline.settled[0][:3] == (14, 7, 3)
    # 9 at 1, 3 at 0.1, 2 at 1.25, 7 at 2.
    assert CACHING.price.nanos(14, 7, 3, 2) == 26
    meter = Meter(0, CACHING.price)
    meter.report(14, 7, 3, kept_tokens=2)
    assert meter.cost_nanos == 26


KEYED = WiredModel(EngineKind.OPENAI, "gpt-x", "sk", frozenset(Capability), prompt_caching=True)
STREAM = fake.streams(fake.delta(content="Hi."), fake.delta("stop"), fake.usage(prompt=9, completion=1))


async def test_requests_that_begin_alike_have_one_key_that_says_nothing() -> None:
    keys = []
    for messages in (SPOKEN, (*SPOKEN, *CALLED), (Message(Role.SYSTEM, "Be long."), *SPOKEN[1:])):
        _, upstream = await KEYED.generated(STREAM, Generation(messages, (TOOL,)))
        keys.append(upstream.bodies[0]["prompt_cache_key"])
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)
    _, upstream = await replace(KEYED, prompt_caching=False).generated(STREAM, Generation(SPOKEN))
    assert "prompt_cache_key" not in upstream.bodies[0]


@pytest.mark.parametrize("given", ["mine", None])
async def test_a_bare_models_callers_have_the_key_of_their_tenant(given: str | None) -> None:
    more = {"prompt_cache_key": given} if given else {}
    _, _, upstream = await KEYED.bare(STREAM, True, **more)
    key = upstream.bodies[0]["prompt_cache_key"]
    assert key != given
    assert len(key) == 32
