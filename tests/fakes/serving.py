"""Real gRPC servers on free ports, and channels to them."""

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from services.runtime import sockets
from services.runtime.channels import open_channel
from services.runtime.health import Readiness
from services.runtime.identity import TokenVerifier
from services.runtime.interceptors import CallLayer
from services.runtime.server import App, build
from services.runtime.settings import ServerSettings

Handlers = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]


def app_of(servicer: object, *, layers: list[CallLayer] | None = None) -> App:
    """An App with one servicer, whichever service's it is."""
    for base in type(servicer).__mro__:
        add = getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server", None)
        if add is not None:
            return App(partial(add, servicer), [], layers=layers)
    raise TypeError(f"{type(servicer).__name__} is no servicer")


def generic(service: str, handlers: Handlers, *, layers: list[CallLayer] | None = None) -> App:
    """An App whose handlers take and give bytes."""
    handler = grpc.method_handlers_generic_handler(service, dict(handlers))
    return App(lambda server: server.add_generic_rpc_handlers((handler,)), [], layers=layers)


@asynccontextmanager
async def serving(
    served: object,
    *,
    verifier: TokenVerifier | None = None,
    settings: ServerSettings | None = None,
    readiness: Readiness | None = None,
) -> AsyncIterator[str]:
    """Serve an App or a servicer, with the layers of every service; gives its address."""
    app = served if isinstance(served, App) else app_of(served)
    server = build(settings or ServerSettings(), app, readiness or Readiness([], {}), verifier)
    port = server.add_insecure_port("127.0.0.1:0")
    async with app.resources:
        with sockets.private() if app.sockets else nullcontext():
            for path in app.sockets:
                server.add_insecure_port(sockets.target(path))
            await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


@asynccontextmanager
async def channel_for(
    served: object,
    *,
    verifier: TokenVerifier | None = None,
    settings: ServerSettings | None = None,
    readiness: Readiness | None = None,
    services: list[ServiceDescriptor] | None = None,
) -> AsyncIterator[Any]:
    """A channel to an App or a servicer that is served as long as the block lasts.

    Its type is not told: the stubs want serializers, which messages of bytes do without.
    """
    async with (
        serving(served, verifier=verifier, settings=settings, readiness=readiness) as address,
        open_channel(address, services) as channel,
    ):
        yield channel


async def until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Wait until the condition holds; gives what it gave."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)
