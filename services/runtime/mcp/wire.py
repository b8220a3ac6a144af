"""A transport of the protocol's library, watched: whether it is closed, and what does not go out by it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from opentelemetry.propagate import get_global_textmap

Streams = AbstractAsyncContextManager[tuple[Any, Any]]


class Wire:
    """`closed` tells a connection that is over from a server that says so: both are errors of one code. `traced`:
    whether the server is told which trace a request belongs to."""

    def __init__(self, traced: bool) -> None:
        self._traced = traced
        self.closed = False

    @asynccontextmanager
    async def over(self, transport: Streams) -> AsyncIterator[tuple[Any, Any]]:
        async with transport as (inbox, outbox):
            yield _Inbox(inbox, self), _Outbox(outbox, self)

    def untraced(self, sent: SessionMessage) -> None:
        """Take out what the library has put in of the trace that a request belongs to."""
        params = getattr(sent.message, "params", None)
        if self._traced or not params or "_meta" not in params:
            return
        for field in get_global_textmap().fields:
            params["_meta"].pop(field, None)
        if not params["_meta"]:
            del params["_meta"]


class _Stream:
    def __init__(self, inner: Any, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire

    async def aclose(self) -> None:
        self._wire.closed = True
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Inbox(_Stream):
    @property
    def last_context(self) -> Any:
        """What the library looks for: the context of whoever sent the last message."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        received: SessionMessage | Exception = await self._inner.receive()
        return received

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class _Outbox(_Stream):
    async def send(self, item: SessionMessage, /) -> None:
        self._wire.untraced(item)
        try:
            await self._inner.send(item)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._wire.closed = True
            raise
