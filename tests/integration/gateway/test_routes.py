"""A route over two upstreams, asked through the whole gateway."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc

from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import Refused
from tests.fakes.openai_upstream import Behaviour, FakeOpenAi, delta
from tests.integration.gateway.conftest import BEARER, Gateway, MakeGateway, rows

HELLO = (delta(content="Hello."), delta("stop"), fake.usage(prompt=11, completion=2))


class Start(Protocol):
    async def __call__(self, *behaviours: Behaviour, **more: Any) -> Gateway: ...


@pytest.fixture
async def start(records_url: str, make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def made(*behaviours: Behaviour, **more: Any) -> Gateway:
            upstreams = [await stack.enter_async_context(FakeOpenAi(one).serving()) for one in behaviours]
            models = [
                {"name": name, "generator": "openai", "base_url": one.url, "price": {"output": price}}
                for name, one, price in zip(("east", "west"), upstreams, (1, 3), strict=True)
            ]
            targets = [{"model": "east"}, {"model": "west", "order": 1}]
            routes = [{"name": "steady", "bare": True, "targets": targets, **more}]
            path = tmp_path / "models.yaml"
            path.write_text(yaml.safe_dump({"models": models, "routes": routes, "default": "steady"}))
            return await make_gateway(upstreams_file=path, records_url=records_url)

        yield made


async def test_the_answer_tells_who_gave_it_and_is_paid_by_its_price(start: Start, records_url: str) -> None:
    gateway = await start(fake.fails(503), fake.streams(*HELLO))
    asked = gateway.chat(model="default", stream=True)
    first = json.loads((await asked.whole()).data.split(b"\n\n")[0].removeprefix(b"data: "))
    assert first["headworks"]["route"]["target"] == "west"
    assert (await asked.response()).headers["x-headworks-route"] == "steady; target=west; failed=east:overload"
    columns = "agent, model, prompt_tokens, completion_tokens, cost_nanos, finish_reason"
    booked = await rows(records_url, f"SELECT {columns} FROM usage")  # noqa: S608 (the columns above)
    assert booked == [("steady", "steady", 11, 2, 6000, "stop")]


async def test_an_error_names_the_attempts(start: Start, records_url: str) -> None:
    gateway = await start(fake.fails(503), fake.fails(429))
    with pytest.raises(Refused) as caught:
        await gateway.chat(model="steady").whole()
    assert caught.value.status == 503
    assert caught.value.headers["x-headworks-route"].startswith("steady; failed=east:overload,west:rate_limit,east:")
    assert await rows(records_url, "SELECT model FROM usage") == []


async def test_a_route_is_a_model_of_the_list(start: Start) -> None:
    gateway = await start(fake.hangs_up, fake.hangs_up)
    answer = await gateway.ask("GET", "/v1/models").whole()
    names = {model["id"]: model["headworks"] for model in json.loads(answer.data)["data"]}
    assert names["steady"]["prices"] == {"input": 0.0, "output": 3.0}
    assert "east" not in names, "its targets are not bare themselves"


async def test_the_list_tells_how_targets_are(start: Start) -> None:
    """What the gateway knows of the routes that it asks itself takes the place of what the orchestrator knows."""
    gateway = await start(fake.fails(429, retry_after="60"), fake.streams(*HELLO))
    for _ in range(2):
        await gateway.chat(model="steady", stream=True).whole()
    theirs = pb.ModelTarget(model="east", breaker="closed")
    gateway.orchestrator.models = [pb.Model(id="steady", targets=[theirs])]
    stub = orchestrator_service_pb2_grpc.OrchestratorServiceStub(gateway.channel)
    listed = await stub.ListModels(pb.ListModelsRequest(), metadata=BEARER)
    models = {model.id: model for model in listed.models}
    steady = models["steady"]
    assert [(one.model, one.breaker, one.order) for one in steady.targets] == [
        ("east", "open", 0), ("west", "closed", 1),
    ]  # fmt: skip
    assert steady.targets[0].open_seconds > 30
    assert not models["rag"].targets


async def test_a_conversation_comes_to_the_upstream_that_it_began_at(start: Start) -> None:
    one, other = fake.streams(*HELLO), fake.streams(*HELLO)
    gateway = await start(one, other, targets=[{"model": "east"}, {"model": "west"}], balance="prefix")
    asked_of = set()
    messages = [{"role": "user", "content": "Tell me of it. " * 100}]
    for turn in range(8):
        call = gateway.chat(model="steady", stream=True, messages=messages)
        await call.whole()
        asked_of.add((await call.response()).headers["x-headworks-route"])
        messages = [*messages, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": f"{turn}?"}]
    assert len(asked_of) == 1
