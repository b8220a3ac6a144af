"""One gRPC interceptor that puts the chain around each handler, for all four kinds of RPC alike.

Responses are written with `context.write`, so that a caller who leaves cancels the handler at once, and its `finally`
blocks run in this task rather than when it is collected.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn

import grpc

from services.runtime import statuses
from services.runtime.call import Call
from services.runtime.errors import DomainError
from services.runtime.interceptors.chain import Chain, Serve, T
from services.runtime.interceptors.handlers import Handler, Wrapping, behaviour, with_behaviour

Context = grpc.aio.ServicerContext[Any, Any]
CUT_SECONDS = 0.05
EXEMPT = ("/grpc.health.v1.Health/", "/grpc.reflection.", "/envoy.service.discovery.")


class CallContext:
    """gRPC's context of a call, with the call itself."""

    __slots__ = ("_context", "call")

    def __init__(self, context: Context, call: Call) -> None:
        self._context = context
        self.call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def call_of(context: Context) -> Call:
    """The call that a handler serves, by the context that it was given. Raises LookupError outside of the pipeline."""
    call = getattr(context, "call", None)
    if not isinstance(call, Call):
        raise LookupError("the call is served outside of the pipeline")
    return call


class Pipeline(Wrapping):
    """Puts the chain around every handler but those of health, reflection and xDS."""

    exempt = EXEMPT

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self._chain = chain

    def wrap(self, method: str, handler: Handler) -> Handler:
        """See Wrapping."""
        streams_in = bool(handler.request_streaming)
        inner = behaviour(handler)
        serve = self._serve_stream if handler.response_streaming else self._serve_unary

        async def wrapped(request: Any, context: Context) -> Any:
            metadata = {key: value for key, value in context.invocation_metadata() or () if type(value) is str}
            call = Call(
                method, metadata, uploads=streams_in, received=0 if streams_in else 1,
                peer=context.peer(), timeout=context.time_remaining(),
            )  # fmt: skip
            source = _counted(request, call) if streams_in else request
            return await serve(inner, call, source, context)

        return with_behaviour(handler, wrapped)

    async def _around(self, call: Call, context: Context, serve: Serve[T]) -> T:
        """Serve the call within the chain; a failure of it is its status."""
        try:
            return await self._chain.around(call, partial(_noting_aborts, call, context, serve))
        except DomainError as error:
            await abort(context, error)

    async def _admit(self, call: Call, request: Any) -> Any:
        """The request, or the stream of them, once the gate has seen the first."""
        if self._chain.gate is None:
            return request
        if not call.uploads:
            self._chain.admit(call, request)
            return request
        first = await anext(request, None)
        self._chain.admit(call, first)
        return _again(first, request)

    async def _serve_unary(self, inner: Any, call: Call, request: Any, context: Context) -> Any:
        async def answer() -> Any:
            response = await inner(await self._admit(call, request), CallContext(context, call))
            if call.headers:
                await context.send_initial_metadata(tuple(call.headers.items()))
            call.sent = 1
            return response

        return await self._around(call, context, answer)

    async def _serve_stream(self, inner: Any, call: Call, request: Any, context: Context) -> None:
        async def answer() -> None:
            async with aclosing(inner(await self._admit(call, request), CallContext(context, call))) as responses:
                async for response in responses:
                    # Not before: a status without responses goes out with the headers, and decides on HTTP's.
                    if call.headers and not call.sent:
                        await context.send_initial_metadata(tuple(call.headers.items()))
                    await context.write(response)
                    call.sent += 1
                    if call.first_sent is None:
                        call.first_sent = time.monotonic()

        await self._around(call, context, answer)


async def _noting_aborts(call: Call, context: Context, serve: Serve[T]) -> T:
    """Note the call's code where its handler sets the status by hand."""
    try:
        return await serve()
    except grpc.aio.AbortError:
        call.code = statuses.number(context.code())
        raise


async def abort(context: Context, error: DomainError) -> NoReturn:
    """End the call with the error's status and its details."""
    try:
        await context.abort(statuses.CODES[error.kind], statuses.cut(error.message), statuses.details(error))
    except grpc.aio.AbortError as aborted:
        raise aborted from error


async def _again(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """All the requests of a stream whose first has been taken; None for a first that there was not."""
    if first is not None:
        yield first
        async for request in rest:
            yield request


async def _counted(requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
    """The requests. To a reader a stream that was cut ends like one that was closed, and the handler's cancellation
    follows at once: it is waited for, so that nobody takes the one for the other, here or further down."""
    async for request in requests:
        call.received += 1
        yield request
    await asyncio.sleep(CUT_SECONDS)
