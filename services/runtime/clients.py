"""Awaiting calls to other services so that a cancelled waiter leaks nothing.

grpc.aio frees what an operation holds only when the task that awaits it sees the operation end (grpc issue 43360), and
its own `cancel()` cancels that task. So the waiting tasks here are never cancelled: the call is cancelled in gRPC's
core instead, which ends its operations, and the tasks with them, at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from services.runtime.call import Call
from services.runtime.time_limit import TimeLimit

T = TypeVar("T")
TRITON = "triton"


async def unary(call: "grpc.aio.UnaryUnaryCall[Any, T] | grpc.aio.StreamUnaryCall[Any, T]", service: str = "") -> T:
    """The response of a call. Cancelled with its waiter. `service`: who is called, where the request, being bytes, does
    not say. Raises grpc.aio.AioRpcError."""
    # The task of its own, where it has one: another for each call would do nothing but wait for that.
    own: asyncio.Future[Any] | None = getattr(call, "_call_response", None)
    _end_requests_with(call)
    waiting = own or asyncio.ensure_future(call)
    try:
        response: T = await asyncio.shield(waiting)
        return response if own is None else await call
    except asyncio.CancelledError:
        _abandon(call, waiting)
        raise
    except grpc.aio.AioRpcError as error:
        _name(error, call, service)
        raise


async def stream(
    call: "grpc.aio.UnaryStreamCall[Any, T] | grpc.aio.StreamStreamCall[Any, T]", service: str = ""
) -> AsyncGenerator[T, None]:
    """The responses of a call. Close the generator to cancel it. `service`: as for `unary`. Raises
    grpc.aio.AioRpcError."""
    reading: asyncio.Future[Any] | None = None
    _end_requests_with(call)
    try:
        while True:
            reading = asyncio.ensure_future(call.read())
            message = await asyncio.shield(reading)
            if message is grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in the stubs
                return
            yield message
    except grpc.aio.AioRpcError as error:
        _name(error, call, service)
        raise
    finally:
        if not call.done():
            _abandon(call, reading)


def role(package: str) -> str:
    """Who serves a package of the protos, such as headworks.retrieval.v1, as operators call it; empty for others'."""
    parts = package.split(".")
    if parts[0] == "headworks" and len(parts) > 1:
        return parts[1]
    return TRITON if parts[0] == "inference" else ""


def _name(error: grpc.aio.AioRpcError, call: Any, service: str) -> None:
    """Put on the error who was called: gRPC's own words have an address at best."""
    descriptor = getattr(getattr(call, "_request", None), "DESCRIPTOR", None)
    error.service = service or (role(descriptor.file.package) if descriptor else "")  # type: ignore[attr-defined]


def _end_requests_with(call: Any) -> None:
    """Have the task that reads a call's requests end when the call does: grpc.aio ends it only in its own `cancel()`,
    and left waiting it is destroyed with the requests' generator, which the loop then closes while it runs."""
    reader: asyncio.Task[None] | None = getattr(call, "_async_request_poller", None)
    if reader is not None:
        call.add_done_callback(lambda ended: reader.cancel())


def _abandon(call: Any, waiting: "asyncio.Future[Any] | None") -> None:
    """Cancel the call in gRPC's core, and let its waiting task end unheard."""
    call._cython_call.cancel("the caller left")
    if waiting is not None:
        waiting.add_done_callback(_hear)


def _hear(waiting: "asyncio.Future[Any]") -> None:
    if not waiting.cancelled():
        waiting.exception()


@contextmanager
def limited(limit: TimeLimit, call: Call, what: str) -> Iterator[None]:
    """Calls that get no more than `limit`, for a call that is being served. Raises DeadlineExceeded, which names the
    limit, where that passes and not the deadline of the call itself."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and call.remaining > 0:
            raise limit.passed(what) from error
        raise
