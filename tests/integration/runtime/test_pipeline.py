"""What surrounds a call, for all four kinds of RPC."""

import asyncio
import gc
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.interceptors import layers
from services.runtime.server import App
from tests.fakes.serving import channel_for, generic, until

KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
STREAMS_IN = {"stream_unary", "stream_stream"}
STREAMS_OUT = {"unary_stream", "stream_stream"}


@dataclass
class Service:
    """One method of each kind. It sends `answers`, holds before the one numbered `hold`, and notes how it ended."""

    answers: int = 2
    hold: int | None = None
    error: Exception | None = None
    name: str = field(default_factory=lambda: f"test.S{uuid.uuid4().hex}")
    read: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def _read(self, request: Any) -> None:
        if not isinstance(request, bytes):
            async for _ in request:
                pass
        self.read += 1

    async def _turn(self, number: int) -> None:
        if number == self.hold:
            self.held.set()
            await asyncio.Event().wait()

    async def one(self, request: Any, context: Any) -> bytes:
        async with aclosing(self._work(request, 1)) as work:
            return await anext(work)

    async def many(self, request: Any, context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._work(request, self.answers)) as work:
            async for answer in work:
                yield answer

    async def _work(self, request: Any, answers: int) -> AsyncGenerator[bytes, None]:
        task = asyncio.current_task()
        self.calls.append(calls.current())
        try:
            await self._read(request)
            for number in range(answers):
                await self._turn(number)
                yield b"answer"
            await self._turn(answers)
            if self.error:
                raise self.error
        finally:
            self.ended.append("same task" if asyncio.current_task() is task else "elsewhere")

    @property
    def app(self) -> App:
        handlers = {
            kind: getattr(grpc, f"{kind}_rpc_method_handler")(self.many if kind in STREAMS_OUT else self.one)
            for kind in KINDS
        }
        return generic(self.name, handlers, layers=layers(None, 30))

    def call(self, channel: Any, kind: str, sends: int = 3) -> Any:
        method = getattr(channel, kind)(f"/{self.name}/{kind}")
        return method(messages(sends)) if kind in STREAMS_IN else method(b"ask")

    def sample(self, kind: str, name: str, **labels: str) -> float:
        value = REGISTRY.get_sample_value(f"headworks_rpc_{name}", {"method": f"/{self.name}/{kind}", **labels})
        return value or 0.0


