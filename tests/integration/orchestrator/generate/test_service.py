"""The whole orchestrator, wired as it is served, with the catalogue's models behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2, run_pb2

from services.orchestrator.app import wire
from services.orchestrator.settings import OrchestratorSettings
from services.runtime import statuses
from services.runtime.channels import open_channel
from services.runtime.errors import ErrorKind
from tests.fakes.identity import Keys
from tests.fakes.openai_upstream import Exchange, FakeOpenAi, delta, event, fails, streams, usage
from tests.fakes.serving import serving, until
from tests.fakes.triton_llm import FakeTritonLlm, finish

FILE = """
currency: EUR
models:
  - {{name: far, generator: openai, base_url: "{url}", price: {{input: 1, output: 2}}, concurrency: 1, queue: 0}}
"""
HELLO = streams(delta(content="Hel"), delta("stop", content="lo"), usage(10, 5))
Events = list[run_event_pb2.RunEvent]


class Asker:
    """A caller of the orchestrator."""

    def __init__(self, stub: Any, keys: Keys) -> None:
        self.stub = stub
        self._keys = keys

    async def run(self, model: str, question: str = "Hello!") -> Events:
        request = pb.RunRequest(model=model)
        request.messages.add(role=run_pb2.Message.ROLE_USER, content=question)
        call = self.stub.Run(request, timeout=30, metadata=self._keys.metadata())
        return [event async for response in call for event in response.events]


@asynccontextmanager
async def orchestrator(keys: Keys, folder: Path, triton: FakeTritonLlm, upstream: FakeOpenAi) -> AsyncIterator[Asker]:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(triton))
        await stack.enter_async_context(upstream.serving())
        (folder / "models.yaml").write_text(FILE.format(url=upstream.url))
        (folder / "public.pem").write_bytes(keys.public_pem)
        settings = OrchestratorSettings(
            catalogue_file=folder / "models.yaml", llm="tiny", triton_target=address, retrieval_target=address,
            peers_target=address, records_url=f"sqlite:///{folder}/runs.db",
            identity_public_key=folder / "public.pem",
        )  # fmt: skip
        own = await stack.enter_async_context(serving(await wire(settings), verifier=keys.verifier))
        channel = await stack.enter_async_context(open_channel(own))
        yield Asker(pb_grpc.OrchestratorServiceStub(channel), keys)


def text_of(events: Events) -> str:
    return "".join(event.text.text for event in events)


async def test_each_name_has_its_engine(keys: Keys, tmp_path: Path) -> None:
    triton = FakeTritonLlm([{"text": "I am near.", "tokens": 4}, finish()])
    async with orchestrator(keys, tmp_path, triton, FakeOpenAi(HELLO)) as asker:
        for name in ("tiny", "default"):
            assert text_of(await asker.run(name)) == "I am near."
        events = await asker.run("far")
    assert text_of(events) == "Hello"
    total = [event.usage.usage for event in events if event.HasField("usage")][-1]
    assert (total.prompt_tokens, total.completion_tokens) == (10, 5)
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_STOP


async def failure(asker: Asker, model: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asker.run(model)
    return caught.value


async def test_the_facts_of_a_refusal_come_all_the_way(keys: Keys, tmp_path: Path) -> None:
    told = {
        "kind": "INVALID_ARGUMENT", "reason": "CONTEXT_TOO_LONG", "message": "too long",
        "metadata": {"prompt_tokens": "9", "context_length": "8"},
    }  # fmt: skip
    async with orchestrator(
        keys, tmp_path, FakeTritonLlm([{"error": told}]), FakeOpenAi(fails(429, retry_after="7"))
    ) as asker:
        near = statuses.from_rpc_error(await failure(asker, "tiny"))
        far = statuses.from_rpc_error(await failure(asker, "far"))
    assert (near.kind, near.reason, near.details) == (ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG", told["metadata"])
    assert (far.kind, far.reason, far.retry_after) == (ErrorKind.RESOURCE_EXHAUSTED, "UPSTREAM_BUSY", 7)


async def test_one_too_many_is_told_when_to_come_back(keys: Keys, tmp_path: Path) -> None:
    release = asyncio.Event()

    async def holds(exchange: Exchange) -> None:
        await exchange.head()
        await release.wait()
        await exchange.send(event(delta("stop", content="Hello")) + event("[DONE]"))
        await exchange.end()

    upstream = FakeOpenAi(holds)
    async with orchestrator(keys, tmp_path, FakeTritonLlm([finish()]), upstream) as asker:
        first = asyncio.create_task(asker.run("far"))
        await until(lambda: upstream.exchanges)
        busy = statuses.from_rpc_error(await failure(asker, "far"))
        release.set()
        assert text_of(await first) == "Hello"
    assert (busy.kind, busy.reason) == (ErrorKind.RESOURCE_EXHAUSTED, "MODEL_BUSY")
    assert busy.retry_after is not None
    assert busy.retry_after >= 1


async def test_a_caller_who_leaves_reaches_the_upstream(keys: Keys, tmp_path: Path) -> None:
    left = asyncio.Event()

    async def stalls(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(event(delta(content="Hel")))
        await exchange.gone()
        left.set()

    upstream = FakeOpenAi(stalls)
    async with orchestrator(keys, tmp_path, FakeTritonLlm([finish()]), upstream) as asker:
        asking = asyncio.create_task(asker.run("far"))
        await until(lambda: upstream.exchanges)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(60):
            await left.wait()
