"""The calls of a mesh: with the key and a deadline, and ended by Ctrl-C."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from cli.interrupt import Interrupt

_END = object()


class Calls:
    """What stubs need of a channel, one call at a time. Each is given the key, and the `timeout` in seconds where it
    has none of its own. Ctrl-C ends the one that is waited for, which then raises KeyboardInterrupt."""

    def __init__(self, channel: grpc.Channel, key: str, timeout: float | None, interrupt: Interrupt) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._timeout = timeout
        self._interrupt = interrupt
        self._latest: Any = None

    def close(self) -> None:
        """Close the channel, and end what is open on it."""
        with self._interrupt.held():
            self._channel.close()
            self._latest = None

    def unary_unary(self, *method: Any, **codecs: Any) -> Callable[..., Any]:
        # A blocking call cannot be ended from without.
        begin = self._begun(self._channel.unary_unary(*method, **codecs).future)

        def call(request: Any, timeout: float | None = None) -> Any:
            self._interrupt.check()
            with self._interrupt.held():
                begun = begin(request, timeout)
                with self._interrupt.held(begun):
                    return begun.result()

        return call

    def unary_stream(self, *method: Any, **codecs: Any) -> Callable[..., "Stream"]:
        return self._streamed(self._channel.unary_stream(*method, **codecs))

    def stream_stream(self, *method: Any, **codecs: Any) -> Callable[..., "Stream"]:
        return self._streamed(self._channel.stream_stream(*method, **codecs))

    def stream_unary(self, *_: Any, **__: Any) -> None:
        """No verb makes such a call."""

    def _streamed(self, method: Any) -> Callable[..., "Stream"]:
        begin = self._begun(method)

        def call(request: Any, timeout: float | None = None) -> Stream:
            self._interrupt.check()
            with self._interrupt.held():
                return Stream(begin(request, timeout), self._interrupt)

        return call

    def _begun(self, method: Any) -> Callable[[Any, float | None], Any]:
        def begin(request: Any, timeout: float | None) -> Any:
            limit = self._timeout if timeout is None else timeout
            # Kept until the next: its finalizer, where Ctrl-C would be lost, runs here then.
            self._latest = method(request, timeout=limit, metadata=self._metadata)
            return self._latest

        return begin


class Stream:
    """The responses of a call, as they come."""

    def __init__(self, call: Any, interrupt: Interrupt) -> None:
        self._call = call
        self._interrupt = interrupt

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Raises grpc.RpcError."""
        self._interrupt.check()
        with self._interrupt.held(self._call):
            response = next(self._call, _END)
        if response is _END:
            raise StopIteration
        return response

    def cancel(self) -> None:
        with self._interrupt.held():
            self._call.cancel()

    def trailing_metadata(self) -> Any:
        with self._interrupt.held(self._call):
            return self._call.trailing_metadata()
