"""One gRPC interceptor that puts the chain around each handler, for all four kinds of RPC alike.

Responses are written with `context.write`, so that a caller who
leaves cancels the handler at once, and its `finally` blocks run in this task rather than when it is collected.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import grpc

from services.runtime import statuses
from services.runtime.call import Call
from services.runtime.errors import DomainError
from services.runtime.interceptors.chain import Chain, Serve, T

Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:  # generic in the stubs only
    Handler = grpc.RpcMethodHandler
CUT_SECONDS = 0.05
EXEMPT = ("/grpc.health.v1.Health/", "/grpc.reflection.", "/envoy.service.discovery.")


def behaviour(handler: Handler) -> Any:
    """What serves the calls of a handler, of whichever of the four kinds."""
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def with_behaviour(handler: Handler, serve: Any) -> Handler:
    """A handler of the same kind and message types, served by `serve`."""
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(serve, handler.request_deserializer, handler.response_serializer)  # type: ignore[no-any-return]


class Pipeline(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Puts the chain around every handler but those of health, reflection and xDS."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(EXEMPT):
            return handler
        wrapped = self._wrap(method, handler)
        if len(self._wrapped) < 1024:
            self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
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
            await _abort(context, error)

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
            response = await inner(await self._admit(call, request), context)
            if call.headers:
                await context.send_initial_metadata(tuple(call.headers.items()))
            call.sent = 1
            return response

        return await self._around(call, context, answer)

    async def _serve_stream(self, inner: Any, call: Call, request: Any, context: Context) -> None:
        async def answer() -> None:
            async with aclosing(inner(await self._admit(call, request), context)) as responses:
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


async def _abort(context: Context, error: DomainError) -> NoReturn:
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
