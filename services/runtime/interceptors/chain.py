"""What surrounds every call: layers, outermost first, and the gate within them, whatever protocol the call came by."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from services.runtime import call as calls
from services.runtime.call import Call


class Layer(Protocol):
    """Something done around every call."""

    def around(self, call: Call) -> AbstractAsyncContextManager[None]: ...


class Gate(Protocol):
    """Something that sees a call's first request, within all layers, and raises where the call may not go on."""

    def admit(self, call: Call, request: Any) -> None:
        """`request` as the handler gets it: a message, or its bytes; None for a stream of none."""


class Chain:
    """The layers and the gate of a server."""

    def __init__(self, layers: Sequence[Layer], gate: Gate | None = None) -> None:
        self._layers = layers
        self.gate = gate

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Serve `call` within all layers. Raises a DomainError for whatever goes wrong."""
        calls.enter(call)
        async with AsyncExitStack() as stack:
            for layer in self._layers:
                await stack.enter_async_context(layer.around(call))
            yield

    def admit(self, call: Call, request: Any) -> None:
        """Raises what the gate raises."""
        if self.gate is not None:
            self.gate.admit(call, request)
