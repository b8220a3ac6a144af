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

    async def get(self, key: Key, load: Callable[[], Awaitable[Value]]) -> Value:
        """Raises AioRpcError where there is none."""
        cached = self._values.get(key)
        if cached is not None and cached[0] >= time.monotonic():
            return cached[1]
        try:
            value = await load()
        except grpc.aio.AioRpcError as error:
            if cached is None or error.code() in NONE_SUCH:
                raise
            log.warning("the orchestrator did not answer; its last answer stays", extra={"code": error.code().name})
            return cached[1]
        self._values[key] = time.monotonic() + self._seconds, value
        self._values.move_to_end(key)
        if len(self._values) > MOST:
            self._values.popitem(last=False)
        return value

    def forget(self, of: Callable[[Key], bool]) -> None:
        """Have none for these keys."""
        for key in [key for key in self._values if of(key)]:
            del self._values[key]
