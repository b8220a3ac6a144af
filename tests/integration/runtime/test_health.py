"""Readiness follows what a service depends on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.health import Readiness
from services.runtime.replicas import serving
from tests.fakes.serving import channel_for, generic, until

Status = health_pb2.HealthCheckResponse
NAME = "test.Service"


class Dependency:
    """Something that can be well, ill, or fail to answer."""

    def __init__(self, well: bool = True) -> None:
        self.well = well
        self.error: Exception | None = None
        self.asked = 0

    async def check(self) -> bool:
        self.asked += 1
        if self.error:
            raise self.error
        return self.well


@asynccontextmanager
async def ready(**dependencies: Dependency) -> AsyncIterator[tuple[Readiness, Any]]:
    readiness = Readiness([NAME], {name: dependency.check for name, dependency in dependencies.items()})
    async with watched(readiness) as both:
        yield both


@asynccontextmanager
async def watched(readiness: Readiness) -> AsyncIterator[tuple[Readiness, Any]]:
    async with channel_for(generic("test.Service", {}), readiness=readiness) as channel:
        watch = asyncio.create_task(readiness.watch())
        try:
            yield readiness, channel
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def status(channel: Any, service: str) -> str:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return str(Status.ServingStatus.Name(answer.status))


async def becomes(channel: Any, service: str, expected: str) -> None:
    async def is_so() -> bool:
        return await status(channel, service) == expected

    await until(is_so)


async def test_a_dependency_goes_and_returns() -> None:
    store, model = Dependency(), Dependency(well=False)
    async with ready(store=store, model=model) as (_, channel):
        await becomes(channel, "dependency/store", "SERVING")
        assert await status(channel, "") == await status(channel, NAME) == "NOT_SERVING"
        model.well = True
        await becomes(channel, NAME, "SERVING")
        assert await status(channel, "") == "SERVING"
        store.error = ConnectionError("gone")
        await becomes(channel, NAME, "NOT_SERVING")
        assert await status(channel, "dependency/store") == "NOT_SERVING"
        assert await status(channel, "dependency/model") == "SERVING"


async def test_without_an_optional_dependency_a_service_is_ready() -> None:
    store, model = Dependency(), Dependency(well=False)
    readiness = Readiness([NAME], {"store": store.check}, {"model": model.check})
    async with watched(readiness) as (_, channel):
        await becomes(channel, NAME, "SERVING")
        assert await status(channel, "dependency/model") == "NOT_SERVING"
        model.well = True
        await becomes(channel, "dependency/model", "SERVING")


async def test_one_late_answer_is_no_outage() -> None:
    store = Dependency()
    async with ready(store=store) as (_, channel):
        await becomes(channel, NAME, "SERVING")
        asked = store.asked
        store.well = False
        await until(lambda: store.asked == asked + 1)
        store.well = True
        assert await status(channel, NAME) == "SERVING"
        await until(lambda: store.asked == asked + 2)
        assert await status(channel, NAME) == "SERVING"


async def test_before_the_first_round_nothing_is_ready() -> None:
    never = asyncio.Event()

    class Slow(Dependency):
        async def check(self) -> bool:
            await never.wait()
            return True

    async with ready(store=Slow()) as (_, channel):
        assert await status(channel, "") == "NOT_SERVING"


async def test_draining_is_for_good() -> None:
    store = Dependency()
    async with ready(store=store) as (readiness, channel):
        await becomes(channel, NAME, "SERVING")
        await readiness.drain()
        assert await status(channel, NAME) == await status(channel, "") == "NOT_SERVING"
        await readiness.servicer.set(NAME, Status.SERVING)
        assert await status(channel, NAME) == "NOT_SERVING"


async def test_a_service_without_dependencies_is_ready() -> None:
    async with ready() as (_, channel):
        await becomes(channel, NAME, "SERVING")


async def test_one_service_watches_another() -> None:
    model = Dependency()
    async with ready(model=model) as (_, channel):
        check = serving(channel, NAME)
        await until(check)
        with pytest.raises(grpc.aio.AioRpcError):
            await serving(channel, "nobody")()
    with pytest.raises(grpc.aio.AioRpcError):
        async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
            await serving(nowhere, NAME)()
