"""Calls of the services behind, passed on as bytes: identified and limited here, understood there."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from services.runtime import clients
from services.runtime.call import outgoing
from services.runtime.contract import path
from services.runtime.interceptors.handlers import Handler
from services.runtime.interceptors.pipeline import Context, call_of

TIMING_KEY = "server-timing"
AS_IT_IS: Any = None  # no serializer: messages stay bytes


def handlers(service: ServiceDescriptor, channel: grpc.aio.Channel) -> dict[str, Handler]:
    """A handler for each method of the service, by path, that passes its calls on over the channel."""
    return {path(method): _handler(method, channel) for method in service.methods}


def _handler(method: MethodDescriptor, channel: grpc.aio.Channel) -> Handler:
    on_wire = (path(method), AS_IT_IS, AS_IT_IS)
    who = clients.role(method.containing_service.file.package)
    if method.client_streaming and method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(_streaming(channel.stream_stream(*on_wire), who))
    if method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(_unary(channel.stream_unary(*on_wire), who))
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_streaming(channel.unary_stream(*on_wire), who))
    return grpc.unary_unary_rpc_method_handler(_unary(channel.unary_unary(*on_wire), who))


def _unary(method: Any, who: str) -> Any:
    async def forward(request: Any, context: Context) -> Any:
        call = call_of(context)
        response = await clients.unary(method(request, **outgoing(call.remaining, call)), who)
        _set_timing(context)
        return response

    return forward


def _streaming(method: Any, who: str) -> Any:
    async def forward(request: Any, context: Context) -> AsyncIterator[Any]:
        call = call_of(context)
        streamed = method(request, **outgoing(call.remaining, call))
        async with aclosing(clients.stream(streamed, who)) as responses:
            async for response in responses:
                yield response
        _set_timing(context)

    return forward


def _set_timing(context: Context) -> None:
    """Report to the caller what the gateway and all behind it took."""
    call = call_of(context)
    took = (time.monotonic() - call.started) * 1000
    context.set_trailing_metadata(((TIMING_KEY, f"gateway;dur={took:.3f}"),))


class Forward(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Routes the methods of several services to their channels."""

    def __init__(self, routes: dict[str, Handler]) -> None:
        self._routes = routes

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        return self._routes.get(handler_call_details.method)
