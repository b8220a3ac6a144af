"""A deadline is a point in time, and what is called downstream gets what remains of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import uvloop

from services.runtime import call as calls
from services.runtime import statuses
from services.runtime.errors import DeadlineExceeded
from services.runtime.interceptors import layers
from services.runtime.interceptors.standard import Deadline
from services.runtime.server import App
from tests.fakes.serving import channel_for, generic


def asks(longest: float, seen: list[float], *, hang: bool = False) -> App:
    async def handler(request: bytes, context: Any) -> bytes:
        seen.append(calls.current().remaining)
        if hang:
            await asyncio.Event().wait()
        return b""

    around = layers(None, longest, service="tested")
    return generic("test.D", {"Do": grpc.unary_unary_rpc_method_handler(handler)}, layers=around)


@pytest.mark.parametrize(
    ("longest", "callers", "expected"), [(30, 5, 5), (5, 30, 5), (7, None, 7)], ids=["caller's", "longest", "none"]
)
async def test_the_sooner_deadline_holds(longest: float, callers: float | None, expected: float) -> None:
    seen: list[float] = []
    async with channel_for(asks(longest, seen)) as channel:
        await channel.unary_unary("/test.D/Do")(b"", timeout=callers)
    assert seen == [pytest.approx(expected, abs=1)]
    assert seen[0] <= expected + 0.1  # gRPC rounds a timeout up


@pytest.mark.parametrize("callers", [0.1, None])
async def test_a_deadline_that_passes_ends_the_call(callers: float | None) -> None:
    longest, started = (0.1, time.monotonic()) if callers is None else (30, time.monotonic())
    async with channel_for(asks(longest, [], hang=True)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.D/Do")(b"", timeout=callers)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 5


async def test_who_takes_too_long_is_told_which_limit_it_was() -> None:
    async with channel_for(asks(0.1, [], hang=True)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.D/Do")(b"", timeout=30)
    info = statuses.error_info(caught.value)
    assert info is not None
    assert dict(info.metadata) == {"limit": "HEADWORKS_TESTED_MAX_DEADLINE_SECONDS", "limit_seconds": "0.1"}
    assert "within 0.1 seconds, the limit that is set by HEADWORKS_TESTED_MAX_DEADLINE_SECONDS" in str(caught.value)


async def test_the_callers_own_limit_is_named_as_such() -> None:
    limit = Deadline(30, 30, "tested")

    async def serve() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded, match=r"within 0\.05 seconds, .*x-headworks-timeout"):
        await limit.around(calls.Call("/test", timeout=0.05), serve)
    for given, named in (("HEADWORKS_GATEWAY_MAX_DEADLINE_SECONDS", True), ("HEADWORKS_ <b>text", False)):
        call = calls.Call("/test", {calls.LIMIT_KEY: given}, timeout=0.05)
        with pytest.raises(DeadlineExceeded) as caught:
            await limit.around(call, serve)
        assert (given in caught.value.message) == named


def test_the_next_service_learns_which_setting_sets_the_deadline() -> None:
    call = calls.Call("/test", deadline=time.monotonic() + 5, limit="HEADWORKS_GATEWAY_MAX_DEADLINE_SECONDS")
    assert dict(calls.outgoing(60, call)["metadata"])[calls.LIMIT_KEY] == call.limit
    assert calls.LIMIT_KEY not in dict(calls.outgoing(1, call)["metadata"])
    call.limit = "the time that came with the call"
    assert calls.LIMIT_KEY not in dict(calls.outgoing(60, call)["metadata"])


def test_a_deadline_that_passes_is_never_taken_for_another_on_uvloop() -> None:
    """uvloop counts in whole milliseconds: in a loop that is busy its timers fire early by up to one."""

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    async def codes() -> set[grpc.StatusCode]:
        busy = asyncio.create_task(spin())
        async with channel_for(asks(0.0204, [], hang=True)) as channel:
            found = {await channel.unary_unary("/test.D/Do")(b"").code() for _ in range(20)}
        busy.cancel()
        return found

    assert uvloop.run(codes()) == {grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_the_next_service_gets_what_remains() -> None:
    seen: list[float] = []
    async with channel_for(asks(30, seen)) as inner:

        async def forward(request: bytes, context: Any) -> bytes:
            calls.current().deadline -= 2  # it took so long
            await inner.unary_unary("/test.D/Do")(b"", **calls.outgoing(60))
            return b""

        handlers = {"Do": grpc.unary_unary_rpc_method_handler(forward)}
        async with channel_for(generic("test.F", handlers, layers=layers(None, 30))) as outer:
            await outer.unary_unary("/test.F/Do")(b"", timeout=5)
    assert 2 < seen[0] <= 3.1


async def test_a_deadline_that_has_passed_reaches_nobody() -> None:
    seen: list[float] = []
    async with channel_for(asks(30, seen)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.D/Do")(b"", timeout=-1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert seen == []


async def test_uploads_have_a_limit_of_their_own() -> None:
    seen: list[float] = []

    async def upload(requests: AsyncIterator[bytes], _: Any) -> bytes:
        seen.append(calls.current().remaining)
        return b"".join([request async for request in requests])

    handlers = {"Up": grpc.stream_unary_rpc_method_handler(upload)}
    async with channel_for(generic("test.U", handlers, layers=layers(None, 5, 500))) as channel:
        assert await channel.stream_unary("/test.U/Up")(iter([b"a", b"b"])) == b"ab"
    assert 400 < seen[0] <= 500
