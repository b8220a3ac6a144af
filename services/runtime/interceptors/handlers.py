"""Handlers of RPCs, and the one way in which interceptors put something around them."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:  # generic in the stubs only
    Handler = grpc.RpcMethodHandler
MOST = 1024
"""Wrapped handlers that are kept; no service has as many methods."""


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


class Wrapping(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Wraps each handler once, but for the methods whose paths begin with one of `exempt`."""

    exempt: tuple[str, ...] = ()

    def __init__(self) -> None:
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
        if handler is None or method.startswith(self.exempt):
            return handler
        wrapped = self.wrap(method, handler)
        if len(self._wrapped) < MOST:
            self._wrapped[method] = wrapped
        return wrapped

    @abstractmethod
    def wrap(self, method: str, handler: Handler) -> Handler:
        """The handler with what this interceptor puts around it."""
