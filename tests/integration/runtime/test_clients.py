"""What is left of a call once it has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc
import pytest

from services.runtime import clients

METHOD = "/test.Uploads/Put"
AS_IT_IS: Any = None  # no serializer: messages stay bytes


class Requests:
    """One request, and then none for ever."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.closed = asyncio.Event()

    async def read(self) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def refuse(requests: Any, context: Any) -> bytes:
    await anext(aiter(requests))
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
    return b""


async def hang(requests: Any, context: Any) -> bytes:
    async for _ in requests:
        pass
    return b""


async def hang_on(requests: Any, context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


class Uploads(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handler


async def unary(channel: grpc.aio.Channel, requests: Requests) -> None:
    await clients.unary(channel.stream_unary(METHOD, AS_IT_IS, AS_IT_IS)(requests.read()))


async def stream(channel: grpc.aio.Channel, requests: Requests) -> None:
    call: Any = channel.stream_stream(METHOD, AS_IT_IS, AS_IT_IS)(requests.read())
    async with aclosing(clients.stream(call)) as responses:
        async for _ in responses:
            pass


@pytest.mark.parametrize(
    ("handler", "ask", "leaves"),
    [
        (grpc.stream_unary_rpc_method_handler(refuse), unary, False),
        (grpc.stream_unary_rpc_method_handler(hang), unary, True),
        (grpc.stream_stream_rpc_method_handler(hang_on), stream, True),
    ],
    ids=["refused", "left", "left while it streams"],
)
async def test_requests_are_read_no_longer_than_their_call_lasts(
    handler: Any, ask: Callable[[grpc.aio.Channel, Requests], Any], leaves: bool
) -> None:
    server, requests = grpc.aio.server(), Requests()
    server.add_generic_rpc_handlers([Uploads(handler)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            asking = asyncio.ensure_future(ask(channel, requests))
            await asyncio.wait_for(requests.waiting.wait(), 10)
            if leaves:
                asking.cancel()
            await asyncio.wait([asking], timeout=10)
            assert asking.cancelled() if leaves else isinstance(asking.exception(), grpc.aio.AioRpcError)
            await asyncio.wait_for(requests.closed.wait(), 10)
    finally:
        await server.stop(0)