async def messages(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"ask"


async def answers(call: Any, kind: str) -> int:
    return len([answer async for answer in call]) if kind in STREAMS_OUT else len([await call])


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_are_counted(kind: str) -> None:
    service = Service(answers=4)
    async with channel_for(service.app) as channel:
        sent = await answers(service.call(channel, kind, sends=3), kind)
        await until(lambda: service.sample(kind, "handled_total", code="OK") == 1)
    assert sent == (4 if kind in STREAMS_OUT else 1)
    assert service.sample(kind, "messages_sent_total") == sent
    assert service.sample(kind, "messages_received_total") == (3 if kind in STREAMS_IN else 1)
    assert service.sample(kind, "seconds_count") == 1
    assert service.sample(kind, "in_flight") == 0
    assert service.sample(kind, "first_message_seconds_count") == (1 if kind in STREAMS_OUT else 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_empty_streams(kind: str) -> None:
    service = Service(answers=0)
    async with channel_for(service.app) as channel:
        sent = await answers(service.call(channel, kind, sends=0), kind)
        await until(lambda: service.sample(kind, "handled_total", code="OK") == 1)
    assert sent == (0 if kind in STREAMS_OUT else 1)
    assert service.sample(kind, "messages_sent_total") == sent
    assert service.sample(kind, "messages_received_total") == (0 if kind in STREAMS_IN else 1)
    assert service.sample(kind, "first_message_seconds_count") == 0


async def test_the_first_message_is_timed_apart_from_the_whole() -> None:
    service = Service(answers=2, hold=1)
    async with channel_for(service.app) as channel:
        call = service.call(channel, "unary_stream")
        await call.read()
        await service.held.wait()
        await asyncio.sleep(0.05)
        call.cancel()
        await until(lambda: service.sample("unary_stream", "seconds_count"))
    first, whole = (service.sample("unary_stream", f"{name}seconds_sum") for name in ("first_message_", ""))
    assert 0 < first < whole - 0.04


@pytest.mark.parametrize(("hold", "kind"), [(0, kind) for kind in KINDS] + [(1, "unary_stream"), (2, "stream_stream")])
async def test_a_caller_who_leaves_ends_the_handler_at_once(hold: int, kind: str) -> None:
    service = Service(answers=3, hold=hold)
    async with channel_for(service.app) as channel:
        call = service.call(channel, kind)
        for _ in range(hold):
            await call.read()
        await service.held.wait()
        assert service.sample(kind, "in_flight") == 1
        call.cancel()
        await until(lambda: service.ended, 60)
        await until(lambda: service.sample(kind, "handled_total", code="CANCELLED") == 1)
    assert service.ended == ["same task"]
    assert service.sample(kind, "in_flight") == 0


@pytest.mark.parametrize("kind", sorted(STREAMS_IN))
async def test_a_caller_who_leaves_in_the_middle_of_sending_has_not_finished(kind: str) -> None:
    """For gRPC's Python server both look the same at first: the requests end."""
    service = Service()
    async with channel_for(service.app) as channel:
        for number in range(30):
            call = getattr(channel, kind)(f"/{service.name}/{kind}")()
            await call.write(b"ask")
            await until(lambda number=number: len(service.calls) > number and service.calls[number].received == 1)
            call.cancel()
        await until(lambda: len(service.ended) == 30, 60)
        await until(lambda: service.sample(kind, "handled_total", code="CANCELLED") == 30)
    assert service.read == 0
    assert set(service.ended) == {"same task"}


async def test_a_caller_who_does_not_read_and_leaves_ends_the_handler() -> None:
    """The handler waits in a write that the full window holds up, not in its own code."""
    service = Service(answers=1_000_000)
    async with channel_for(service.app) as channel:
        call = service.call(channel, "unary_stream")
        await call.read()
        await until(lambda: service.calls[0].sent > 10)
        call.cancel()
        await until(lambda: service.ended, 60)
    assert service.ended == ["same task"]
    assert service.calls[0].sent < 1_000_000


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_is_counted_by_its_code(kind: str) -> None:
    service = Service(answers=1, error=RuntimeError("boom"))
    if kind not in STREAMS_OUT:
        service.hold, service.answers = None, 0

    async def fail(request: Any, context: Any) -> bytes:
        raise RuntimeError("boom")

    service.one = fail  # type: ignore[method-assign]  # the unary ones have no place for an error after the answer
    async with channel_for(service.app) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await answers(service.call(channel, kind), kind)
        await until(lambda: service.sample(kind, "handled_total", code="INTERNAL") == 1)


async def test_many_callers_who_leave_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(answers=3, hold=1)
    async with channel_for(service.app) as channel:
        for _ in range(300):
            call = service.call(channel, "unary_stream")
            await call.read()
            call.cancel()
        await until(
            lambda: len(service.ended) == len(service.calls) and service.sample("unary_stream", "in_flight") == 0
        )
        await until(lambda: len([task for task in asyncio.all_tasks() if "Service" in repr(task)]) == 0)
    assert set(service.ended) == {"same task"}
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_unknown_methods_are_unimplemented_and_unlabelled() -> None:
    service = Service()
    async with channel_for(service.app) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{service.name}/Nothing")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert service.sample("Nothing", "seconds_count") == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("req_mine", "req_mine"),
        ("x" * 128, "x" * 128),
        ("x" * 129, "req_"),
        ("what is said", "req_"),
        ("a@b.example", "req_"),
    ],
)
async def test_a_request_id_is_kept_if_it_is_one(given: str, kept: str) -> None:
    service = Service()
    async with channel_for(service.app) as channel:
        method = channel.unary_unary(f"/{service.name}/unary_unary")
        await method(b"", metadata=(("x-request-id", given),))
        await method(b"")
    assert service.calls[0].request_id.startswith(kept)
    assert service.calls[1].request_id.startswith("req_")
