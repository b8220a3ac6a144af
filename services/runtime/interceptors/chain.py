"""What surrounds every call: layers, outermost first, and the gate within them, whatever protocol the call came by."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from services.runtime import call as calls
from services.runtime.call import Call

T = TypeVar("T")
Serve: TypeAlias = Callable[[], Awaitable[T]]
"""Serves a call within what surrounds it."""


class CallLayer(Protocol):
    """Something done around every call."""

    def around(self, call: Call, serve: Serve[T]) -> Awaitable[T]:
        """Await `serve` once, and return what it returns; or raise, where the call may not go on."""
        ...


class Gate(Protocol):
    """Something that sees a call's first request, within all layers, and raises where the call may not go on."""

    def admit(self, call: Call, request: Any) -> None:
        """`request` as the handler gets it: a message, or its bytes; None for a stream of none."""


class Chain:
    """The layers and the gate of a server."""

    def __init__(self, layers: Sequence[CallLayer], gate: Gate | None = None) -> None:
        self._inward = tuple(reversed(layers))
        self.gate = gate

    def around(self, call: Call, serve: Serve[T]) -> Awaitable[T]:
        """Serve `call` within all layers. Raises a DomainError for whatever goes wrong.

        Plain nested calls: with context managers the machinery took longer than most layers.
        """
        calls.enter(call)
        for layer in self._inward:
            serve = partial(layer.around, call, serve)
        return serve()

    def admit(self, call: Call, request: Any) -> None:
        """Raises what the gate raises."""
        if self.gate is not None:
            self.gate.admit(call, request)
