"""Answers of the orchestrator, cached for a while; the last one stays where a new one cannot be had."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import grpc

log = logging.getLogger(__name__)

MOST = 1000
ASK_SECONDS = 5.0
GONE_SECONDS = 1.0
"""How long an orchestrator that did not answer is not asked for what is known."""
# Nothing can have a name that the orchestrator refuses.
NONE_SUCH = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class CachedAnswers(Generic[Key, Value]):
    """Values that are good for some `seconds`, MOST of them. Where a new one cannot be had the last one stays, if there
    is one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._gone_until = 0.0

    async def get(self, key: Key, load: Callable[[], Awaitable[Value]]) -> Value:
        """Raises AioRpcError where there is none."""
        cached = self._values.get(key)
        if cached is not None and max(cached[0], self._gone_until) >= time.monotonic():
            return cached[1]
        if self._gone_until:
            self._gone_until = time.monotonic() + ASK_SECONDS  # one call tries, the others have what there is
        try:
            value = await load()
        except grpc.aio.AioRpcError as error:
            if error.code() in NONE_SUCH:
                raise
            self._gone_until = time.monotonic() + GONE_SECONDS
            if cached is None:
                raise
            log.warning("the orchestrator did not answer; its last answer stays", extra={"code": error.code().name})
            return cached[1]
        self._gone_until = 0.0
        self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = time.monotonic() + self._seconds, value
        self._values.move_to_end(key)
        if len(self._values) > MOST:
            self._values.popitem(last=False)

    def expire(self, of: Callable[[Key], bool]) -> None:
        """Ask for these keys anew; what was known of them serves where that cannot be."""
        for key, (_, value) in self._values.items():
            if of(key):
                self._values[key] = 0.0, value
