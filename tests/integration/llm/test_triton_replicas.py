"""Several Tritons that serve the language model, asked by one name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from services.llm.catalogue.entry import ALL, CatalogueEntry, EngineKind
from services.llm.chat import Message, Role
from services.llm.client import HttpClient
from services.llm.generation import Ended, Generation, Piece, Routed, Said
from services.llm.handle import ModelHandle
from services.llm.models import ModelFactory
from services.llm.triton.client import LlmClient
from services.orchestrator.generate.engines import mesh_engines
from services.runtime.channels import open_channel
from tests.fakes.serving import serving, until
from tests.fakes.triton_llm import HOLD, FakeTritonLlm, finish

ENTRY = CatalogueEntry("tiny", EngineKind.TRITON, capabilities=ALL)
SAYS = ({"text": "Hello", "tokens": 1}, finish())


@asynccontextmanager
async def replicas(*tritons: FakeTritonLlm) -> AsyncIterator[tuple[ModelHandle, list[AsyncExitStack]]]:
    """The model over these servers, and what ends each of them."""
    async with AsyncExitStack() as all_:
        llms, servers = {}, []
        for triton in tritons:
            servers.append(await all_.enter_async_context(AsyncExitStack()))
            address = await servers[-1].enter_async_context(serving(triton))
            llms[address] = LlmClient(await all_.enter_async_context(open_channel(address)))
            all_.push_async_callback(llms[address].aclose)
        yield ModelFactory(HttpClient(), lambda _: None, mesh_engines(0.4, llms)).handle(ENTRY), servers


def conversation(name: str, turns: int) -> Generation:
    instructions = Message(Role.SYSTEM, f"You are {name}. " * 100)
    return Generation((instructions, *(Message(Role.USER, f"{name} {turn} " * 60) for turn in range(turns))))


async def said_by(model: ModelHandle, generation: Generation) -> tuple[str, list[Said]]:
    routed, *said = [piece async for piece in model.generator.generate(generation)]
    assert isinstance(routed, Routed)
    return routed.report.target, said


async def test_a_conversation_stays_at_the_triton_where_it_began() -> None:
    tritons = FakeTritonLlm(SAYS), FakeTritonLlm(SAYS)
    async with replicas(*tritons) as (model, _):
        homes = {name: (await said_by(model, conversation(name, 1)))[0] for name in "abcdefgh"}
        assert set(homes.values()) == {"tiny@0", "tiny@1"}
        for turns in range(2, 5):
            for name, home in homes.items():
                assert (await said_by(model, conversation(name, turns)))[0] == home
        for number, triton in enumerate(tritons):
            assert len(triton.asked) == 4 * list(homes.values()).count(f"tiny@{number}")


async def test_what_a_dead_triton_had_in_hand_another_answers() -> None:
    """None of them had begun; and so do those that come after."""
    dying, well = FakeTritonLlm([HOLD]), FakeTritonLlm(SAYS)
    async with replicas(dying, well) as (model, servers):
        asking = [asyncio.create_task(said_by(model, conversation(str(number), 1))) for number in range(60)]
        await until(lambda: len(dying.asked) >= 20 and sum(task.done() for task in asking) == 60 - len(dying.asked))
        await servers[0].aclose()
        answers = [await task for task in asking]
        answers += [await said_by(model, conversation(str(number), 2)) for number in range(60)]
        assert {home for home, _ in answers} == {"tiny@1"}
        assert all(isinstance(said[0], Piece) and isinstance(said[-1], Ended) for _, said in answers)
        assert [one.breaker for one in model.health()] == ["open", "closed"]


async def test_a_full_queue_is_not_waited_for_while_another_has_room() -> None:
    full = [{"error": {"kind": "RESOURCE_EXHAUSTED", "reason": "LLM_OVERLOADED", "message": "full", "metadata": {}}}]
    async with replicas(FakeTritonLlm(full), FakeTritonLlm(SAYS)) as (model, _):
        answers = [await said_by(model, conversation(str(number), 1)) for number in range(20)]
        assert {home for home, _ in answers} == {"tiny@1"}
        assert [one.breaker for one in model.health()] == ["closed", "closed"], "it is well"
