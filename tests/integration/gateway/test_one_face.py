"""One upstream, asked through a run and without one by OpenAI's client: both answers keep the same promises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import AsyncOpenAI, BadRequestError, LengthFinishReasonError

from services.llm.settings import LlmSettings
from services.orchestrator.app import wire
from services.orchestrator.settings import OrchestratorSettings
from tests.fakes import openai_upstream as fake
from tests.fakes.identity import Keys
from tests.fakes.openai_upstream import Behaviour, FakeOpenAi, delta
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway

NOWHERE = "127.0.0.1:1"


@dataclass
class Face:
    """A gateway with an orchestrator, its client, and the upstream of both models."""

    gateway: Gateway
    upstream: FakeOpenAi
    client: AsyncOpenAI


Open = Callable[..., Awaitable[Face]]


@pytest.fixture
async def face(make_gateway: MakeGateway, keys: Keys, tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def made(behaviour: Behaviour, **entry: Any) -> Face:
            upstream = await stack.enter_async_context(FakeOpenAi(behaviour).serving())
            common = {"generator": "openai", "base_url": upstream.url, "model": "small-2026", **entry}
            models = [{"name": "bare", "bare": True, **common}, {"name": "run", **common}]
            (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": models}))
            (tmp_path / "public.pem").write_bytes(keys.public_pem)
            settings = OrchestratorSettings(
                retrieval_target=NOWHERE, triton_target=NOWHERE, peers_target=NOWHERE, identity_target=NOWHERE,
                identity_public_key=tmp_path / "public.pem", records_url=f"sqlite:///{tmp_path}/runs.db",
            )  # fmt: skip
            orchestrator = await wire(settings, LlmSettings(models_file=tmp_path / "models.yaml"))
            gateway = await make_gateway(behind=orchestrator, upstreams_file=tmp_path / "models.yaml")
            client = AsyncOpenAI(base_url=f"{gateway.http.base_url}/v1", api_key=KEY, max_retries=0)
            return Face(gateway, upstream, await stack.enter_async_context(client))

        yield made


ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "why?"}]}
TOOL: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
ROLES = [delta(role="assistant", content=each) for each in ("H", "el", "lo")]
SAID: dict[str, list[Any]] = {
    "a text": [*ROLES, delta("stop"), fake.usage(9, 7, 4)],
    "without a head": [{"choices": chunk["choices"]} for chunk in (*ROLES, delta("stop"))],
    "a length of its own word": [*ROLES, delta("MAX_TOKENS")],
    "a refusal": [delta(role="assistant", content=None), delta(refusal="No."), delta("stop")],
    "a call without arguments": [
        delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "now"}}]),
        delta("stop"),
    ],
}


async def answered(client: AsyncOpenAI, model: str, **more: Any) -> list[Any]:
    """What OpenAI's client makes of a streamed answer."""
    async with client.chat.completions.stream(
        model=model, tools=[TOOL], stream_options={"include_usage": True}, **ASK, **more
    ) as events:
        async for _ in events:
            pass
        try:
            whole: Any = await events.get_final_completion()
        except LengthFinishReasonError as error:
            whole = error.completion
    [choice] = whole.choices
    calls = [(call.id, call.type, call.function.arguments) for call in choice.message.tool_calls or ()]
    said = choice.message.role, choice.message.content, choice.message.refusal, calls, choice.finish_reason
    return [*said, whole.usage and whole.usage.to_dict()]


@pytest.mark.parametrize("chunks", SAID.values(), ids=SAID.keys())
async def test_a_client_makes_the_same_of_both_answers(face: Open, chunks: list[Any]) -> None:
    one = await face(fake.streams(*chunks))
    bare, run = [await answered(one.client, model) for model in ("bare", "run")]
    assert bare[-1].pop("completion_tokens_details", {"reasoning_tokens": 0}) == {"reasoning_tokens": 0}
    del run[-1]["completion_tokens_details"]
    assert bare == run


async def test_a_limit_has_the_name_that_the_upstream_knows(face: Open) -> None:
    one = await face(fake.streams(*SAID["a text"]), limit_field="max_completion_tokens")
    for model in ("bare", "run"):
        await answered(one.client, model, max_completion_tokens=7)
    assert [body["max_completion_tokens"] for body in one.upstream.bodies] == [7, 7]
    assert not [body for body in one.upstream.bodies if "max_tokens" in body]


async def test_a_run_without_tools_is_not_told_to_call_one(face: Open) -> None:
    one = await face(fake.hangs_up)
    with pytest.raises(BadRequestError) as caught:
        await one.client.chat.completions.create(model="run", tool_choice="required", **ASK)
    assert (caught.value.param, one.upstream.bodies) == ("tool_choice", [])
