"""OpenAI's older completions over HTTP, by OpenAI's own package."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from services.runtime.errors import Unavailable
from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.openai_upstream import delta
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, events
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway
from tests.integration.gateway.faces.conftest import Before
from tests.integration.gateway.faces.test_anthropic import GUARDS, whole

USAGE = fake.usage(prompt=11, completion=2, cached=3)
HELLO = (delta(role="assistant", content=""), delta(reasoning_content="Hm."), delta(content="Hel"),
         delta(content="lo."), delta("stop"), USAGE)  # fmt: skip


@asynccontextmanager
async def client_of(gateway: Gateway) -> AsyncIterator[Any]:
    async with AsyncOpenAI(base_url=f"{gateway.http.base_url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("prompt", ["Say hello.", ["Say hello."]])
async def test_a_completion_of_a_bare_model(before: Before, prompt: Any) -> None:
    gateway, upstream = await before(whole({"content": "Hello.", "reasoning_content": "Hm."}))
    async with client_of(gateway) as client:
        answer = await client.completions.create(model="small", prompt=prompt, max_tokens=9, stop=["."], temperature=0)
    [choice] = answer.choices
    assert (answer.object, choice.text, choice.finish_reason, choice.logprobs) == (
        "text_completion", "Hello.", "stop", None,
    )  # fmt: skip
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 2)
    assert upstream.bodies == [
        {
            "model": "small-2026", "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 9, "stop": ["."], "temperature": 0,
        }
    ]  # fmt: skip


async def test_a_streamed_completion(before: Before) -> None:
    gateway, _ = await before(fake.streams(*HELLO))
    ask = {"model": "small", "prompt": "Say hello.", "stream": True, "stream_options": {"include_usage": True}}
    async with client_of(gateway) as client:
        chunks = [chunk async for chunk in await client.completions.create(**ask)]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "Hello."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, None, "stop"]
    assert chunks[-1].usage.total_tokens == 13
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    raw = (await gateway.ask("POST", "/v1/completions", json.dumps(ask).encode()).whole()).data
    assert raw.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion_of_an_agent(make_gateway: MakeGateway, stream: bool) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep.")))
    async with client_of(gateway) as client:
        answer = await client.completions.create(
            model="rag", prompt="why?", stream=stream, extra_body={"metadata": {"collection": "cats"}}
        )
        parts = [chunk async for chunk in answer] if stream else [answer]
    assert "".join(part.choices[0].text for part in parts) == "Cats sleep."
    assert parts[-1].to_dict()["headworks"]["run_id"] == RUN_ID
    [run] = gateway.orchestrator.runs
    assert (run.collection, run.messages[0].content) == ("cats", "why?")


async def test_what_guards_block(before: Before) -> None:
    gateway, upstream = await before(whole({"content": "It is forbidden."}), guards=GUARDS)
    async with client_of(gateway) as client:
        answer = await client.completions.create(model="small", prompt="why?")
        with pytest.raises(openai.BadRequestError) as caught:
            await client.completions.create(model="small", prompt="forbidden")
    assert (answer.choices[0].finish_reason, "forbidden" in answer.choices[0].text) == ("content_filter", False)
    assert caught.value.code == "content_filter"
    assert len(upstream.exchanges) == 1


async def test_an_error_in_mid_stream(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Hi.")[:2], error=Unavailable("gone")))
    body = json.dumps({"model": "rag", "prompt": "why?", "stream": True}).encode()
    stream = (await gateway.ask("POST", "/v1/completions", body).whole()).data.decode()
    text, error, done = stream.removesuffix("\n\n").split("\n\n")
    assert '"text":"Hi."' in text
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "unavailable"
    assert done == "data: [DONE]"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"logprobs": 3}, "logprobs"),
        ({"best_of": 2}, "best_of"),
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
        ({"tools": [{}]}, "tools"),
    ],
    ids=str,
)
async def test_what_is_not_obeyed_is_refused_by_its_name(before: Before, more: dict[str, Any], param: str) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}))
    body = json.dumps({"model": "small", "prompt": "why?", **more}).encode()
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", "/v1/completions", body).whole()
    assert (caught.value.status, caught.value.error["param"]) == (400, param)
    assert upstream.exchanges == []
